"""NIH ChestX-ray14 in its published layout, whole or in part, original or resized.

The labels, the NIH boxes, the RSNA boxes and ChestX-Det are four authors. Labels were mined from reports by rules
(Wang et al. 2017), so a label that is not listed is *unmentioned*, not absent. Boxes are given on the published
1024×1024 grid and scaled to the pixels of the file that is there. Study ids are the stems of the image names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from contrastcxr.data.pixels import file_size
from contrastcxr.data.presence import files_in
from contrastcxr.data.readers.chestx_det import FILE, TERMS, DetMarks, add_counts, read_chestx_det
from contrastcxr.data.readers.coco_boxed import with_coco
from contrastcxr.data.readers.grid import GRID, grid_box
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Inventory, Licence, OnMissing, Source, unheard
from contrastcxr.data.tables.files import TableRow, age_in_years, first_existing, read_lines, sex
from contrastcxr.data.tables.places import stem_of
from contrastcxr.data.tables.rows import open_rows
from contrastcxr.errors import DatasetError, ImageError, UnknownNameError
from contrastcxr.form import Author, Box, Finding, Position, Reading, Study, View
from contrastcxr.vocab.labels import NO_FINDING, from_nih

LABELS = Author(kind="rule", name="nih14 labels")
BOXES = Author(kind="human", name="nih14 boxes")
RSNA = Author(kind="human", name="rsna")

LICENCE = Licence(
    terms="open, with attribution to the NIH Clinical Center (labels and boxes included); RSNA boxes only under "
    f"the non-commercial terms of the challenge; {TERMS}",
    redistributable=True,
    contains_text=False,
    contains_pictures=True,
    where="https://nihcc.app.box.com/v/ChestXray-NIHCC",
)

_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_BOX_TABLE = "BBox_List_2017.csv"
_RSNA_TABLE = "rsna_pneumonia.csv"
_LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
_SUFFIXES = (".png", ".jpg", ".jpeg")
_BOX_LABELS = {"Infiltrate": "Infiltration"}

RSNA_CLASSES = ("Normal", "No Lung Opacity / Not Normal", "Lung Opacity")
"""The last alone has boxes, which mark opacities suspicious of pneumonia."""


class Nih14(Source):
    """One folder: tables, lists, and PNG or JPEG files in `images/` or `images_001/images/` …"""

    name = "nih14"
    licence = LICENCE

    def __init__(self, root: Path, *, rsna: bool = True) -> None:
        self.root = root
        self._heeds_rsna = rsna
        self._unreadable: dict[str, str] = {}
        if not root.is_dir():
            raise DatasetError(f"{root}: is not a folder; give the folder that holds {_TABLES[0]}")
        self.splits = tuple(split for split, file in _LISTS.items() if (root / file).is_file())

    @property
    def missing(self) -> tuple[str, ...]:
        """Names in the table or a list without an image, or without a row; then what is wrong with images."""
        return (*self._absent, *self._without_picture)

    @cached_property
    def _without_picture(self) -> tuple[str, ...]:
        """What is wrong with the images that cannot be read, once all have been opened."""
        _ = self._studies
        return tuple(self._unreadable.values())

    @cached_property
    def _absent(self) -> list[str]:
        known = {row.cell(0) for row in self._rows}
        named = known | set(self._split_of)
        return sorted(n for n in named if n not in known or stem_of(n) not in self._images)

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Image files that no row of the label table names; they are not read."""
        known = {stem_of(row.cell(0)) for row in self._rows}
        return tuple(sorted(path.name for stem, path in self._images.items() if stem not in known))

    def inventory(self) -> Inventory:
        """Count what the tables name, and what NIH and ChestX-Det marked on the pictures that are there."""
        there = {stem_of(row.cell(0)) for row in self._there()}
        return add_counts(self._with_boxes(super().inventory(), there), self.chestx_det, there)

    def _with_boxes(self, held: Inventory, there: Container[str]) -> Inventory:
        """Return an inventory with the NIH boxes on pictures that are there; those on others are noted."""
        if not self._nih_boxes:
            return held
        kept = [rows for name, rows in self._nih_boxes.items() if stem_of(name) in there]
        absent = [name for name in self._nih_boxes if stem_of(name) not in there]
        counts = {"pictures in nih14 boxes": len(kept), "boxes by nih14 boxes": sum(map(len, kept))}
        said = f"{len(absent)} of {len(self._nih_boxes)} pictures are no study here, such as {(*absent, '')[0]}"
        notes = (f"{_BOX_TABLE}: {said}",) if absent else ()
        return replace(held, counts={**held.counts, **counts}, notes=(*held.notes, *notes))

    @cached_property
    def chestx_det(self) -> Mapping[str, DetMarks]:
        """What ChestX-Det marked, by stem of the picture, there or not; empty without its file."""
        return read_chestx_det(self.root / FILE)

    def _load(self, split: str | None) -> Iterable[Study]:
        del split
        return self._studies

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies row by row, keeping none of them."""
        self.check_split(split)
        for name in self._absent:
            on_missing(name)
        for row in self._there():
            if split is None or self._split_of.get(row.cell(0)) == split:
                study = self._study(row)
                if study is None:
                    on_missing(self._unreadable[row.cell(0)])
                else:
                    yield study

    def _there(self) -> Iterator[TableRow]:
        return (row for row in self._rows if stem_of(row.cell(0)) in self._images)

    @cached_property
    def _studies(self) -> tuple[Study, ...]:
        rows = list(self._there())
        found = tuple(study for row in rows if (study := self._study(row)) is not None)
        if not rows:
            raise DatasetError(
                f"{self.root}: none of the {len(self._rows)} images of the table is under images/ or "
                "images_0xx/images/; unpack the image archives there"
            )
        return found

    @cached_property
    def _rows(self) -> list[TableRow]:
        path = first_existing(self.root, _TABLES, "download it from the data set's page")
        rows = list(_rows_of(path))
        counts = Counter(row.cell(0) for row in rows)
        for row in rows:
            if counts[row.cell(0)] > 1:
                raise row.error(f"the image is listed {counts[row.cell(0)]} times; keep one row")
        return rows

    @cached_property
    def _images(self) -> dict[str, Path]:
        """Image files by stem; a folder of resized JPEGs has other suffixes than the table."""
        folders = [f for f in sorted(self.root.glob("images*")) if f.is_dir()]
        folders = [inner for f in folders for inner in (f, f / "images") if inner.is_dir()]
        files = (folder / name for folder in folders for name in sorted(files_in(folder)))
        return {path.stem: path for path in files if path.suffix.lower() in _SUFFIXES}

    @cached_property
    def _split_of(self) -> dict[str, str]:
        of: dict[str, str] = {}
        for split in self.splits:
            path = self.root / _LISTS[split]
            for _, name in read_lines(path):
                if of.setdefault(name, split) != split:
                    raise DatasetError(f"{path}: {name} is also in the list {of[name]}; keep it in one list")
        return of

    @cached_property
    def _nih_boxes(self) -> dict[str, list[TableRow]]:
        return _by_image(self.root / _BOX_TABLE)

    @cached_property
    def _rsna(self) -> dict[str, list[TableRow]]:
        return _by_image(self.root / _RSNA_TABLE) if self._heeds_rsna else {}

    def _study(self, row: TableRow) -> Study | None:
        """Return the study of an image that is there; None of one that cannot be read."""
        name = row.cell(0)
        stem = stem_of(name)
        try:
            view = _view(row, self._images[stem])
        except ImageError as error:
            self._unreadable[name] = str(error)
            return None
        boxes, rsna = self._nih_boxes.get(name, []), self._rsna.get(name, [])
        readings = [_label_reading(stem, row)]
        readings += [_box_reading(stem, boxes, view)] if boxes else []
        readings += [_rsna_reading(stem, rsna, view)] if rsna else []
        readings += [self.chestx_det[stem].reading(stem, view)] if stem in self.chestx_det else []
        return Study(
            study_id=stem,
            patient_id=_patient_id(row),
            views=(view,),
            age=age_in_years(row.cell(4)),
            sex=sex(row.cell(5)),
            readings=tuple(readings),
            split=self._split_of.get(name),
        )


def _rows_of(path: Path) -> Iterator[TableRow]:
    with open_rows(path) as table:
        for number, cells in table:
            row = TableRow(path, number, tuple(cells), table.decimal_comma)
            if misfit := table.misfit(cells, short=True):
                raise row.error(misfit)
            yield row


def _by_image(path: Path) -> dict[str, list[TableRow]]:
    """Return rows of an optional table, by the image in their first cell."""
    grouped: dict[str, list[TableRow]] = defaultdict(list)
    for row in _rows_of(path) if path.is_file() else ():
        grouped[row.cell(0)].append(row)
    return dict(grouped)


def _patient_id(row: TableRow) -> str:
    text = row.cell(3)
    if not text:
        raise row.error("no patient ID; splits are made by patient; correct the cell")
    return text.zfill(8) if text.isdigit() else text


def _view(row: TableRow, path: Path) -> View:
    width, height = file_size(path)
    positions: dict[str, Position] = {"PA": "PA", "AP": "AP"}
    return View(
        view_id=path.stem,
        locator=str(path),
        position=positions.get(row.cell(6).upper(), "unknown"),
        width=width,
        height=height,
        spacing_mm=_spacing(row, width, height),
    )


def _spacing(row: TableRow, width: int, height: int) -> tuple[float, float] | None:
    """Return row and column spacing of the file's pixels; the table gives the spacing before any resizing."""
    values = [row.number_in(row.cell(i)) for i in range(7, 11)]
    if any(v is None or v <= 0 for v in values):
        return None
    full_width, full_height, x, y = (v or 0.0 for v in values)
    return y * full_height / height, x * full_width / width


