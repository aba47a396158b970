"""IU X-ray as Kaggle has it: `indiana_reports.csv` and `indiana_projections.csv`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from contrastcxr.data.readers.iu_reports import SECTIONS, IuPicture, IuReport, picture_key
from contrastcxr.data.tables.files import TableRow
from contrastcxr.data.tables.named import Table, read_table
from contrastcxr.errors import DatasetError
from contrastcxr.form import Position

REPORTS = "indiana_reports.csv"
PROJECTIONS = "indiana_projections.csv"

_POSITIONS: Mapping[str, Position] = {"Frontal": "unknown", "Lateral": "LATERAL"}
"""Nobody says whether a frontal film is PA or AP."""


def read_reports(folder: Path) -> list[IuReport]:
    """Return the reports of both tables, in the order of the first.

    Raises:
        DatasetError: a table is not there or has a row that is wrong.
    """
    for name in (REPORTS, PROJECTIONS):
        if not (folder / name).is_file():
            raise DatasetError(f"{folder}: holds no {name}; {REPORTS} and {PROJECTIONS} go together; add it")
    table, rows = _texts(folder)
    pictures = _pictures(folder / PROJECTIONS, rows)
    return [_report(table, uid, row, tuple(pictures.get(uid, ()))) for uid, row in rows.items()]


def read_texts(folder: Path) -> list[IuReport]:
    """Return the reports of the first table alone, without images; none where it is not there.

    Raises:
        DatasetError: a row is wrong.
    """
    if not (folder / REPORTS).is_file():
        return []
    table, rows = _texts(folder)
    return [_report(table, uid, row, ()) for uid, row in rows.items()]


def _texts(folder: Path) -> tuple[Table, dict[str, TableRow]]:
    table = read_table(folder / REPORTS, ("uid", "MeSH", *SECTIONS))
    return table, _by_uid(table)


def positions(folder: Path) -> dict[str, Position]:
    """Return the position by `picture_key`, from the second table alone; empty where it is not there.

    Raises:
        DatasetError: a row is wrong.
    """
    path = folder / PROJECTIONS
    found = _pictures(path, None).values() if path.is_file() else ()
    return {picture_key(p.name): p.position for pictures in found for p in pictures}


def _by_uid(table: Table) -> dict[str, TableRow]:
    rows: dict[str, TableRow] = {}
    for row in table.rows:
        uid = table.cell(row, "uid")
        if not uid.isdigit():
            raise row.error(f"uid '{uid}'; expected a whole number; correct the cell")
        if rows.setdefault(uid, row) is not row:
            raise row.error(f"uid {uid} is already in row {rows[uid].number}; expected one report each; keep one")
    return rows


def _pictures(path: Path, known: Mapping[str, TableRow] | None) -> dict[str, list[IuPicture]]:
    table = read_table(path, ("uid", "filename", "projection"))
    found: dict[str, list[IuPicture]] = defaultdict(list)
    first: dict[str, TableRow] = {}
    for row in table.rows:
        uid, name, projection = (table.cell(row, column) for column in ("uid", "filename", "projection"))
        if projection not in _POSITIONS:
            raise row.error(f"projection '{projection}'; expected {' or '.join(_POSITIONS)}; correct the cell")
        if not name:
            raise row.error("no filename; expected the name of an image; correct the cell")
        if known is not None and uid not in known:
            raise row.error(f"uid '{uid}' has no row in {REPORTS}; expected a report for every image; add it")
        if first.setdefault(name, row) is not row:
            raise row.error(f"{name} is already in row {first[name].number}; expected each image once; keep one")
        found[uid].append(IuPicture(name, _POSITIONS[projection]))
    return found


def _report(table: Table, uid: str, row: TableRow, pictures: tuple[IuPicture, ...]) -> IuReport:
    terms = (term.strip() for term in table.cell(row, "MeSH").split(";"))
    return IuReport(
        study_id=f"CXR{uid}",
        uid=uid,
        mesh=tuple(term for term in terms if term),
        pictures=pictures,
        **{section: table.cell(row, section) for section in SECTIONS},
    )
