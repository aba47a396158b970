"""`contrastcxr data check --attributes`: a line for each attribute, and lists that are not known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPORTS = ("Patchy right lower lobe opacity.", "No focal consolidation.", "Pneumonia is suspected.")


@pytest.fixture
def manifest(tmp_path: Path, png: Callable[..., Path]) -> Path:
    rows = [
        {"study_id": str(i), "image": png(f"{i}.png").name, "findings": text} for i, text in enumerate(REPORTS)
    ]
    file = tmp_path / "studies.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_the_command_prints_a_line_for_each(command: Any, manifest: Path) -> None:
    ran = command("data", "check", f"manifest:{manifest}", "--attributes", "pneumonia")
    assert ran.status == 0
    assert "attributes of the list pneumonia: reports 3; with a finding of the list 2" in ran.out
    assert [line.split() for line in ran.out.splitlines() if line.startswith(("patchy", "focal"))] == [
        ["patchy", "1", "1"],
        ["focal", "0", "1"],
    ]


def test_an_unknown_list_is_a_wrong_request(command: Any, manifest: Path) -> None:
    ran = command("data", "check", f"manifest:{manifest}", "--attributes", "pneumonias")
    assert ran.status == 2
    assert "unknown attribute list 'pneumonias'; did you mean 'pneumonia'?" in ran.err