def _label_reading(study_id: str, row: TableRow) -> Reading:
    names = [_canonical(row, label) for label in row.cell(1).split("|")]
    if NO_FINDING in names and len(names) > 1:
        raise row.error(f"'{row.cell(1)}'; {NO_FINDING} cannot stand beside a finding; correct the cell")
    findings = tuple(Finding(name=n, status="present", source=LABELS.name) for n in dict.fromkeys(names))
    return Reading(study_id=study_id, author=LABELS, findings=findings)


def _canonical(row: TableRow, label: str) -> str:
    try:
        return from_nih(_BOX_LABELS.get(label.strip(), label.strip()))
    except UnknownNameError as error:
        raise row.error(f"{error}; correct the label") from error


def _box(row: TableRow, view: View) -> Box:
    """Return the box of a row in pixels of the view, which is the published square or a smaller copy of it."""
    if abs((view.width or GRID) - (view.height or GRID)) > 1:
        raise row.error(
            f"a box on an image of {view.width}×{view.height} pixels; boxes are those of the published image of "
            f"{GRID}×{GRID}, of which this is no copy; put that image, or a smaller square of it, in its place"
        )
    return grid_box(row, view)


def _box_reading(study_id: str, rows: Iterable[TableRow], view: View) -> Reading:
    boxes: dict[str, list[Box]] = defaultdict(list)
    for row in rows:
        boxes[_canonical(row, row.cell(1))].append(_box(row, view))
    findings = (
        Finding(name=name, status="present", source=BOXES.name, boxes=tuple(found))
        for name, found in boxes.items()
    )
    return Reading(study_id=study_id, author=BOXES, findings=tuple(findings))


