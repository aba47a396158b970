"""CheXpert (Irvin et al. 2019) in its published layouts: small, full size, in batches, or its tables alone.

The training labels are those of the CheXpert labeler on reports that are not published: a rule author, whose blank
is *unmentioned* and whose −1 is *uncertain*. The validation and test labels are radiologists', 1 or 0 for every
observation. All labels are of a study, so that the rows of its views must agree. Study ids are
`patient00001-study1`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from contrastcxr.data.packaged import PACKAGE, packaged_file
from contrastcxr.data.source import Licence
from contrastcxr.data.tables.files import Row, age_in_years
from contrastcxr.data.tables.named import Table, find_table, read_table
from contrastcxr.data.tables.tabled import Tabled
from contrastcxr.errors import DatasetError
from contrastcxr.form import Author, Finding, Position, Reading, Status, Study, View
from contrastcxr.vocab.labels import CHEXPERT

LABELER = Author(kind="rule", name="chexpert labeler")
RADIOLOGISTS = Author(kind="human", name="chexpert radiologists")

LICENCE = Licence(
    terms="Stanford University Dataset Research Use Agreement: non-commercial research, no redistribution",
    redistributable=False,
    contains_text=False,
    contains_pictures=True,
    where="https://stanfordmlgroup.github.io/competitions/chexpert/",
)

SPLITS = ("train", "validation", "test")
PACKAGED = "chexpert_train.csv.gz"

_TABLES: Mapping[str, tuple[str, ...]] = {
    "train": ("train.csv", "chexpert_train.csv"),
    "validation": ("valid.csv", "val_labels.csv"),
    "test": ("test.csv", "test_labels.csv"),
}
_AUTHORS = {"train": LABELER, "validation": RADIOLOGISTS, "test": RADIOLOGISTS}
_STATUS: Mapping[str, Status] = {"1": "present", "0": "absent", "-1": "uncertain"}
_PATH = re.compile(r"(?:.*/)?(train|valid|test)/(patient\d+)/(study\d+)/([^/]+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
_SEXES: Mapping[str, Literal["F", "M"]] = {"female": "F", "male": "M"}
_POSITIONS: Mapping[tuple[str, str], Position] = {
    ("frontal", "pa"): "PA",
    ("frontal", "ap"): "AP",
    ("lateral", ""): "LATERAL",
}

_Rows = list[tuple[Row, re.Match[str]]]


class CheXpert(Tabled):
    """The folder that holds `train.csv` and `valid.csv` (or the one above it), or one such table."""

    name = "chexpert"
    licence = LICENCE

    def __init__(self, root: Path, *, images: Literal["there", "any"] = "there") -> None:
        super().__init__(images=images)
        self.root = root
        self._tables = _find_tables(root)
        self.splits = tuple(self._tables)

    def _read(self) -> Iterator[Study]:
        for split in self._tables:
            yield from self._split(split)

    def _counts(self) -> Mapping[str, int]:
        views = Counter(len(study.views) for study in self.named)
        findings = Counter(
            f"{finding.status} findings" for study in self.named for finding in study.readings[0].findings
        )
        wanted = ("present findings", "absent findings", "uncertain findings")
        return {
            **{f"studies of {n} views" if n > 1 else "studies of 1 view": views[n] for n in sorted(views)},
            **{name: findings[name] for name in wanted},
        }

    def _notes(self) -> Iterator[str]:
        for split in SPLITS:
            if split not in self._tables:
                yield f"no {_TABLES[split][0]}: there is no split {split}"
        odd = sum(view.position == "unknown" and "frontal" in view.view_id for s in self.named for view in s.views)
        if odd:
            yield f"{odd} frontal views are neither PA nor AP in the table (LL, RL or blank): position unknown"

    def _split(self, split: str) -> Iterator[Study]:
        table = self._checked(split)
        labels = itemgetter(*(table.columns[name] for name in CHEXPERT))
        for rows in _studies(table):
            yield self._study(table, rows, labels, split)

    def _checked(self, split: str) -> Table:
        table = read_table(self._tables[split], ("Path", *CHEXPERT))
        if not table.rows:
            raise DatasetError(f"{table.file}: has no rows; one row an image was expected; download it again")
        return table

    def _study(self, table: Table, rows: _Rows, labels: itemgetter[Any], split: str) -> Study:
        first, match = rows[0]
        study_id = f"{match[2]}-{match[3]}"
        cells = labels(first.cells)
        for row, _ in rows[1:]:
            if labels(row.cells) != cells:
                raise row.error(
                    f"other labels than row {first.number} of the same study; labels are a study's; correct one"
                )
        author = _AUTHORS[split]
        return Study(
            study_id=study_id,
            patient_id=match[2],
            views=tuple(self._view(table, row, found, study_id) for row, found in rows),
            age=age_in_years(table.cell(first, "Age")),
            sex=_SEXES.get(table.cell(first, "Sex").lower()),
            readings=(Reading(study_id=study_id, author=author, findings=_author_findings(cells, first, author)),),
            split=split,
        )

    def _view(self, table: Table, row: Row, match: re.Match[str], study_id: str) -> View:
        side, beam = table.cell(row, "Frontal/Lateral").lower(), table.cell(row, "AP/PA").lower()
        if not side:  # the test table says no more than the path
            side = "lateral" if "lateral" in match[4].lower() else ""
        return View(
            view_id=f"{study_id}-{match[4]}",
            locator=self._picture(match),
            position=_POSITIONS.get((side, beam), "unknown"),
        )

    def _picture(self, match: re.Match[str]) -> str:
        """Where a picture is: under the split's folder, or under a batch of the full-size release."""
        folder, patient = match[1], match[2]
        tail = match[0][match.start(1) :]
        batch = self._batches.get(patient) if folder == "train" else None
        return f"{batch}/{tail.removeprefix('train/')}" if batch else f"{self._base}/{tail}"

    @cached_property
    def _base(self) -> str:
        return str(next(iter(self._tables.values())).parent)

    @cached_property
    def _batches(self) -> dict[str, Path]:
        """Patient -> folder `CheXpert-v1.0 batch 2 (train 1)` …, beside or above the tables; empty elsewhere."""
        base = Path(self._base)
        if (base / "train").is_dir():
            return {}
        above = {self.root, base, base.parent}
        folders = [f for place in above for f in sorted(place.glob("CheXpert-v1.0 batch*")) if "train" in f.name]
        return {patient.name: folder for folder in folders for patient in folder.glob("patient*")}


