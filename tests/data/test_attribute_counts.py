"""How often reports state attributes: counted, left out, and refused where nobody wrote a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contrastcxr import api
from contrastcxr.errors import DatasetError

REPORTS = (
    "Patchy right lower lobe opacity.",
    "No focal consolidation.",
    "Pneumonia is suspected.",
    "",
)


@pytest.fixture
def manifest(tmp_path: Path, png: Callable[..., Path]) -> Path:
    rows = [
        {"study_id": str(i), "image": png(f"{i}.png").name, "findings": text} for i, text in enumerate(REPORTS)
    ]
    file = tmp_path / "studies.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_attributes_are_counted_and_reports_without_one_left_out(manifest: Path) -> None:
    counts = api.check_data(f"manifest:{manifest}", attributes="pneumonia")["attributes"]
    assert (counts["reports"], counts["with a finding of the list"]) == (3, 2)
    assert (counts["with an attribute of it"], counts["left out"], counts["attributes a report"]) == (1, 1, 5.0)
    assert {name for name, number in counts["stated"].items() if number} == {
        *("right", "lower", "lobe", "opacity", "patchy")
    }
    assert (counts["stated"]["focal"], counts["written"]["focal"]) == (0, 1)


def test_data_without_reports_is_refused(png: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError, match="no study has a report"):
        api.check_data(str(png("alone.png").parent), attributes="pneumonia")
