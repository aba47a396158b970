from __future__ import annotations

import re
from pathlib import Path

import pytest

from contrastcxr.errors import UnknownNameError
from contrastcxr.vocab.chestx_det import CHESTX_DET, det_class
from contrastcxr.vocab.labels import CANONICAL, NIH14

DATA_PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"


def test_the_thirteen_classes_stand_once_each_in_order() -> None:
    names = [one.original for one in CHESTX_DET]
    assert len(names) == 13
    assert names == sorted(set(names))


def test_every_name_is_one_of_ours_and_different() -> None:
    ours = [one.name for one in CHESTX_DET if one.name]
    assert set(ours) <= set(CANONICAL)
    assert len(set(ours)) == len(ours) == 12


def test_three_classes_have_no_nih_label_and_the_others_their_own() -> None:
    assert {one.original for one in CHESTX_DET if one.nih is None} == {
        "Calcification",
        "Diffuse Nodule",
        "Fracture",
    }
    assert {one.nih for one in CHESTX_DET if one.nih} <= set(NIH14)
    assert all(one.nih == one.name for one in CHESTX_DET if one.nih)


def test_every_class_has_its_reason() -> None:
    assert all(len(one.reason) > len("the same") for one in CHESTX_DET)
    assert not [one.reason for one in CHESTX_DET if one.reason.endswith(".")]


def test_what_clouds_a_finding_has_no_name_itself() -> None:
    names = {one.name for one in CHESTX_DET}
    assert {one.original: one.clouds for one in CHESTX_DET if one.clouds} == {"Diffuse Nodule": "Nodule"}
    assert all(one.name is None and one.clouds in names for one in CHESTX_DET if one.clouds)


def test_an_unknown_class_names_the_nearest() -> None:
    assert det_class("Effusion").name == "Pleural Effusion"
    with pytest.raises(UnknownNameError, match="unknown ChestX-Det class 'Efusion'; did you mean 'Effusion'"):
        det_class("Efusion")


def test_the_data_page_has_the_table_as_the_code_has_it() -> None:
    page = DATA_PAGE.read_text(encoding="utf-8")
    rows = [f"| {one.original} | {one.name or '—'} | {one.nih or '—'} | {one.reason} |" for one in CHESTX_DET]
    missing = [row for row in rows if not re.search(re.escape(row), page)]
    assert not missing, "\n".join(missing)
