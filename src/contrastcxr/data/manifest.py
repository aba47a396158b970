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
from contrastcxr.data.source import Licence, Source
from contrastcxr.data.tables import Row, read_csv, read_lines
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


class Manifest(Source):
    """The studies of one manifest; a wrong row refuses the whole file, a missing image only its study."""

    name = "manifest"
    licence = LICENCE

    def __init__(self, path: Path) -> None:
        self.path = path
        splits = dict.fromkeys(s.split for s in self._parsed.studies if s.split)
        usual = ("train", "train_val", "validation", "test")
        self.splits = (*(s for s in usual if s in splits), *(s for s in splits if s not in usual))

    @property
    def missing(self) -> tuple[str, ...]:
        """Images that the manifest names and that are not there; their studies are left out."""
        return self._parsed.missing

    def _load(self) -> Iterable[Study]:
        return self._parsed.studies

    @cached_property
    def _parsed(self) -> Parsed:
        parsed = parse_manifest(self.path)
        if parsed.failures:
            more = f" (and {len(parsed.failures) - 1} more)" if len(parsed.failures) > 1 else ""
            raise DatasetError(f"{parsed.failures[0].message}{more}")
        if not parsed.studies:
            raise DatasetError(f"{self.path}: holds no study whose images are there; check the paths in it")
        return parsed


def parse_manifest(path: Path) -> Parsed:
    """Read a manifest, keeping the good rows and listing the others.

    Raises:
        DatasetError: the file cannot be read at all, or has unknown columns.
    """
    studies: dict[str, Study] = {}
    first_at: dict[str, str] = {}
    failures: list[Failure] = []
    missing: list[str] = []
    for record in _records(path):
        try:
            study = _study(record, path.parent)
            absent = [v.locator or "" for v in study.views if _is_absent(v)]
            missing += absent
            if study.study_id in first_at:
                raise DatasetError(
                    f"{record.where}: study_id '{study.study_id}' is already in {first_at[study.study_id]}; "
                    "ids must differ; rename one"
                )
            first_at[study.study_id] = record.where.rsplit("/", 1)[-1]
            if not absent:
                studies[study.study_id] = _checked(study, record.where)
        except ContrastCXRError as error:
            failures.append(Failure.of(record.where, error))
    return Parsed(tuple(studies.values()), tuple(failures), tuple(missing))


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
    for number, line in read_lines(path):
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
