"""A source gives the same studies one by one as all at once, and says the same of what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contrastcxr.data.readers.manifest import Manifest
from contrastcxr.data.readers.nih14 import Nih14
from contrastcxr.data.readers.nih_plain import NihPlain
from contrastcxr.data.source import Source
from contrastcxr.errors import UnknownNameError


def listed(source: Source, split: str | None) -> tuple[list[object], list[str]]:
    missing: list[str] = []
    return list(source.stream(split, on_missing=missing.append)), missing


@pytest.mark.parametrize("kind", [Nih14, NihPlain])
def test_nih_sources_stream_what_they_list(nih: Path, kind: Callable[[Path], Source]) -> None:
    (nih / "images_001" / "images" / "00000002_000.png").unlink()
    for split in (None, *kind(nih).splits):
        assert listed(kind(nih), split) == (kind(nih).studies(split), list(kind(nih).missing))


def test_a_manifest_streams_what_it_lists(png: Callable[..., Path], tmp_path: Path) -> None:
    png("a.png")
    rows = [{"study_id": f"s{i}", "image": "a.png" if i else "gone.png", "split": f"x{i % 2}"} for i in range(5)]
    path = tmp_path / "studies.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    for split in (None, "x0", "x1"):
        studies, missing = listed(Manifest(path), split)
        assert studies == Manifest(path).studies(split)
        assert missing == list(Manifest(path).missing) == [str(tmp_path / "gone.png")]


def test_a_split_that_is_not_there_is_named_before_anything_is_read(nih: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'test'"):
        next(Nih14(nih).stream("tset"))
