"""`data check` on every folder of real samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contrastcxr.cli.data import data


@pytest.mark.data
@pytest.mark.parametrize(
    ("source", "images", "missing", "status"),
    [
        ("covid:{}/covid_chestxray", 281, 0, 0),
        ("nih14:{}/nih14", 1_583, 0, 0),
        ("paths:{}/dicom", 1, 0, 0),
    ],
)
def test_check_counts_what_is_there(
    shared_data: Path, source: str, images: int, missing: int, status: int
) -> None:
    result = CliRunner().invoke(data, ["check", source.format(shared_data), "--json"])
    said = json.loads(result.stdout)
    assert (said["images"], said["missing"], result.exit_code) == (images, missing, status)
    assert said["licence"]
    assert said["from"]
