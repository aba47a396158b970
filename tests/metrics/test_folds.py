"""Folds as one table: hits are summed over folds and divided by their images, in a plain loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contrastcxr.metrics.bootstrap import plain_weights
from contrastcxr.metrics.folds import joined
from contrastcxr.metrics.scores import score_table, statistics
from contrastcxr.metrics.table import StudyTable

FOLDS = (("Mass",), ("Nodule", "Mass"), ("Mass", "Nodule"))
SIZES = (5, 9, 12)


def fold(number: int, *, room: int = 2) -> StudyTable:
    """Studies with an IoU and two boxes of each finding, right at random; a fold has its own findings."""
    rng = np.random.default_rng(number)
    names, size = FOLDS[number], SIZES[number]
    shape = (size, len(names))
    ids = tuple(f"f{number}s{i}" for i in range(size))
    boxes = np.full((*shape, room, 3), np.nan)
    boxes[:, :, :2, 0] = np.sort(rng.random((*shape, 2)))[..., ::-1]
    boxes[:, :, :2, 1] = rng.integers(0, 2, (*shape, 2))
    boxes[:, :, :2, 2] = boxes[:, :, :2, 1]
    return StudyTable(
        names=names,
        groups=tuple(f"p{i // 2}" for i in range(size)),
        studies=ids,
        truth=rng.choice([1, 3], shape).astype(np.int8),
        iou=np.where(rng.random(shape) < 0.3, np.nan, rng.random(shape)),
        iobb=rng.random(shape),
        boxes_marked=boxes,
        boxes_wanted=np.full(shape, 2.0),
        words=np.ones(size) if number else None,
        notes={},
    )


@pytest.fixture(scope="module")
def tables() -> list[StudyTable]:
    return [fold(0), fold(1, room=3), fold(2)]


def test_a_share_is_the_hits_of_all_folds_over_their_images(tables: list[StudyTable]) -> None:
    found = statistics(joined(tables), minimum=1)
    for name in ("Mass", "Nodule"):
        hits = images = 0
        for table in tables:
            for row in range(len(table)):
                value = table.iou[row, table.names.index(name)] if name in table.names else np.nan  # type: ignore[index]
                images += not np.isnan(value)
                hits += value > 0.3
        assert found[f"tiou_0.3/{name}"](plain_weights(sum(SIZES))) == pytest.approx([hits / images])


def test_a_finding_with_few_boxes_in_each_fold_has_enough_in_all(tables: list[StudyTable]) -> None:
    alone = [score_table(table, replicates=5)["tiou_0.3"].value for table in tables[:2]]
    assert alone == [None, None]
    assert score_table(joined(tables), replicates=5)["tiou_0.3"].value is not None


def test_what_a_fold_does_not_speak_of_is_empty_there(tables: list[StudyTable]) -> None:
    whole = joined(tables)
    assert (whole.names, len(whole)) == (("Mass", "Nodule"), 26)
    assert whole.studies == tuple(name for table in tables for name in table.studies)
    assert whole.iou is not None
    assert np.isnan(whole.iou[:5, 1]).all()
    np.testing.assert_array_equal(whole.iou[5:14], tables[1].iou[:, ::-1])  # type: ignore[index]
    assert whole.truth is not None
    assert whole.truth[:5, 1].tolist() == [0] * 5
    assert whole.boxes_marked is not None
    assert whole.boxes_marked.shape == (26, 2, 3, 3)
    assert whole.words is None  # one fold has none


def test_one_fold_is_itself(tables: list[StudyTable]) -> None:
    found, wanted = (score_table(t, replicates=20) for t in (joined(tables[:1]), tables[0]))
    assert found == wanted


def test_a_fold_in_which_nothing_is_marked_counts_as_misses(tables: list[StudyTable]) -> None:
    marking = [replace(t, pointing=np.where(np.isfinite(t.iou), 1.0, np.nan)) for t in tables[1:]]  # type: ignore[arg-type]
    silent = replace(tables[0], boxes_marked=None, iou=np.where(np.isnan(tables[0].iou), np.nan, 0.0))  # type: ignore[arg-type]
    found = statistics(joined([silent, *marking]), minimum=1)
    boxed = [int(np.isfinite(t.iou[:, t.names.index("Mass")]).sum()) for t in (silent, *marking)]  # type: ignore[index]
    share = sum(boxed[1:]) / sum(boxed)
    assert boxed[0] > 0
    assert found["pointing/Mass"](plain_weights(sum(SIZES))) == pytest.approx([share])
    assert joined([silent, *marking]).boxes_marked is not None
