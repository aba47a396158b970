"""Average precision against pycocotools and against a plain loop, and what a box is."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from contrastcxr.form import Box, Finding, Status
from contrastcxr.metrics.bootstrap import plain_weights
from contrastcxr.metrics.detection import (
    AP_THRESHOLDS,
    MET_THRESHOLDS,
    Detections,
    Rectangle,
    box_iou,
    components,
    detections,
    matches,
    scored_boxes,
)
from contrastcxr.metrics.localization import place_counts
from contrastcxr.metrics.scores import counted_how, differences, score_table, statistics
from contrastcxr.metrics.significance import randomisation_p_values
from contrastcxr.metrics.table import StudyTable

NAMES = ("Mass", "Nodule")
Findings = list[tuple[Finding, ...]]


def finding(
    name: str, boxes: list[tuple[Rectangle, float | None]], *, status: Status = "present", **more: Any
) -> Finding:
    marked = tuple(Box(xyxy=xyxy, score=score) for xyxy, score in boxes)
    return Finding(name=name, status=status, boxes=marked, **more)


def random_findings(seed: int, *, studies: int = 30) -> tuple[Findings, Findings]:
    """References, and boxes near and far from them with scores of which many are equal."""
    rng = np.random.default_rng(seed)
    wanted: Findings = []
    said: Findings = []
    for _ in range(studies):
        true, found = [], []
        for name in NAMES:
            corners = [rng.uniform(10, 60, 2) for _ in range(rng.integers(0, 4))]
            boxes = [(float(x), float(y), float(x + 20), float(y + 16)) for x, y in corners]
            true.append(finding(name, [(box, None) for box in boxes], status="present" if boxes else "absent"))
            near = [tuple(np.asarray(box) + np.tile(rng.uniform(-8, 8, 2), 2)) for box in boxes for _ in "ab"]
            far = [(float(x), float(y), float(x + 9), float(y + 9)) for x, y in rng.uniform(10, 80, (2, 2))]
            marked = [tuple(map(float, np.asarray(box) + 2)) for box in boxes[:1]] + near + far
            scores = np.round(rng.uniform(0, 1, len(marked)), 1)
            found.append(finding(name, [(b, float(s)) for b, s in zip(marked, scores, strict=True)]))
        wanted.append(tuple(true))
        said.append(tuple(found))
    return wanted, said


def by_pycocotools(wanted: Findings, said: Findings, threshold: float) -> list[float]:
    """AP of each finding as COCO's own code has it."""
    truth, found = [], []
    for image, (true, marked) in enumerate(zip(wanted, said, strict=True), start=1):
        for rows, findings in ((truth, true), (found, marked)):
            for one in findings:
                for box in one.boxes:
                    x1, y1, x2, y2 = box.xyxy
                    size = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
                    place = {"image_id": image, "category_id": 1 + NAMES.index(one.name)}
                    rows.append({**size, **place, "id": len(rows) + 1, "iscrowd": 0, "score": box.score})
    data = COCO()
    data.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(1, len(wanted) + 1)],
        "categories": [{"id": 1 + k, "name": name} for k, name in enumerate(NAMES)],
        "annotations": truth,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        judge = COCOeval(data, data.loadRes(found), "bbox")
        judge.params.iouThrs = np.array([threshold])
        judge.evaluate()
        judge.accumulate()
    return [float(judge.eval["precision"][0, :, k, 0, -1].mean()) for k in range(len(NAMES))]


@pytest.mark.parametrize("threshold", AP_THRESHOLDS)
@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_that_of_pycocotools(seed: int, threshold: float) -> None:
    wanted, said = random_findings(seed)
    found = detections(wanted, said, NAMES)
    assert found is not None
    ours = [float(found.precision(k, threshold)(plain_weights(len(wanted)))[0]) for k in range(len(NAMES))]
    assert ours == pytest.approx(by_pycocotools(wanted, said, threshold), abs=1e-9)
    assert all(0.05 < value < 0.95 for value in ours)


