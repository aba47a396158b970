"""What each kind of input goes through: a result, or one line of ours that names the file, may come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from hypothesis import strategies as st
from PIL import Image
from radiograph_files import ramp

from bad_input.files import dicom
from contrastcxr.api import open_source
from contrastcxr.data.pixels import with_pixels
from contrastcxr.data.readers.paths import studies_from_paths
from contrastcxr.errors import ContrastCXRError
from fuzz import dialects, objects, recipes


class Recipe(Protocol):
    """What writes an input into a folder."""

    def write(self, folder: Path) -> Path:
        """Write the input and return its path."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of input: its recipes, what reads it, and its share of 10,000 inputs."""

    recipes: st.SearchStrategy[Any]
    read: Callable[[Path], list[str]]
    inputs: int


def read_pictures(path: Path) -> list[str]:
    """What `contrastcxr read` does before the model, and what it complains of."""
    studies, failures = studies_from_paths([path])
    for study in studies:
        loaded, more = with_pixels(study)
        failures += more
        if loaded is None:
            continue
        for view in loaded.views:
            assert view.pixels is not None
            assert view.pixels.dtype == np.float32
            assert np.isfinite(view.pixels).all()
            assert 0 <= view.pixels.min() <= view.pixels.max() <= 1
    return [failure.message for failure in failures]


def read_folder(path: Path) -> list[str]:
    """What `contrastcxr read` does with a folder of this file and a good one, which is always read."""
    dicom("good.dcm")(path.parent)
    studies, failures = studies_from_paths([path.parent])
    found = [view.locator for study in studies for view in study.views]
    assert found.count(str(path.parent / "good.dcm")) == 1, "the good file is lost"
    return [*read_pictures(path), *(failure.message for failure in failures)]


def read_table(path: Path) -> list[str]:
    """What `data check`, `label` and `evaluate --readings` do with a table or records, whatever they are of."""
    from contrastcxr.data.report_files import Columns, ReportTexts
    from contrastcxr.evaluation.submitted import load_readings as load

    for name in ("a b.png", "Müller é.png"):
        (path.parent / name).write_bytes(_png())
    said: list[str] = []
    texts = ReportTexts(on_failure=lambda error: said.append(str(error)), columns=Columns())
    for read in (check_manifest, lambda it: list(texts.files([it])), load):
        try:
            read(path)
        except ContrastCXRError as error:
            said.append(str(error))
    return said


def check_manifest(path: Path) -> list[str]:
    """What `data check` and `read` do with a manifest."""
    (path.parent / "chest.png").write_bytes(_png())
    _, failures = studies_from_paths([path])
    source = open_source(f"manifest:{path}")
    source.inventory()
    for study in source.studies():
        study.model_dump_json()
    return [failure.message for failure in failures]


def check_annotation(path: Path) -> list[str]:
    """What `data check iu_xray:` does with an annotation file."""
    source = open_source(f"iu_xray:{path.parent}?images=any")
    source.inventory()
    list(source.studies())
    return []


def load_readings(path: Path) -> list[str]:
    """What `evaluate --readings` does with a file."""
    from contrastcxr.evaluation.submitted import load_readings as load

    load(path)
    return []


def load_system(path: Path) -> list[str]:
    """What `--model` does with a file."""
    from contrastcxr.reading.reader import Reader

    Reader.from_checkpoint(path)
    return []


@cache
def _png() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "chest.png"
        Image.fromarray(ramp().astype(np.uint8)).save(path)
        return path.read_bytes()


KINDS: dict[str, Kind] = {
    "headers": Kind(recipes.HEADERS, read_pictures, 2_500),
    "objects": Kind(objects.TREES, read_folder, 2_500),
    "streams": Kind(recipes.STREAMS, read_pictures, 1_500),
    "manifests": Kind(recipes.MANIFESTS, check_manifest, 1_000),
    "tables": Kind(dialects.DIALECTS, read_table, 1_000),
    "annotations": Kind(recipes.ANNOTATIONS, check_annotation, 500),
    "readings": Kind(recipes.READINGS, load_readings, 500),
    "checkpoints": Kind(recipes.CHECKPOINTS, load_system, 500),
}


def try_out(kind: str, recipe: Recipe, folder: Path) -> None:
    """Make the input and read it.

    Raises:
        AssertionError: what was said is not one line that names the file.
        Exception: whatever else comes out than an error of ours, which is what is looked for.
    """
    path = recipe.write(folder)
    try:
        said = KINDS[kind].read(path)
    except ContrastCXRError as error:
        said = [str(error)]
    for message in said:
        assert "\n" not in message.strip(), f"more than one line: {message!r}"
        assert str(path.parent) in message, f"names no file: {message!r}"
        assert len(message) < 1500 + len(str(path)), f"a long message: {message[:300]!r}"
