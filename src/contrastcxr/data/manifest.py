"""A manifest: one study a line, as JSON lines of whole studies, or as JSON lines or CSV with simple columns.

A line with `views` is a whole `Study`; any other uses the columns of `COLUMNS`. In CSV, lists are separated by
`;`, a label may carry its status (`Edema=uncertain`; a plain label is present), and `boxes` is JSON. Paths are
relative to the manifest's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contrastcxr.data.failures import Failure
from contrastcxr.data.headers import file_size
from contrastcxr.data.manifest_columns import COLUMNS, study_fields
from contrastcxr.data.source import Licence, OnMissing, Source, unheard
from contrastcxr.data.tables import Row, each_line, read_csv
from contrastcxr.errors import ContrastCXRError, DatasetError, ImageError, nearest
from contrastcxr.form import Study, View, is_file_locator, locator_path

SUFFIXES = (".jsonl", ".csv")

LICENCE = Licence(
    terms="the user's own data",
    redistributable=False,
    contains_text=True,
    contains_pictures=True,
    where="the user's disk",
)


@dataclass(frozen=True)
class Record:
    """One line of a manifest before it is checked."""

    where: str
    read: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Parsed:
    """What a manifest gives: its good studies, its bad rows, and the images it names that are not there."""

    studies: tuple[Study, ...]
    failures: tuple[Failure, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """What one row gives: a study or a failure; images that it names and that are not there undo its study."""

    study: Study | None = None
    failure: Failure | None = None
    missing: tuple[str, ...] = ()


class Manifest(Source):
    """The studies of one manifest; a wrong row refuses the whole file, a missing image only its study.

    The file is gone through once to check it and again for its studies, so that those of a long one are not held.
    """

    name = "manifest"
    licence = LICENCE

    def __init__(self, path: Path) -> None:
        self.path = path
        self._missing: list[str] = []
        splits = dict.fromkeys(self._checked_splits())
        usual = ("train", "train_val", "validation", "test")
        self.splits = (*(s for s in usual if s in splits), *(s for s in splits if s and s not in usual))

    @property
    def missing(self) -> tuple[str, ...]:
        """Images that the manifest names and that are not there; their studies are left out."""
        return tuple(self._missing)

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies row by row, keeping none of them."""
        self.check_split(split)
        for line in each_row(self.path):
            for name in line.missing:
                on_missing(name)
            if line.study is not None and (split is None or line.study.split == split):
                yield line.study

    def _load(self) -> Iterable[Study]:
        return self._studies

    @cached_property
    def _studies(self) -> tuple[Study, ...]:
        return tuple(self.stream())

    def _checked_splits(self) -> Iterator[str | None]:
        """The split of each study, once every row has been found good."""
        failures: list[Failure] = []
        found = 0
        for line in each_row(self.path):
            self._missing += line.missing
            failures += [line.failure] if line.failure else []
            if line.study is not None:
                found += 1
                yield line.study.split
        if failures:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise DatasetError(f"{failures[0].message}{more}")
        if not found:
            raise DatasetError(f"{self.path}: holds no study whose images are there; check the paths in it")


def parse_manifest(path: Path) -> Parsed:
    """Read a manifest, keeping the good rows and listing the others.

    Raises:
        DatasetError: the file cannot be read at all, or has unknown columns.
    """
    lines = list(each_row(path))
    return Parsed(
        studies=tuple(line.study for line in lines if line.study is not None),
        failures=tuple(line.failure for line in lines if line.failure is not None),
        missing=tuple(name for line in lines for name in line.missing),
    )


def each_row(path: Path) -> Iterator[Line]:
    """Yield what each row of a manifest gives.

    Raises:
        DatasetError: the file cannot be read at all, or has unknown columns.
    """
    first_at: dict[str, str] = {}
    for record in _records(path):
        try:
            yield _line(record, path, first_at)
        except ContrastCXRError as error:
            yield Line(failure=Failure.of(record.where, error))


def _line(record: Record, path: Path, first_at: dict[str, str]) -> Line:
    study = _study(record, path.parent)
    absent = tuple(v.locator or "" for v in study.views if _is_absent(v))
    if study.study_id in first_at:
        error = DatasetError(
            f"{record.where}: study_id '{study.study_id}' is already in {path.name} {first_at[study.study_id]}; "
            "ids must differ; rename one"
        )
        return Line(failure=Failure.of(record.where, error), missing=absent)
    first_at[study.study_id] = record.where.removeprefix(f"{path} ")
    return Line(missing=absent) if absent else Line(study=_checked(study, record.where))


