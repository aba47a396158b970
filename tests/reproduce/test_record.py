from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from contrastcxr.config import without_folders
from contrastcxr.errors import DatasetError
from contrastcxr.reproduce import read_record
from tiny_plan import record


def test_a_record_is_read_back_and_another_file_is_refused(tmp_path: Path) -> None:
    made = record("nic-none")
    made.write(tmp_path / "nic-none-seed0.json")
    assert read_record(tmp_path / "nic-none-seed0.json") == made
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DatasetError, match="expected a record of schema"):
        read_record(tmp_path / "other.json")


def test_a_record_without_a_recipe_is_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "nic-none-seed0.json"
    record("nic-none").write(path)
    old = json.loads(path.read_text())
    assert old.pop("recipe") == "first"
    path.write_text(json.dumps(old))
    assert read_record(path).recipe == "first"
    replace(record("nic-none"), recipe="fair").write(path)
    assert read_record(path).recipe == "fair"


def test_an_undefined_figure_cannot_enter_a_record(tmp_path: Path) -> None:
    broken = replace(record("nic-none"), twins={"share": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        broken.write(tmp_path / "broken.json")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_taken_out_of_a_configuration() -> None:
    config = {"data": {"root": "/home/me/nih"}, "encoder": {"weights": "/home/me/lite0.safetensors"}}
    assert without_folders(config) == {"data": {"root": None}, "encoder": {"weights": "lite0.safetensors"}}
