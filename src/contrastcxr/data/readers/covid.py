"""The COVID-19 image data collection (Cohen et al. 2020): radiographs out of publications, a licence for each.

Every row of `metadata.csv` is an image. Findings are diagnoses of the patient, by the author `covid findings`;
clinical notes are in a reading of their own, `covid notes`, because they tell history and picture in one and are
no radiologist's report of the study. Licence, source and outcome of each image are in the provenance of `covid
findings`. CT and volumes are left out and counted.

One study (ours): images of one patient with the same offset and date, at most one frontal and one lateral view.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from contrastcxr.data.pixels import file_size
from contrastcxr.data.readers.covid_annotations import LungBox, Severity, read_lung_boxes, read_severity
from contrastcxr.data.readers.lung_masks import LungMasks
from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Licence
from contrastcxr.data.tables.files import TableRow, age_in_years, sex
from contrastcxr.data.tables.named import PACKAGE, Table, find_table, packaged_file, read_table
from contrastcxr.data.tables.places import NamedFiles
from contrastcxr.data.tables.tabled import TableSource
from contrastcxr.errors import DatasetError, UnknownNameError
from contrastcxr.form import Author, Finding, Position, Reading, Report, Study, View
from contrastcxr.text.clean import split_sentences
from contrastcxr.vocab.labels import NO_FINDING, from_covid, kinds_of

FINDINGS = Author(kind="human", name="covid findings")
NOTES = Author(kind="human", name="covid notes")
SEVERITY = Author(kind="human", name="covid severity raters")
LUNGS = Author(kind="human", name="covid lung boxes")

LICENCE = Licence(
    terms="each image under its own licence, in the provenance of its study (most CC BY-NC-SA)",
    redistributable=False,
    contains_text=True,
    contains_pictures=True,
    where="https://github.com/ieee8023/covid-chestxray-dataset",
)

TABLE = "metadata.csv"
PACKAGED_MASKS = "semantic_masks_v7labs_lungs.zip"
_MASKS = (PACKAGED_MASKS, "annotations/semantic_masks_v7labs_lungs.zip", "annotations/lungVAE-masks")
_BOXES = "annotations/imageannotation_ai_lung_bounding_boxes.json"
_SEVERITY = "annotations/covid-severity-scores.csv"

_OF_CT = ("Axial", "Coronal", "Sagittal")
_UNKNOWN = ("", "?", "Unclear", "Not visible", "Would have been stated")
_UNSTATED = ("", "?", "todo", "Unknown")
_DATES = ("%B %d, %Y", "%b %d, %Y", "%m/%d/%y", "%m/%d/%Y", "%Y-%m-%d")
_OUTCOMES = (
    "survival",
    "intubated",
    "intubation_present",
    "went_icu",
    "in_icu",
    "needed_supplemental_O2",
    "extubated",
    "temperature",
    "pO2_saturation",
    "leukocyte_count",
    "neutrophil_count",
    "lymphocyte_count",
)
_NOTED, _FOLLOWED = "with clinical notes", "with a prior study"
_ORIGINS = ("license", "url", "doi", "location", "date", "offset", "other_notes")
_FURTHER = (*_ORIGINS, *_OUTCOMES, "modality", "folder", "age", "sex", "clinical_notes")
"""Columns that are read where they are there; published tables spell some with spaces, some with underscores."""


@dataclass
class _Group:
    """Rows of one study while they are gathered, frontal or lateral."""

    rows: list[TableRow] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


class Covid(TableSource):
    """The folder of the repository: `metadata.csv`, `images/`, and `annotations/` where it is there."""

    name = "covid"
    licence = LICENCE
    splits = ()

    def __init__(
        self, root: Path, *, images: Literal["there", "any"] = "there", masks: str | Path | None = None
    ) -> None:
        """Find the tables.

        Args:
            root: the folder of the repository.
            images: `any` keeps studies whose picture is absent.
            masks: zip or folder of lung masks (`torchxrayvision` for the packaged v7labs masks); without, the one
                in the folder if it is there.
        """
        super().__init__(images=images)
        self.root = root
        path = find_table([root], (TABLE,)) if root.is_dir() else None
        if path is None:
            raise DatasetError(f"{root}: holds no {TABLE}; give the folder of the collection's repository")
        self._path = path
        self._pictures = NamedFiles(root)
        self._masks_at = packaged_file(PACKAGED_MASKS, "masks=torchxrayvision") if masks == PACKAGE else masks

    @cached_property
    def masks(self) -> LungMasks | None:
        """Lung masks by image name, or None where there are none."""
        if self._masks_at is not None:
            return LungMasks(Path(self._masks_at))
        found = next((self.root / name for name in _MASKS if (self.root / name).exists()), None)
        return LungMasks(found) if found else None

    @property
    def licences(self) -> Counter[str]:
        """How many images are under which licence, as their rows state it."""
        return Counter(self._cell(row, "license") or "not stated" for row in self._radiographs)

    def _read(self) -> Iterator[Study]:
        groups = self._groups()
        ids = self._ids
        earlier = self._earlier(groups)
        for group in groups:
            yield self._study(group.rows, ids[self._file(group.rows[0])], earlier.get(id(group)))

    @cached_property
    def _table(self) -> Table:
        return read_table(self._path, ("patientid", "finding", "view", "filename"), _FURTHER)

    def _cell(self, row: TableRow, column: str) -> str:
        return self._table.cell(row, column)

    def _file(self, row: TableRow) -> str:
        return self._cell(row, "filename")

    @cached_property
    def _sorted_out(self) -> tuple[list[TableRow], Counter[str], list[str]]:
        """Rows of radiographs, how many rows were left out and why, and notes."""
        kept: list[TableRow] = []
        first: dict[str, TableRow] = {}
        out: Counter[str] = Counter()
        notes: list[str] = []
        for row in self._table.rows:
            name = self._file(row)
            modality, view = self._cell(row, "modality"), self._cell(row, "view")
            if not name:
                raise row.error("no filename; expected the image's name; correct the cell")
            if view in _OF_CT or modality not in ("X-ray", ""):
                out[f"left out: {modality or 'CT'} {view}".strip()] += 1
            elif name in first:
                again = f"row {row.number} lists {name} of row {first[name].number} again"
                who = self._cell(row, "patientid")
                other = f", as patient {who}" if who != self._cell(first[name], "patientid") else ""
                notes.append(f"{again}{other}; the first row stays")
                out["left out: image listed again"] += 1
            else:
                first[name] = row
                kept.append(row)
        return kept, out, notes

    @property
    def _radiographs(self) -> list[TableRow]:
        return self._sorted_out[0]

    @cached_property
    def _ids(self) -> dict[str, str]:
        """File name -> id: its stem, or the whole name where two files share a stem."""
        names = [self._file(row) for row in self._radiographs]
        stems = Counter(Path(name).stem for name in names)
        return {name: Path(name).stem if stems[Path(name).stem] == 1 else name for name in names}

    def _groups(self) -> list[_Group]:
        groups: list[_Group] = []
        latest: dict[tuple[str, ...], _Group] = {}
        for row in self._radiographs:
            key = tuple(self._cell(row, name) for name in ("patientid", "offset", "date"))
            kind = _kind(_position(self._cell(row, "view"), row))
            group = latest.get(key)
            if group is None or kind == "unknown" or kind in group.kinds or "unknown" in group.kinds:
                group = latest[key] = _Group()
                groups.append(group)
            group.rows.append(row)
            group.kinds.add(kind)
        for group in groups:
            group.rows.sort(key=lambda row: _kind(_position(self._cell(row, "view"), row)) != "frontal")
        return groups

    def _earlier(self, groups: Sequence[_Group]) -> dict[int, str]:
        """Map each group to the id of the patient's last study with a smaller offset in days."""
        days: dict[str, list[tuple[float, _Group]]] = defaultdict(list)
        for group in groups:
            day = group.rows[0].number_in(self._cell(group.rows[0], "offset"))
            if day is not None:
                days[self._cell(group.rows[0], "patientid")].append((day, group))
        found: dict[int, str] = {}
        for dated in days.values():
            for day, group in dated:
                before = [(d, g) for d, g in dated if d < day]
                if before:
                    found[id(group)] = self._ids[self._file(max(before, key=lambda pair: pair[0])[1].rows[0])]
        return found

    def _study(self, rows: list[TableRow], study_id: str, prior: str | None) -> Study:
        views = tuple(self._view(row) for row in rows)
        first = rows[0]
        readings = [self._findings(rows, study_id), self._notes_reading(rows, study_id)]
        readings += [self._severity_reading(rows, study_id), self._lung_reading(rows, views, study_id)]
        return Study(
            study_id=study_id,
            patient_id=self._cell(first, "patientid") or None,
            views=views,
            acquired=_date(self._cell(first, "date")),
            age=age_in_years(self._cell(first, "age")),
            sex=sex(self._cell(first, "sex")),
            prior=prior,
            readings=tuple(reading for reading in readings if reading is not None),
        )

    def _view(self, row: TableRow) -> View:
        name = self._file(row)
        path = self._pictures.find(f"{self._cell(row, 'folder') or 'images'}/{name}")
        width, height = self._size(path)
        return View(
            view_id=self._ids[name],
            locator=str(path),
            position=_position(self._cell(row, "view"), row),
            width=width,
            height=height,
        )

    def _size(self, path: Path) -> tuple[int, int] | tuple[None, None]:
        if not path.is_file():
            box = next(iter(self._lung_boxes.get(path.name, ())), None)
            return box.size if box else (None, None)
        return self._look(path, file_size) or (None, None)

    def _findings(self, rows: Sequence[TableRow], study_id: str) -> Reading:
        names: dict[str, str] = {}
        for row in rows:
            for name in _diagnoses(self._cell(row, "finding"), row):
                names.setdefault(name, f"covid: {self._cell(row, 'finding')}")
        if NO_FINDING in names and len(names) > 1:
            raise rows[0].error(f"{' and '.join(names)}; {NO_FINDING} stands alone; correct the cells")
        return Reading(
            study_id=study_id,
            author=FINDINGS,
            findings=tuple(Finding(name=n, status="present", source=source) for n, source in names.items()),
            provenance={"images": [self._provenance(row) for row in rows]},
        )

    def _provenance(self, row: TableRow) -> dict[str, Any]:
        cells = {name: self._cell(row, name) for name in (*_ORIGINS, *_OUTCOMES)}
        return {"file": self._file(row), **{n: text for n, text in cells.items() if text not in _UNKNOWN}}

    def _notes_reading(self, rows: Sequence[TableRow], study_id: str) -> Reading | None:
        texts = dict.fromkeys(self._cell(row, "clinical_notes") for row in rows)
        text = "\n".join(text for text in texts if text not in _UNKNOWN)
        if not text:
            return None
        report = Report(findings=text, sentences=split_sentences(text))
        return Reading(
            study_id=study_id, author=NOTES, report=report, provenance={"text": "clinical notes, not a report"}
        )

    def _severity_reading(self, rows: Sequence[TableRow], study_id: str) -> Reading | None:
        scored = next((self._severity[self._file(row)] for row in rows if self._file(row) in self._severity), None)
        if scored is None:
            return None
        return Reading(
            study_id=study_id,
            author=SEVERITY,
            findings=(scored.finding(),),
            provenance={"geographic_mean": scored.extent, "opacity_mean": scored.opacity},
        )

    def _lung_reading(self, rows: Sequence[TableRow], views: Sequence[View], study_id: str) -> Reading | None:
        lungs = [
            {"side": box.side, "view": number, "xyxy": list(box.scaled(view.width, view.height))}
            for number, (row, view) in enumerate(zip(rows, views, strict=True))
            for box in self._lung_boxes.get(self._file(row), ())
        ]
        return Reading(study_id=study_id, author=LUNGS, provenance={"lungs": lungs}) if lungs else None

    @cached_property
    def _severity(self) -> Mapping[str, Severity]:
        path = self.root / _SEVERITY
        return read_severity(path) if path.is_file() else {}

    @cached_property
    def _lung_boxes(self) -> Mapping[str, tuple[LungBox, ...]]:
        path = self.root / _BOXES
        return read_lung_boxes(path) if path.is_file() else {}

    def _tally(self, counted: Counter[str], study: Study) -> None:
        counted[_NOTED] += study.reading_by(NOTES.name) is not None
        counted[_FOLLOWED] += study.prior is not None

    def _counts(self, counted: Counter[str]) -> Mapping[str, int]:
        kept = {self._file(row) for row in self._radiographs}
        stated = Counter(self._cell(row, "finding") or "finding not stated" for row in self._radiographs)
        return {
            **self._sorted_out[1],
            _NOTED: counted[_NOTED],
            _FOLLOWED: counted[_FOLLOWED],
            "with severity scores": len(kept & set(self._severity)),
            "with lung boxes": len(kept & set(self._lung_boxes)),
            "with lung masks": sum(name in self.masks for name in kept) if self.masks else 0,
            **{f"finding {name}": count for name, count in stated.most_common()},
            **{f"licence {name}": count for name, count in self.licences.most_common()},
        }

    def _notes(self, counted: Counter[str]) -> Iterator[str]:
        del counted
        yield from self._sorted_out[2]
        folder = self.root / "images"
        held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        unlisted = held - {self._file(row) for row in self._table.rows}
        if unlisted:
            yield f"{len(unlisted)} files in images/ that no row names, such as {min(unlisted)}; they are not read"
        words = Counter(word for row in self._radiographs for word in _unknown_words(self._cell(row, "finding")))
        for word, count in words.items():
            yield f"{count} rows name '{word}', which is known only as what stands before it"