def manifest_line(study: Study) -> str:
    """Return the study as one line of a manifest, without a line break; views in memory cannot be written.

    Raises:
        DatasetError: a view has no locator.
    """
    for view in study.views:
        if view.locator is None:
            raise DatasetError(f"study '{study.study_id}': view '{view.view_id}' is only in memory; save it first")
    return study.model_dump_json(exclude_defaults=True)


def _records(path: Path) -> Iterator[Record]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _csv_records(path)
    if suffix == ".jsonl":
        return _json_records(path)
    raise DatasetError(f"{path}: expected a manifest that ends in {' or '.join(SUFFIXES)}; rename or convert it")


def _csv_records(path: Path) -> Iterator[Record]:
    header, rows = read_csv(path)
    _check_columns(header, f"{path} header")
    for row in rows:
        yield Record(f"{path} row {row.number}", partial(_csv_fields, header, row))


def _csv_fields(header: Sequence[str], row: Row) -> Mapping[str, Any]:
    if len(row.cells) > len(header):
        raise row.error(f"{len(row.cells)} cells under {len(header)} columns; quote cells that hold a comma")
    cells = ((name, row.cell(i)) for i, name in enumerate(header))
    return {name: text for name, text in cells if text}


def _json_records(path: Path) -> Iterator[Record]:
    for number, line in each_line(path):
        where = f"{path} line {number}"
        yield Record(where, partial(_json_fields, line, where))


def _json_fields(line: str, where: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: is not JSON; expected one object a line; correct the line") from error
    if not isinstance(fields, dict):
        raise DatasetError(f"{where}: is a JSON {type(fields).__name__}; expected one object a line; correct it")
    if "views" not in fields:
        _check_columns(fields, where)
    return {name: value for name, value in fields.items() if value is not None}


def _check_columns(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DatasetError(f"{where}: column '{name}' appears twice; remove one")
        seen.add(name)
        if name not in COLUMNS:
            near = nearest(name, COLUMNS)
            hint = f"did you mean '{near}'?" if near else f"known: {', '.join(COLUMNS)}"
            raise DatasetError(f"{where}: unknown column '{name}'; {hint}")


def _study(record: Record, folder: Path) -> Study:
    fields = record.read()
    fields = fields if "views" in fields else study_fields(fields, record.where)
    try:
        study = Study.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the study"
        raise DatasetError(f"{record.where}: {place}: {first['msg']}; correct it") from error
    return study.model_copy(update={"views": tuple(_located(v, folder) for v in study.views)})


def _located(view: View, folder: Path) -> View:
    if view.locator is None or not is_file_locator(view.locator):
        return view
    return view.model_copy(update={"locator": str(folder / locator_path(view.locator))})


def _is_absent(view: View) -> bool:
    return view.locator is not None and is_file_locator(view.locator) and not locator_path(view.locator).is_file()


def _checked(study: Study, where: str) -> Study:
    """The study with the sizes of its views that have boxes filled in, once the boxes are known to lie inside."""
    boxed = {b.view for r in study.readings for f in r.findings for b in f.boxes}
    beyond = [i for i in boxed if i >= len(study.views)]
    if beyond:
        raise DatasetError(
            f"{where}: a box in view {beyond[0]} of {len(study.views)}; views count from 0; correct it"
        )
    views = tuple(_sized(v, where) if i in boxed else v for i, v in enumerate(study.views))
    for finding in (f for r in study.readings for f in r.findings):
        for box in finding.boxes:
            view = views[box.view]
            if view.width and view.height and (box.xyxy[2] > view.width or box.xyxy[3] > view.height):
                raise DatasetError(
                    f"{where}: box {list(box.xyxy)} of {finding.name} leaves its image of "
                    f"{view.width}×{view.height} pixels; expected [x1, y1, x2, y2] inside it; correct the box"
                )
    return study.model_copy(update={"views": views})


def _sized(view: View, where: str) -> View:
    if view.locator is None or not is_file_locator(view.locator):
        return view
    try:
        width, height = file_size(locator_path(view.locator))
    except ImageError as error:
        raise DatasetError(f"{where}: {error}") from error
    return view.model_copy(update={"width": width, "height": height})
