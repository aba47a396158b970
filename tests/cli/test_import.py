"""`contrastcxr import r2gen` as a user types it, and the reading that follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from r2gen_files import HEADS, IDS, save_r2gen, save_vocabulary

OPTIONS = ("--heads", HEADS, "--memory-heads", HEADS)


@pytest.fixture
def theirs(tmp_path: Path) -> tuple[Path, Path]:
    return save_r2gen(tmp_path / "model_best.pth"), save_vocabulary(tmp_path / "token2idx.json")


def test_an_imported_checkpoint_reads(
    command: Any, theirs: tuple[Path, Path], pictures: Path, tmp_path: Path
) -> None:
    checkpoint, vocabulary = theirs
    ran = command("import", "r2gen", checkpoint, "--vocabulary", vocabulary, *OPTIONS)
    made = tmp_path / "model_best.safetensors"
    assert (ran.status, ran.out.strip()) == (0, str(made))
    assert "resnet18, iu_xray with 2 views a study, 10 ids, heads 4 and 4" in ran.err
    read = command("read", pictures / "first.png", "--model", made, "--out", tmp_path / "out", "--quiet")
    assert read.status == 0, read.err
    reading = json.loads(next((tmp_path / "out").rglob("first*.json")).read_text())
    assert reading["provenance"]["model"]["decoder"] == "r2gen"


def test_a_vocabulary_of_another_size_is_one_line_and_status_2(
    command: Any, theirs: tuple[Path, Path], tmp_path: Path
) -> None:
    other = save_vocabulary(tmp_path / "other.json", {**IDS, "opacity": len(IDS) + 1})
    out = tmp_path / "made.safetensors"
    ran = command("import", "r2gen", theirs[0], "--vocabulary", other, "--out", out, *OPTIONS)
    assert ran.status == 2
    assert len(ran.err.splitlines()) == 1
    assert "11 ids (its 10 words and the shared 0), but" in ran.err
    assert "was trained with 10" in ran.err
    assert not out.exists()


def test_the_checkpoint_itself_is_not_written_over(command: Any, theirs: tuple[Path, Path]) -> None:
    checkpoint, vocabulary = theirs
    ran = command("import", "r2gen", checkpoint, "--vocabulary", vocabulary, "--out", checkpoint, *OPTIONS)
    assert ran.status == 2
    assert "is the checkpoint itself" in ran.err


def test_json_says_what_was_made(command: Any, theirs: tuple[Path, Path]) -> None:
    checkpoint, vocabulary = theirs
    said = json.loads(
        command("import", "r2gen", checkpoint, "--vocabulary", vocabulary, *OPTIONS, "--json", "--quiet").out
    )
    assert said["vocabulary"] == 10
    assert said["config"]["decoder"]["kind"] == "r2gen"