def _rsna_reading(study_id: str, rows: list[TableRow], view: View) -> Reading:
    classes = {row.cell(1) for row in rows}
    kind = rows[0].cell(1)
    if len(classes) > 1 or kind not in RSNA_CLASSES:
        raise rows[-1].error(f"class {' and '.join(sorted(classes))}; expected one of {', '.join(RSNA_CLASSES)}")
    boxes = tuple(_box(row, view) for row in rows if row.cell(2))
    if bool(boxes) != (kind == "Lung Opacity"):
        raise rows[0].error(f"class {kind} with {len(boxes)} boxes; only Lung Opacity has boxes; correct the rows")
    return Reading(study_id=study_id, author=RSNA, findings=tuple(rsna_findings(kind, boxes)))


def rsna_findings(kind: str, boxes: tuple[Box, ...]) -> Iterator[Finding]:
    """Yield Pneumonia, present where there are boxes, and what a class of the challenge says of No Finding."""
    source = f"rsna: {kind}"
    yield Finding(name="Pneumonia", status="present" if boxes else "absent", source=source, boxes=boxes)
    if kind in RSNA_CLASSES:
        yield Finding(name=NO_FINDING, status="present" if kind == "Normal" else "absent", source=source)


def heeds_rsna(ref: DataRef) -> bool:
    """Return whether classes and boxes of the RSNA challenge are read; else it is as if there were none.

    They say which "No Finding" is no normal picture (`data.authors.is_normal`); under its terms they may decide
    nothing that is passed on, such as which pictures are in the pool of a checkpoint.
    """
    return ref.choice("rsna", ("read", "unread")) == "read"


KIND = with_coco(
    SourceKind(
        Nih14,
        open=lambda ref: Nih14(ref.path, rsna=heeds_rsna(ref)),
        summary="NIH ChestX-ray14: labels, and boxes of NIH, RSNA and ChestX-Det, in its published split",
        splits=("train_val", "test"),
        params=("rsna", "limit"),
        training=("rsna",),
        signs=("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"),
    )
)