def by_definition(scored: list[tuple[float, bool]], there: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or a higher one, by plain loops."""
    ranked = sorted(scored, key=lambda pair: -pair[0])
    points, hits = [], 0
    for rank, (_, right) in enumerate(ranked, start=1):
        hits += right
        points.append((hits / there, hits / rank))
    total = 0.0
    for step in range(101):
        total += max((p for recall, p in points if recall >= np.linspace(0, 1, 101)[step]), default=0.0)
    return total / 101


@pytest.mark.parametrize(
    ("scored", "there"),
    [
        ([(0.9, True)], 1),
        ([(0.9, False)], 1),
        ([(0.9, False), (0.8, True)], 1),
        ([(0.9, True), (0.8, False), (0.7, True)], 4),
        ([(0.9 - 0.01 * k, k % 3 == 0) for k in range(40)], 20),
    ],
)
def test_precision_is_averaged_as_defined(scored: list[tuple[float, bool]], there: int) -> None:
    boxes = np.array([[[[score, right, right] for score, right in scored]]], np.float64)
    found = Detections(boxes, np.array([[float(there)]]))
    assert found.precision(0, 0.5)(plain_weights(1)) == pytest.approx([by_definition(scored, there)])


def test_a_study_that_is_drawn_twice_counts_twice() -> None:
    wanted, said = random_findings(3, studies=12)
    drawn = [0, 0, 2, 5, 5, 5, 7]
    weights = np.bincount(drawn, minlength=12)[None].astype(np.float64)
    once = detections(wanted, said, NAMES)
    copied = detections([wanted[i] for i in drawn], [said[i] for i in drawn], NAMES)
    assert once is not None
    assert copied is not None
    both = [once.precision(0, 0.3)(weights)[0], copied.precision(0, 0.3)(plain_weights(len(drawn)))[0]]
    # Equal scores of a study stand side by side in one and apart in the other.
    assert both[0] == pytest.approx(both[1], abs=0.05)


def test_each_reference_box_is_taken_once_and_the_nearest_first() -> None:
    assert matches(np.array([[0.6, 0.7], [0.9, 0.8], [0.9, 0.9]]), 0.5) == [1, 1, 0]
    assert matches(np.array([[0.5], [0.9]]), 0.5) == [1, 0]
    assert matches(np.array([[0.499]]), 0.5) == [0]
    assert matches(np.zeros((2, 0)), 0.5) == [0, 0]


def test_boxes_of_two_views_never_meet() -> None:
    one = Box(view=0, xyxy=(0, 0, 10, 10))
    assert box_iou(one, Box(view=0, xyxy=(5, 0, 15, 10))) == pytest.approx(50 / 150)
    assert box_iou(one, Box(view=1, xyxy=(0, 0, 10, 10))) == 0


@pytest.mark.parametrize(
    ("said", "scores"),
    [
        (finding("Mass", [((0, 0, 2, 2), 0.4), ((5, 5, 9, 9), None)], probability=0.7), [0.4, 0.7]),
        (finding("Mass", [((0, 0, 2, 2), None)]), [1.0]),
        (finding("Mass", [], status="absent"), []),
    ],
)
def test_a_box_has_its_own_score_or_that_of_its_finding(said: Finding, scores: list[float]) -> None:
    assert [score for score, _ in scored_boxes(said)] == scores


def test_the_pieces_of_a_region_are_boxes_where_none_is_shown() -> None:
    region = tuple(Box(view=v, xyxy=r) for v, r in ((0, (0, 0, 2, 2)), (0, (2, 1, 4, 3)), (1, (2, 1, 4, 3))))
    said = Finding(name="Mass", status="absent", probability=0.2, region=region)
    found = scored_boxes(said)
    assert [(score, box.view, box.xyxy) for score, box in found] == [
        (0.2, 0, (0, 0, 4, 3)),
        (0.2, 1, (2, 1, 4, 3)),
    ]
    assert components(()) == ()


TRUE: Rectangle = (0, 0, 10, 10)


def test_what_is_not_judged_neither_helps_nor_harms() -> None:
    """A study whose author gives no boxes, and a finding that is present without a box."""
    marked = (finding("Mass", [(TRUE, 0.9)]),)
    wanted = [(finding("Mass", [(TRUE, None)]),), None, (finding("Mass", []),), ()]
    found = detections(wanted, [marked] * 4, ["Mass"])
    assert found is not None
    assert found.references[:, 0].tolist() == pytest.approx([1, np.nan, np.nan, 0], nan_ok=True)
    assert np.isfinite(found.boxes[:, 0, 0, 0]).tolist() == [True, False, False, True]
    assert detections(wanted, [()] * 4, ["Mass"]) is None


def table_of(wanted: Findings, said: Findings) -> StudyTable:
    counts = place_counts(wanted, said, NAMES)
    ids = tuple(map(str, range(len(wanted))))
    return StudyTable(
        names=NAMES,
        groups=ids,
        studies=ids,
        iou=counts.iou,
        iobb=counts.iobb,
        boxes_marked=counts.boxes_marked,
        boxes_wanted=counts.boxes_wanted,
        notes={},
    )


def test_it_is_a_score_with_an_interval_a_mean_and_a_reason() -> None:
    table = table_of(*random_findings(1, studies=40))
    found = score_table(table, replicates=50)
    each = [found[f"map_0.5/{name}"].value for name in NAMES]
    assert found["map_0.5"].value == pytest.approx(np.mean(each))
    assert found["map_0.5/Mass"].n == int(np.isfinite(table.iou[:, 0]).sum())
    low, high = found["map_0.5"].low, found["map_0.5"].high
    assert low is not None
    assert high is not None
    assert low < found["map_0.5"].value < high
    few = score_table(table, replicates=5, minimum=1000)
    assert (few["map_0.5"].value, few["map_0.5"].note) == (None, "no finding has boxes on 1000 images")
    assert few["map_0.5/Mass"].note == "n < 1000"


def test_a_table_of_an_older_version_says_why_it_has_none(tmp_path: Any) -> None:
    table = table_of(*random_findings(1))
    path = tmp_path / "studies.npz"
    table.save(path)
    again = StudyTable.load(path)
    assert score_table(again, replicates=5)["map_0.3"] == score_table(table, replicates=5)["map_0.3"]
    old = replace(table, boxes_marked=None, boxes_wanted=None)
    found = score_table(old, replicates=5)
    assert found["map_0.3"].note == "no box is kept: none is marked, or an older version scored"
    assert found["miou"].value is not None


def test_two_systems_are_compared_on_the_boxes_that_both_are_judged_on() -> None:
    wanted, said = random_findings(2)
    less = [tuple(f.model_copy(update={"boxes": f.boxes[:1]}) for f in row) for row in said]
    one, other = table_of(wanted, said), table_of(wanted, less)
    found = differences([one], [other], ["map_0.3"], replicates=20)["map_0.3"]
    of = [statistics(table)["map_0.3"](plain_weights(len(wanted)))[0] for table in (one, other)]
    assert found.value == pytest.approx(of[0] - of[1])
    assert 0 < randomisation_p_values(one, other, ["map_0.3"], shuffles=50)["map_0.3"] <= 1
    assert differences([one], [one], ["map_0.3"], replicates=20)["map_0.3"].value == 0


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("map_0.5", "correct:box IoU>=0.5|precision:101 recalls|average:findings with enough images"),
        ("map_0.3/Mass", "correct:box IoU>=0.3|precision:101 recalls|finding:Mass"),
        ("miou", "mean:IoU over images with a box|average:findings with enough images"),
    ],
)
def test_a_signature_says_how_it_is_counted(name: str, how: str) -> None:
    assert counted_how(name) == how


def test_iou_and_peaks_are_those_of_chexlocalize_on_painted_masks() -> None:
    """Its mIoU is the mean IoU over images with the finding, its hit rate the share of peaks inside the mask."""
    rng = np.random.default_rng(4)
    wanted: Findings = []
    said: Findings = []
    ious, hits = [], []
    for _ in range(25):
        true, marked = (tuple(np.sort(rng.choice(33, (2, 2), replace=False), axis=0).T.ravel()) for _ in "ab")
        boxes = [(float(a), float(c), float(b), float(d)) for a, b, c, d in (true, marked)]
        peak = rng.integers(0, 32, 2) + 0.5
        masks = np.zeros((2, 32, 32), dtype=bool)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
            mask[int(y1) : int(y2), int(x1) : int(x2)] = True
        ious.append((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())
        hits.append(masks[0][int(peak[1]), int(peak[0])])
        wanted.append((finding("Mass", [(boxes[0], None)]),))
        region = (Box(xyxy=boxes[1]),)
        place = {"view": 0, "xy": tuple(map(float, peak))}
        said.append((Finding(name="Mass", status="absent", region=region, peak=place),))  # type: ignore[arg-type]
    counts = place_counts(wanted, said, ["Mass"])
    table = StudyTable(
        names=("Mass",),
        groups=tuple(map(str, range(25))),
        studies=tuple(map(str, range(25))),
        iou=counts.iou,
        iobb=counts.iobb,
        pointing=counts.pointing,
    )
    found = score_table(table, replicates=10)
    assert found["miou"].value == pytest.approx(np.mean(ious))
    assert found["pointing"].value == pytest.approx(np.mean(hits))


# Reference boxes that are met


@pytest.mark.parametrize("threshold", MET_THRESHOLDS)
@pytest.mark.parametrize("seed", range(4))
def test_met_boxes_are_those_that_one_marked_box_each_meets(seed: int, threshold: float) -> None:
    wanted, said = random_findings(seed)
    found = detections(wanted, said, NAMES)
    assert found is not None
    for k, name in enumerate(NAMES):
        met = there = by_first = 0
        for truth, given in zip(wanted, said, strict=True):
            boxes = [box for finding in truth or () if finding.name == name for box in finding.boxes]
            marked = sorted(
                (pair for finding in given if finding.name == name for pair in scored_boxes(finding)),
                key=lambda pair: -pair[0],
            )
            left = list(range(len(boxes)))
            for rank, (_, box) in enumerate(marked):
                overlaps = [(box_iou(box, boxes[i]), i) for i in left]
                best, place = max(overlaps, default=(0.0, -1), key=lambda pair: pair[0])
                if best >= threshold:
                    left.remove(place)
                    by_first += rank == 0
            met, there = met + len(boxes) - len(left), there + len(boxes)
        plain = plain_weights(len(wanted))
        assert float(found.met(k, threshold)(plain)[0]) == pytest.approx(met / there)
        assert float(found.met(k, threshold, first=True)(plain)[0]) == pytest.approx(by_first / there)


def test_a_table_of_an_older_version_has_no_share_of_met_boxes() -> None:
    wanted, said = random_findings(0)
    found = detections(wanted, said, NAMES)
    assert found is not None
    older = Detections(found.boxes[..., :3], found.references)
    assert [older.judges(t) for t in (0.3, 0.5, 0.25, 0.75)] == [True, True, False, False]
    assert all(found.judges(t) for t in MET_THRESHOLDS)