def _find_tables(root: Path) -> dict[str, Path]:
    """Split -> table, from a folder, the folder above it, one table, or the packaged training table."""
    if root == Path(PACKAGE) and not root.exists():
        return {"train": packaged_file(PACKAGED, "chexpert:torchxrayvision")}
    if root.is_file():
        return {_split_named(root): root}
    if not root.is_dir():
        raise DatasetError(f"{root}: is not there; give the folder that holds train.csv, or the table itself")
    folders = [root, *sorted(root.glob("CheXpert-v1.0*"))]
    found = {split: find_table(folders, names) for split, names in _TABLES.items()}
    tables = {split: path for split, path in found.items() if path is not None}
    if not tables:
        raise DatasetError(f"{root}: holds no train.csv, valid.csv or test.csv; give the folder of the tables")
    return tables


def _split_named(path: Path) -> str:
    name = path.name.removesuffix(".gz").removesuffix(".zip")
    for split, names in _TABLES.items():
        if name in names:
            return split
    raise DatasetError(f"{path}: expected a table named train.csv, valid.csv or test.csv; rename it")


def _studies(table: Table) -> Iterable[_Rows]:
    """Rows of one study together, in the order of the table, each with its path taken apart."""
    studies: dict[tuple[str, str], _Rows] = {}
    seen: dict[str, int] = {}
    column = table.columns["Path"]
    for row in table.rows:
        path = row.cells[column]
        match = _PATH.fullmatch(path)
        if match is None:
            raise row.error(
                f"Path '{path}'; expected …/train/patient00001/study1/view1_frontal.jpg; correct the cell"
            )
        if path in seen:
            raise row.error(f"the image is already in row {seen[path]}; every image once; remove one row")
        seen[path] = row.number
        studies.setdefault((match[2], match[3]), []).append((row, match))
    return studies.values()


def _author_findings(cells: tuple[str, ...], row: Row, author: Author) -> tuple[Finding, ...]:
    try:
        return _findings(cells, author.name)
    except ValueError as error:
        raise row.error(f"{error}; expected 1, 0, -1 or nothing; correct the cell") from error


@lru_cache(maxsize=50_000)
def _findings(cells: tuple[str, ...], source: str) -> tuple[Finding, ...]:
    """Frozen findings shared by all studies of the same labels: two hundred thousand studies fit into memory."""
    pairs = zip(CHEXPERT, cells, strict=True)
    return tuple(_finding(name, text.strip().removesuffix(".0"), source) for name, text in pairs if text.strip())


@lru_cache(maxsize=1_000)
def _finding(name: str, value: str, source: str) -> Finding:
    if value not in _STATUS:
        raise ValueError(f"{name} '{value}'")
    return Finding(name=name, status=_STATUS[value], source=source)
