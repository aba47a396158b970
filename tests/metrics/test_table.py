from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastcxr.errors import DatasetError
from contrastcxr.form import Box, Finding, Point
from contrastcxr.metrics.table import Answer, StudyTable, tabulate
from contrastcxr.metrics.text import tokenise
from contrastcxr.metrics.words import PLAIN

NAMES = ("Mass", "Nodule")
MASS = Finding(name="Mass", status="present", side="left")


def references() -> list[Answer]:
    return [
        Answer("There is a mass on the left side of the chest.", (MASS,)),
        Answer("The heart is normal in size and the lungs are clear.", ()),
        Answer("The lungs are clear.", (Finding(name="Nodule", status="uncertain"),)),
    ]


def candidates() -> list[Answer]:
    return [
        Answer("There is a mass on the left.", (MASS,), {"Mass": 0.9, "Nodule": 0.2}),
        Answer("The heart is normal in size.", (), {"Mass": 0.1}),
        Answer("", (), {"Mass": 0.3, "Nodule": 0.4}),
    ]


def table(**options: Any) -> StudyTable:
    return tabulate(("a", "b", "c"), ("p", "p", "q"), references(), candidates(), NAMES, **options)


def test_a_table_holds_status_codes_and_probabilities_by_finding() -> None:
    made = table()
    assert made.truth is not None
    assert made.truth.tolist() == [[3, 0], [0, 0], [0, 2]]
    assert made.claimed is not None
    assert made.claimed.tolist() == [[3, 0], [0, 0], [0, 0]]
    assert made.probabilities is not None
    assert np.isnan(made.probabilities[1, 1])
    assert made.sides is not None
    assert made.sides.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_truncation_cuts_the_reference_alone() -> None:
    words = replace(PLAIN, cut=3, reference=lambda text: " ".join(tokenise(text).split()[:3]))
    cut, full = table(words=words), table()
    assert cut.bleu[:, -1].tolist() == [3, 3, 3]
    assert full.bleu[0, -1] == 11
    assert cut.words.tolist() == full.words.tolist() == [7, 6, 0]


def test_saving_and_loading_keeps_every_number(tmp_path: Path) -> None:
    made = table()
    made.save(tmp_path / "studies.npz")
    again = StudyTable.load(tmp_path / "studies.npz")
    assert (again.names, again.groups, again.studies, again.notes) == (
        made.names,
        made.groups,
        made.studies,
        made.notes,
    )
    for name in ("bleu", "words", "truth", "claimed", "sides", "severities"):
        assert np.array_equal(getattr(again, name), getattr(made, name)), name
    for name in ("rouge_l", "cider", "probabilities"):
        assert getattr(again, name) == pytest.approx(getattr(made, name), rel=1e-6, nan_ok=True)
    assert again.meteor is None


def test_reports_without_a_parser_keep_probabilities_and_say_what_is_missing() -> None:
    unparsed = [Answer(a.report, None, a.probabilities) for a in candidates()]
    made = tabulate(("a", "b", "c"), ("p", "p", "q"), references(), unparsed, NAMES)
    assert made.claimed is None
    assert made.probabilities is not None
    assert "parser" in (made.notes or {})["findings"]


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "studies.npz"
    path.write_bytes(b"no table")
    with pytest.raises(DatasetError, match=r"studies\.npz: expected a study table"):
        StudyTable.load(path)


BOX = Box(xyxy=(0, 0, 10, 10))


def located() -> StudyTable:
    """A system that writes no report and marks three tenths of a box."""
    wanted = [
        Answer(a.report, a.findings, places=(MASS.model_copy(update={"boxes": (BOX,)}),)) for a in references()
    ]
    part = Finding(name="Mass", status="present", region=(Box(xyxy=(0, 0, 10, 3)),), peak=Point(xy=(5, 1)))
    said = [Answer(None, None, {"Mass": 0.5}, places=(part,))] * 3
    return tabulate(("a", "b", "c"), ("p", "p", "q"), wanted, said, NAMES)


def test_a_system_without_reports_has_no_text_and_says_so() -> None:
    made = located()
    assert made.bleu is made.rouge_l is made.cider is made.words is made.meteor is made.claimed is None
    assert made.truth is not None
    assert made.probabilities is not None
    assert made.notes == {"text": "no report is written", "findings": "no report is written"}


def test_references_without_reports_leave_no_text_to_compare() -> None:
    wanted = [Answer(None, a.findings) for a in references()]
    made = tabulate(("a", "b", "c"), ("p", "p", "q"), wanted, candidates(), NAMES)
    assert made.bleu is None
    assert (made.notes or {})["text"] == "the references hold no report"


def test_an_empty_report_among_others_is_scored() -> None:
    some = [*candidates()[:2], Answer(None, ())]
    made = tabulate(("a", "b", "c"), ("p", "p", "q"), references(), some, NAMES)
    assert made.words is not None
    assert made.words.tolist() == [7, 6, 0]


def test_places_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    made = located()
    made.save(tmp_path / "studies.npz")
    again = StudyTable.load(tmp_path / "studies.npz")
    for name in ("iou", "iobb", "pointing", "false_boxes"):
        assert np.array_equal(getattr(again, name), getattr(made, name), equal_nan=True), name
    assert again.bleu is None
    assert again.iou is not None
    assert not (again.iou > 0.3).any()  # exactly .3, which 32 bits would make greater


def test_without_places_on_both_sides_there_are_none() -> None:
    assert table().iou is None
    only = [Answer(a.report, a.findings, places=()) for a in candidates()]
    assert tabulate(("a", "b", "c"), ("p", "p", "q"), references(), only, NAMES).iou is None
