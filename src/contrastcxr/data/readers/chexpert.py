"""CheXpert (Irvin et al. 2019) in its published layouts: small, full size, in batches, or its tables alone.

The training labels are those of the CheXpert labeler on reports that are not published: a rule author, whose blank
is *unmentioned* and whose −1 is *uncertain*. The validation and test labels are radiologists', 1 or 0 for every
observation. All labels are of a study, so that the rows of its views must agree. Study ids are
`patient00001-study1`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from sys import intern
from typing import Literal, NamedTuple

from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Licence
from contrastcxr.data.tables.files import TableRow, age_in_years
from contrastcxr.data.tables.named import PACKAGE, find_table, packaged_file
from contrastcxr.data.tables.places import posix_name
from contrastcxr.data.tables.streamed import stream_table
from contrastcxr.data.tables.tabled import TableSource
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

_FACTS = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
_ODD = "frontal views are neither PA nor AP in the table (LL, RL or blank): position unknown"


class _Image(NamedTuple):
    """What one row says of its view and patient."""

    number: int
    path: str
    sex: str
    age: str
    side: str
    beam: str

    def error(self, table: Path, message: str) -> DatasetError:
        return TableRow(table, self.number, (self.path,)).error(message)


class _Named(NamedTuple):
    """The rows of one study, and the labels that all of them have."""

    labels: tuple[str, ...]
    images: list[_Image]


class CheXpert(TableSource):
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

    def _tally(self, counted: Counter[str], study: Study) -> None:
        counted[_of_views(len(study.views))] += 1
        for finding in study.readings[0].findings:
            counted[f"{finding.status} findings"] += 1
        for view in study.views:
            counted[_ODD] += view.position == "unknown" and "frontal" in view.view_id

    def _counts(self, counted: Counter[str]) -> Mapping[str, int]:
        views = (_of_views(n) for n in range(1, 1 + max(map(_views_of, counted), default=0)))
        findings = ("present findings", "absent findings", "uncertain findings")
        return {**{name: counted[name] for name in views if counted[name]}, **{n: counted[n] for n in findings}}

    def _notes(self, counted: Counter[str]) -> Iterator[str]:
        for split in SPLITS:
            if split not in self._tables:
                yield f"no {_TABLES[split][0]}: there is no split {split}"
        if counted[_ODD]:
            yield f"{counted[_ODD]} {_ODD}"

    def _split(self, split: str) -> Iterator[Study]:
        table = self._tables[split]
        for study_id, named in _studies(table).items():
            yield self._study(table, study_id, named, split)

    def _study(self, table: Path, study_id: str, named: _Named, split: str) -> Study:
        first, author = named.images[0], _AUTHORS[split]
        try:
            findings = _findings(named.labels, author.name)
        except ValueError as error:
            raise first.error(table, f"{error}; expected 1, 0, -1 or nothing; correct the cell") from error
        return Study(
            study_id=study_id,
            patient_id=study_id.partition("-")[0],
            views=tuple(self._view(image, study_id) for image in named.images),
            age=age_in_years(first.age),
            sex=_SEXES.get(first.sex.lower()),
            readings=(Reading(study_id=study_id, author=author, findings=findings),),
            split=split,
        )

    def _view(self, image: _Image, study_id: str) -> View:
        folder, patient, study, file = image.path.rsplit("/", 4)[-4:]
        name = file.rpartition(".")[0]
        side = image.side.lower()
        if not side:  # the test table says no more than the path
            side = "lateral" if "lateral" in name.lower() else ""
        batch = self._batches.get(patient) if folder == "train" else None
        return View(
            view_id=f"{study_id}-{name}",
            locator=f"{batch or f'{self._base}/{folder}'}/{patient}/{study}/{file}",
            position=_POSITIONS.get((side, image.beam.lower()), "unknown"),
        )

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
    """Map each split to its table: from a folder, the folder above it, one table, or the packaged training one."""
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


def _studies(table: Path) -> dict[str, _Named]:
    """Map each study to its rows, in the order of the table; equal labels are one object, as few differ."""
    studies: dict[str, _Named] = {}
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line in stream_table(table, ("Path", *CHEXPERT), _FACTS):
        labels = line.cells[1 : 1 + len(CHEXPERT)]
        image = _Image(line.number, posix_name(line.cells[0]), *map(intern, line.cells[1 + len(CHEXPERT) :]))
        match = _PATH.fullmatch(image.path)
        if match is None:
            raise line.error(
                f"Path '{image.path}'; expected …/train/patient00001/study1/view1_frontal.jpg; correct the cell"
            )
        named = studies.setdefault(f"{match[2]}-{match[3]}", _Named(known.setdefault(labels, labels), []))
        twin = next((other for other in named.images if other.path == image.path), None)
        if twin is not None:
            raise line.error(f"the image is already in row {twin.number}; every image once; remove one row")
        if named.labels != labels:
            first = named.images[0].number
            raise line.error(f"other labels than row {first} of the same study; labels are a study's; correct one")
        named.images.append(image)
    if not studies:
        raise DatasetError(f"{table}: has no rows; one row an image was expected; download it again")
    return studies


def _of_views(count: int) -> str:
    return f"studies of {count} views" if count > 1 else "studies of 1 view"


def _views_of(name: str) -> int:
    match = re.fullmatch(r"studies of (\d+) views?", name)
    return int(match[1]) if match else 0


@lru_cache(maxsize=50_000)
def _findings(cells: tuple[str, ...], source: str) -> tuple[Finding, ...]:
    """Return frozen findings shared by all studies of the same labels.

    Sharing them lets two hundred thousand studies fit into memory.
    """
    pairs = zip(CHEXPERT, cells, strict=True)
    return tuple(_finding(name, text.strip().removesuffix(".0"), source) for name, text in pairs if text.strip())


@lru_cache(maxsize=1_000)
def _finding(name: str, value: str, source: str) -> Finding:
    if value not in _STATUS:
        raise ValueError(f"{name} '{value}'")
    return Finding(name=name, status=_STATUS[value], source=source)


KIND = SourceKind(
    CheXpert,
    open=lambda ref: CheXpert(ref.path, images=ref.images),
    summary="CheXpert: labels of its labeler for training, of radiologists for validation and test",
    splits=SPLITS,
    split_folders=True,
    signs=("valid.csv", "CheXpert-v1.0-small", "CheXpert-v1.0"),
)