def lungs_of(study: Study) -> dict[tuple[int, str], tuple[float, float, float, float]]:
    """Return the lungs that `covid lung boxes` marked: (view, left or right) -> xyxy in pixels of the view."""
    reading = study.reading_by(LUNGS.name)
    lungs = reading.provenance["lungs"] if reading else []
    return {(lung["view"], lung["side"]): tuple(lung["xyxy"]) for lung in lungs}


def _position(text: str, row: TableRow) -> Position:
    if text in _UNKNOWN:
        return "unknown"
    if text in ("L", "Lateral"):
        return "LATERAL"
    if text.split(" ")[0] in ("PA", "AP", "APS"):
        return "PA" if text.startswith("PA") else "AP"
    raise row.error(f"view '{text}'; expected PA, AP, AP Supine, AP Erect, L, Axial or Coronal; correct the cell")


def _kind(position: Position) -> str:
    return {"PA": "frontal", "AP": "frontal", "LATERAL": "lateral"}.get(position, "unknown")


def _diagnoses(text: str, row: TableRow) -> tuple[str, ...]:
    """Return canonical names of a cell such as `Pneumonia/Viral/COVID-19`, or `COVID-19, ARDS` in older tables."""
    names: dict[str, None] = {}
    for part in (part.strip() for part in text.split(",")):
        if part in _UNSTATED:
            continue
        first, *further = (word.strip() for word in part.split("/"))
        try:
            names |= dict.fromkeys(kinds_of(from_covid(first)))
        except UnknownNameError as error:
            raise row.error(f"{error}; correct the finding") from error
        for word in further:
            if word in _unknown_words(word):
                break
            names |= dict.fromkeys(kinds_of(from_covid(word)))
    return tuple(names)


def _unknown_words(text: str) -> list[str]:
    """Return the words of a finding that have no canonical name."""
    words = [word.strip() for part in text.split(",") for word in part.split("/")]
    return [word for word in words if word not in _UNSTATED and not _is_known(word)]


def _is_known(word: str) -> bool:
    try:
        from_covid(word)
    except UnknownNameError:
        return False
    return True


def _date(text: str) -> date | None:
    """Return the day that a cell states; a year alone is no day."""
    for form in _DATES:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None


KIND = SourceKind(
    Covid,
    open=lambda ref: Covid(ref.path, images=ref.images, masks=ref.option("masks")),
    summary="COVID-19 image collection: diagnoses, clinical notes, severity, lung boxes and masks",
    options=("masks",),
    signs=("metadata.csv",),
)
