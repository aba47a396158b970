from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from contrastcxr.data import identity
from contrastcxr.data.identity import view_key
from contrastcxr.errors import ImageError
from contrastcxr.form import View


def test_a_changed_file_has_another_key_and_an_unchanged_one_the_same(png: Callable[..., Path]) -> None:
    view = View(view_id="a", locator=str(png()))
    first = view_key(view)
    assert view_key(view) == first
    os.utime(view.locator or "", ns=(1, 1))
    assert view_key(view) != first


def test_a_file_that_is_gone_has_no_key(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: No such file or directory; expected an image file"):
        view_key(View(view_id="a", locator=str(tmp_path / "gone.png")))


def test_a_phantoms_key_holds_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(view_id="p", locator="phantom:smoke/train/000000?seed=0&view=frontal")
    keys = []
    for version in ("1", "2"):
        monkeypatch.setattr(identity, "phantom_version", lambda version=version: version)
        keys.append(view_key(view))
    assert keys[0] != keys[1]


def test_the_phantom_version_is_the_same_each_time() -> None:
    assert identity.phantom_version.__wrapped__() == identity.phantom_version()


def test_the_gate_was_met_by_the_phantoms_that_are_drawn_today() -> None:
    record = Path(__file__).resolve().parents[2] / "results" / "phantom-gate.json"
    assert json.loads(record.read_text())["phantoms"] == identity.phantom_version()
