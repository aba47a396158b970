"""Shared fixtures: the real samples where they are, miniature copies of published layouts, small radiographs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from mini_data import mini_study, use_studies
from mini_nih import write_nih
from PIL import Image
from pydicom.dataset import Dataset
from radiograph_files import radiograph, ramp

from browser import Browser, find_browser
from contrastcxr.form import Study
from skips import pytest_sessionfinish, pytest_terminal_summary

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary"]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.pop("CONTRASTCXR_CACHE", None)  # no test reads or fills a user's cache

settings.register_profile("untimed", deadline=None)  # a first call may load what takes a second
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes of a file by their argument: packed ones hold the time, and both workers must collect alike."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the tests of a module, since starting it takes longest."""
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real samples beside the checkout; the test skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real samples are not at {folder}")
    return folder


@pytest.fixture
def png(tmp_path: Path) -> Callable[..., Path]:
    """Writes a picture under `tmp_path` and returns its path."""

    def write(
        name: str = "a.png", array: np.ndarray | None = None, mode: str | None = None, **save: object
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(ramp().astype(np.uint8) if array is None else array)
        (image if mode is None else image.convert(mode)).save(path, **save)
        return path

    return write


@pytest.fixture
def dicom(tmp_path: Path) -> Callable[..., Path]:
    """Writes a CR of the chest with some attributes changed (None removes one) and returns its path."""

    def write(
        name: str = "a.dcm",
        stored: np.ndarray | None = None,
        bits: int = 12,
        edit: Callable[[Dataset], None] | None = None,
        **attributes: object,
    ) -> Path:
        ds = radiograph(ramp(top=4095) if stored is None else stored, bits)
        for key, value in attributes.items():
            if value is None:
                delattr(ds, key)
            else:
                setattr(ds, key, value)
        if edit:
            edit(ds)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    """Six NIH images of four patients, resized to 64×128, in `images_001/images` and `images_002/images`."""
    return write_nih(tmp_path)


@pytest.fixture
def mini_data(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Study]]:
    """Sixteen studies to train on and eight to validate, from every source."""

    def load(split: str) -> list[Study]:
        return [mini_study(i, split=split) for i in range(16 if split == "train" else 8)]

    use_studies(monkeypatch, load)
    return load


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
