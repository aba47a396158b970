from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastcxr.errors import DatasetError
from contrastcxr.form import Finding
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
