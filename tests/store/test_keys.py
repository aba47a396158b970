from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from contrastcxr.errors import ImageError
from contrastcxr.form import View
from contrastcxr.store import keys
from contrastcxr.store.keys import DRAWING, drawing_key, view_key


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
    found = []
    for version in ("1", "2"):
        monkeypatch.setattr(keys, "phantom_version", lambda version=version: version)
        found.append(view_key(view))
    assert found[0] != found[1]


def test_the_phantom_version_is_the_same_each_time() -> None:
    assert keys.phantom_version.__wrapped__() == keys.phantom_version()


def test_the_gate_was_met_by_the_phantoms_that_are_drawn_today() -> None:
    record = Path(__file__).resolve().parents[2] / "results" / "phantom-gate.json"
    assert json.loads(record.read_text())["phantoms"] == keys.phantom_version()


PACKAGE = Path(keys.__file__).parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the rooms that draw phantoms."""
    for name in DRAWING:
        one = PACKAGE / name
        (shutil.copytree if one.is_dir() else shutil.copy)(one, tmp_path / name)
    return tmp_path


def test_a_copy_of_the_package_has_the_same_key(copy: Path) -> None:
    assert drawing_key(copy) == drawing_key()


@pytest.mark.parametrize(
    "changed",
    [
        "form.py",
        "vocab/labels.py",
        "text/clean.py",
        "text/grammar/writing.py",
        "text/grammar/wordings.yaml",
        "phantom/measure.py",
        "phantom/cooccurrence.json",
    ],
)
def test_a_source_file_that_changes_makes_another_key(copy: Path, changed: str) -> None:
    with (copy / changed).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert drawing_key(copy) != drawing_key()


def test_a_file_that_is_new_or_renamed_makes_another_key(copy: Path) -> None:
    (copy / "phantom" / "marker.py").rename(copy / "phantom" / "markers.py")
    assert drawing_key(copy) != drawing_key()


def test_what_python_compiles_is_no_part_of_the_key(copy: Path) -> None:
    (copy / "phantom" / "__pycache__").mkdir(exist_ok=True)
    (copy / "phantom" / "__pycache__" / "marker.pyc").write_bytes(b"0")
    assert drawing_key(copy) == drawing_key()


def test_the_key_covers_every_module_that_drawing_imports() -> None:
    """Whatever `draw_studies` can reach inside this package stands in one of the rooms of the key."""
    from test_rooms import FILES, arrows

    seen: set[str] = set()
    waiting = ["contrastcxr.phantom.corpus"]
    while waiting:
        module = waiting.pop()
        if module not in seen and module in FILES:
            seen.add(module)
            waiting += arrows()[module]
    names = {FILES[module].relative_to(PACKAGE).parts[0] for module in seen}
    assert names <= set(DRAWING), f"not in the key: {names - set(DRAWING)}"
