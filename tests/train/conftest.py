"""Fixtures of the training tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mini_data import MiniSource, mini_study

from contrastcxr.form import Study


@pytest.fixture
def mini_data(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Study]]:
    """Sixteen studies to train on and eight to validate, under any data name."""

    def load(name: str) -> list[Study]:
        split = name.partition("?")[0].rpartition("/")[2]
        return [mini_study(i, split=split) for i in range(16 if split == "train" else 8)]

    monkeypatch.setattr("contrastcxr.train.studies.stream_studies", lambda name, **_: iter(load(name)))
    monkeypatch.setattr("contrastcxr.train.prepare.open_source", lambda _: MiniSource())
    return load


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
