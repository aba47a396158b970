"""Writing studies as a manifest: JSON lines, CSV or Parquet, each row a whole study that reads back as it was."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from contrastcxr.data.readers.manifest_records import NESTED, WHOLE, WRITTEN
from contrastcxr.errors import DatasetError, MissingExtraError, OutputError
from contrastcxr.files import atomic_write
from contrastcxr.form import Study, View, is_file_locator, locator_path

CELL_LIMIT = 131_072
"""Characters that readers of CSV take in one cell (Python's own limit)."""

_BATCH = 1_000
"""Studies that go to Parquet at a time."""


def write_manifest(studies: Iterable[Study], path: Path) -> int:
    """Write the studies and return how many there were; the suffix of the path decides the format.

    Pictures below the manifest's folder are named relative to it, others by their full path, so that the manifest
    is read alike from everywhere, and from elsewhere when its folder is moved with its pictures.

    Raises:
        DatasetError: a view is only in memory.
        OutputError: another suffix, a cell too long for CSV, or the file cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    placed = (placed_study(study, path.parent) for study in studies)
    if suffix == ".jsonl":
        with atomic_write(path) as file:
            return _write_lines(placed, file)
    if suffix == ".csv":
        with atomic_write(path) as file:
            return _write_csv(placed, file, path)
    if suffix == ".parquet":
        return _write_parquet(placed, path)
    raise OutputError(f"{path}: a manifest ends in {', '.join(WRITTEN)}; give it one of these names")


def placed_study(study: Study, folder: Path) -> Study:
    """Return the study with its locators as a manifest in this folder names them.

    Raises:
        DatasetError: a view has no locator.
    """
    views = tuple(_placed(view, study.study_id, folder.absolute()) for view in study.views)
    return study.model_copy(update={"views": views})


def _placed(view: View, study_id: str, folder: Path) -> View:
    if view.locator is None:
        raise DatasetError(f"study '{study_id}': view '{view.view_id}' is only in memory; save it first")
    if not is_file_locator(view.locator):
        return view
    path = locator_path(view.locator).absolute()
    inside = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return view.model_copy(update={"locator": inside})


def _write_lines(studies: Iterable[Study], file: IO[str]) -> int:
    count = 0
    for study in studies:
        file.write(study.model_dump_json(exclude_defaults=True) + "\n")
        count += 1
    return count


def _write_csv(studies: Iterable[Study], file: IO[str], path: Path) -> int:
    table = csv.DictWriter(file, WHOLE, lineterminator="\n")
    table.writeheader()
    count = 0
    for cells in _cells(studies):
        longest = max(cells, key=lambda name: len(str(cells[name])))
        if len(str(cells[longest])) > CELL_LIMIT:
            raise OutputError(
                f"{path}: {len(str(cells[longest])):,} characters of {longest} in study '{cells['study_id']}'; "
                f"a CSV cell holds at most {CELL_LIMIT:,}; write .jsonl or .parquet"
            )
        table.writerow(cells)
        count += 1
    return count


def _cells(studies: Iterable[Study]) -> Iterator[dict[str, Any]]:
    """Yield fields of each study that are not empty, nested ones as JSON."""
    for study in studies:
        fields = study.model_dump(mode="json", exclude_defaults=True)
        yield {
            name: json.dumps(value, ensure_ascii=False) if name in NESTED else value
            for name, value in fields.items()
        }


def _write_parquet(studies: Iterable[Study], path: Path) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", f"the manifest {path.name}") from error
    schema = pyarrow.schema([(name, pyarrow.float64() if name == "age" else pyarrow.string()) for name in WHOLE])
    count = 0
    with atomic_write(path, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        batch: list[dict[str, Any]] = []
        for cells in _cells(studies):
            count += 1
            batch.append(cells)
            if len(batch) == _BATCH:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
                batch = []
        if batch:
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
    return count
