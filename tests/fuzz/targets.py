"""What each kind of input goes through: a result, or one line of ours that names the file, may come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from contrastcxr.data.source import Failure
from contrastcxr.errors import ContrastCXRError
from fuzz import dialects, objects, recipes


class Recipe(Protocol):
    """What writes an input into a folder."""

    def write(self, folder: Path) -> Path:
        """Write the input and return its path."""
        ...


@dataclass(frozen=True)
class Batch:
    """Several inputs in one folder, each in a folder of its own below it."""

    inputs: tuple[Recipe, ...]

    def write(self, folder: Path) -> Path:
        for number, each in enumerate(self.inputs, start=1):
            inner = folder / "batch" / str(number)
            inner.mkdir(parents=True)
            path = each.write(inner)
            if path.suffix == ".jsonl":
                path.rename(inner / "studies.jsonl")
        return folder / "batch"


BATCHES = st.builds(
    Batch,
    st.lists(
        st.one_of(objects.PLAIN, objects.COMPRESSED, recipes.HEADERS, recipes.MANIFESTS), min_size=2, max_size=4
    ).map(tuple),
)


@dataclass(frozen=True)
class Kind:
    """A kind of input: its recipes, what reads it, and its share of 10,000 inputs."""

    recipes: st.SearchStrategy[Any]
    read: Callable[[Path], list[str]]
    inputs: int


def read_pictures(*paths: Path) -> list[str]:
    """What `contrastcxr read` does before the model, and what it complains of."""
    return [failure.message for failure in _read_pictures(paths)[1]]


def _read_pictures(paths: Sequence[Path]) -> tuple[list[str], list[Failure]]:
    """Where the pictures that are read lie, and what could not be read."""
    studies, failures = studies_from_paths(paths)
    read = []
    for study in studies:
        loaded, more = with_pixels(study)
        failures += more
        if loaded is None:
            continue
        for view in loaded.views:
            read.append(str(view.locator))
            assert view.pixels is not None
            assert view.pixels.dtype == np.float32
            assert np.isfinite(view.pixels).all()
            assert 0 <= view.pixels.min() <= view.pixels.max() <= 1
    return read, failures


def read_folder(path: Path) -> list[str]:
    """What `contrastcxr read` does with a folder of this file, or of these files, and a good one.

    The good one is always read.
    """
    folder = path if path.is_dir() else path.parent
    for inner in (each for each in path.iterdir() if each.is_dir()) if path.is_dir() else ():
        (inner / "chest.png").write_bytes(_png())
    good = dicom("good.dcm", SOPInstanceUID="1.2.9.1", StudyInstanceUID="1.2.9")(folder)
    read, failures = _read_pictures([folder])
    assert read.count(str(good)) == 1, "the good file is lost"
    said = [failure.message for failure in failures]
    return said if path.is_dir() else [*read_pictures(path), *said]


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


def check_source(root: Path) -> list[str]:
    """What `data check` and training on texts do with the tables of a data set."""
    source = open_source(f"{root.name}:{root}{'?images=any' if root.name != 'nih14' else ''}")
    source.inventory()
    for study in source.studies():
        study.model_dump_json()
    return []


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
    "headers": Kind(recipes.HEADERS, read_pictures, 1_500),
    "objects": Kind(objects.TREES, read_folder, 2_500),
    "streams": Kind(recipes.STREAMS, read_pictures, 1_000),
    "batches": Kind(BATCHES, read_folder, 500),
    "manifests": Kind(recipes.MANIFESTS, check_manifest, 1_000),
    "tables": Kind(dialects.TABLES, read_table, 1_000),
    "sources": Kind(dialects.PUBLISHED, check_source, 1_000),
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
        assert "not foreseen" not in message, f"an exception of a library: {message!r}"
        assert str(path.parent) in message, f"names no file: {message!r}"
        assert len(message) < 1500 + len(str(path)), f"a long message: {message[:300]!r}"
