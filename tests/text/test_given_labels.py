"""Labels beside texts: the four states as words and numbers, and agreement counted cell by cell."""

from __future__ import annotations

import pytest

from contrastcxr.errors import DatasetError
from contrastcxr.form import Finding
from contrastcxr.text.given_labels import SHOWN, Agreement, finding_columns, status_of


@pytest.mark.parametrize(
    ("cell", "status"),
    [("", "unmentioned"), ("1.0", "present"), (" -1 ", "uncertain"), ("0", "absent"), ("Present", "present")],
)
def test_a_cell_states_one_of_four(cell: str, status: str) -> None:
    assert status_of(cell, finding="Edema", where="t row 2") == status


@pytest.mark.parametrize("cell", ["2", "maybe", "nan", "1.5"])
def test_anything_else_is_named_with_its_place(cell: str) -> None:
    with pytest.raises(DatasetError, match=f"t row 2: Edema is '{cell}'; expected present, absent"):
        status_of(cell, finding="Edema", where="t row 2")


def test_columns_but_id_and_text_are_findings() -> None:
    header = ["study_id", "Edema", "text", "Pneumonia"]
    assert finding_columns(header, (0, 2), "t") == ((1, "Edema"), (3, "Pneumonia"))
    with pytest.raises(DatasetError, match="column 'Edma' is no finding; did you mean 'Edema'"):
        finding_columns(["text", "Edma"], (0,), "t")
    with pytest.raises(DatasetError, match="no column of a finding"):
        finding_columns(["text"], (0,), "t")


def test_agreement_is_counted_by_finding_and_disagreements_are_kept() -> None:
    counted = Agreement()
    said = (Finding(name="Edema", status="present"), Finding(name="Pneumonia", status="unmentioned"))
    counted.add("a", {"Edema": "present", "Pneumonia": "unmentioned"}, said)
    assert counted.whole
    counted.add("b", {"Edema": "absent"}, said)
    assert not counted.whole
    assert counted.in_words() == ["b: Edema: given absent, labelled present", "2 of 3 cells agree, 2 reports"]
    assert counted.to_dict()["findings"] == {
        "Edema": {"cells": 2, "agree": 1},
        "Pneumonia": {"cells": 1, "agree": 1},
    }


def test_of_many_disagreements_the_first_are_shown_and_the_others_counted() -> None:
    counted = Agreement()
    for k in range(SHOWN + 5):
        counted.add(f"s{k}", {"Edema": "absent"}, [Finding(name="Edema", status="present")])
    lines = counted.in_words()
    assert len(lines) == SHOWN + 2
    assert lines[-2:] == ["… and 5 cells more", f"0 of {SHOWN + 5} cells agree, {SHOWN + 5} reports"]
