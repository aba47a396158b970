"""RSNA Pneumonia Detection Challenge (Shih et al. 2019), stage 2, as Kaggle publishes it.

One author, `rsna`: radiologists who drew boxes around opacities suspicious of pneumonia. Boxes are in the pixels
of the DICOM images, 1024×1024. The ids of the challenge are of images, not of patients: only the published match
with NIH ChestX-ray14 (`pneumonia-challenge-dataset-mappings_2018.json`) says which images are of one patient, and
adds the NIH labels as a second author.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from contrastcxr.data.pixels import file_size
from contrastcxr.data.presence import PictureFolder
from contrastcxr.data.readers.grid import GRID, grid_box
from contrastcxr.data.readers.nih14 import LABELS, RSNA, RSNA_CLASSES, rsna_findings
from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Licence, one_input
from contrastcxr.data.tables.files import TableRow, age_in_years, read_json, sex
from contrastcxr.data.tables.named import PACKAGE, Table, by_first_cell, find_table, packaged_file, read_table
from contrastcxr.data.tables.tabled import TableSource
from contrastcxr.errors import DatasetError, UnknownNameError
from contrastcxr.form import Finding, Position, Reading, Study, View
from contrastcxr.vocab.labels import from_nih

LICENCE = Licence(
    terms="non-commercial and academic use under the rules of the RSNA challenge; images from NIH ChestX-ray14, "
    "with attribution",
    redistributable=False,
    contains_text=False,
    contains_pictures=True,
    where="https://www.kaggle.com/competitions/rsna-pneumonia-detection-challenge",
)

SPLITS = ("train", "test")
SUFFIXES = (".dcm", ".png", ".jpg", ".jpeg")

LABEL_TABLES = ("stage_2_train_labels.csv", "kaggle_stage_2_train_labels.csv")
CLASS_TABLES = ("stage_2_detailed_class_info.csv",)
TEST_TABLES = ("stage_2_sample_submission.csv",)
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
PACKAGED_LABELS = "kaggle_stage_2_train_labels.csv.zip"
PACKAGED_HEADERS = "kaggle_stage_2_train_images_dicom_headers.csv.gz"

_BOXES, _MATCHED = "boxes by rsna", "matched with nih14"
_FOLDERS = {"train": "stage_2_train_images", "test": "stage_2_test_images"}
_POSITIONS: Mapping[str, Position] = {"PA": "PA", "AP": "AP"}


@dataclass(frozen=True)
class HeaderFacts:
    """What a DICOM header says, from the header itself or from a table of headers."""

    position: Position = "unknown"
    width: int | None = None
    height: int | None = None
    spacing_mm: tuple[float, float] | None = None
    age: float | None = None
    sex: Literal["F", "M"] | None = None


class Rsna(TableSource):
    """The folder of the challenge's tables and picture folders, or the packaged training table."""

    name = "rsna"
    licence = LICENCE

    def __init__(
        self,
        root: Path,
        *,
        images: Literal["there", "any"] = "there",
        headers: str | Path | None = None,
        mapping: Path | None = None,
    ) -> None:
        """Find the tables.

        Args:
            root: the folder; or `torchxrayvision` for the packaged training table.
            images: `any` keeps studies whose picture is absent.
            headers: a table of DICOM headers (`torchxrayvision` for the packaged one), which saves opening every
                file for its view, spacing, age and sex.
            mapping: the match with NIH ChestX-ray14; without, the one in the folder if it is there.
        """
        super().__init__(images=images)
        self.root = root
        self._opened: dict[str, HeaderFacts] = {}
        self._labels = _label_table(root)
        self._header_table = packaged_file(PACKAGED_HEADERS, "headers") if headers == PACKAGE else headers
        inside = root / MAPPING
        self._mapping = mapping or (inside if inside.is_file() else None)
        self.splits = ("train", "test") if self._test_ids else ("train",)

    def _read(self) -> Iterator[Study]:
        table = read_table(self._labels, ("patientId", "x", "y", "width", "height", "Target"))
        classes = self._classes
        for image_id, rows in by_first_cell(table).items():
            kind = classes.pop(image_id, None) if self._class_path else None
            yield self._study(image_id, "train", table, rows, kind)
        for _, row in classes.values():
            raise row.error(f"is not in {self._labels.name}; expected the same images; download both again")
        for image_id in self._test_ids:
            yield self._study(image_id, "test", table, [], None)

    def _tally(self, counted: Counter[str], study: Study) -> None:
        counted[_MATCHED] += study.patient_id is not None
        reading = study.reading_by(RSNA.name)
        if reading is not None:
            counted[reading.findings[0].source or ""] += 1
            counted[_BOXES] += sum(len(finding.boxes) for finding in reading.findings)

    def _counts(self, counted: Counter[str]) -> Mapping[str, int]:
        kinds = sorted(set(counted) - {_BOXES, _MATCHED})
        return {name: counted[name] for name in (*kinds, _BOXES, _MATCHED)}

    def _notes(self, counted: Counter[str]) -> Iterator[str]:
        del counted
        if self._class_path is None:
            yield f"no {CLASS_TABLES[0]}: images without pneumonia are not parted into Normal and Not Normal"
        if self._mapping is None:
            yield f"no {MAPPING}: patients are unknown, and one patient may stand on both sides of a split"

    @cached_property
    def _class_path(self) -> Path | None:
        return find_table([self.root], CLASS_TABLES)

    @property
    def _classes(self) -> dict[str, tuple[str, TableRow]]:
        """Image -> its class and the row that says so."""
        if self._class_path is None:
            return {}
        table = read_table(self._class_path, ("patientId", "class"))
        classes: dict[str, tuple[str, TableRow]] = {}
        for row in table.rows:
            image_id, kind = table.cell(row, "patientId"), table.cell(row, "class")
            if kind not in RSNA_CLASSES:
                raise row.error(f"class '{kind}'; expected one of {', '.join(RSNA_CLASSES)}; correct the cell")
            if classes.setdefault(image_id, (kind, row))[0] != kind:
                raise row.error(f"class '{kind}' after '{classes[image_id][0]}'; expected one class an image")
        return classes

    @cached_property
    def _test_ids(self) -> tuple[str, ...]:
        """Images of the unlabelled test set, from its table or else its folder."""
        path = find_table([self.root], TEST_TABLES)
        if path is not None:
            return tuple(dict.fromkeys(row.cell(0) for row in read_table(path, ("patientId",)).rows))
        return self._pictures["test"].stems

    @cached_property
    def _pictures(self) -> Mapping[str, PictureFolder]:
        return {split: PictureFolder(self.root / folder, SUFFIXES) for split, folder in _FOLDERS.items()}

    @cached_property
    def _match(self) -> Mapping[str, Mapping[str, Any]]:
        return _read_mapping(self._mapping) if self._mapping else {}

    @cached_property
    def _facts(self) -> Mapping[str, HeaderFacts]:
        return _header_facts(Path(self._header_table)) if self._header_table else {}

    def _study(
        self, image_id: str, split: str, table: Table, rows: list[TableRow], kind: tuple[str, TableRow] | None
    ) -> Study:
        path, there = self._pictures[split].find(image_id)
        boxed = any(table.cell(row, "x") for row in rows)
        facts = self._facts_of(image_id, path, there=there, boxed=boxed)
        view = View(
            view_id=image_id,
            locator=path,
            position=facts.position,
            width=facts.width,
            height=facts.height,
            spacing_mm=facts.spacing_mm,
        )
        readings = [_rsna_reading(image_id, table, rows, kind, view)] if rows else []
        match = self._match.get(image_id)
        readings += [_nih_reading(image_id, match, self._mapping)] if match else []
        return Study(
            study_id=image_id,
            patient_id=str(match["img_id"]).split("_")[0] if match else None,
            views=(view,),
            age=facts.age,
            sex=facts.sex,
            readings=tuple(readings),
            split=split,
        )

    def _facts_of(self, image_id: str, path: str, *, there: bool, boxed: bool) -> HeaderFacts:
        dicom = path.endswith(".dcm")
        if image_id in self._facts:
            facts = self._facts[image_id]
            return facts if dicom or not there else self._resized(facts, Path(path))
        if not there:
            return HeaderFacts(width=GRID, height=GRID)
        if dicom:
            if path not in self._opened:
                self._opened[path] = self._look(Path(path), _dicom_facts) or HeaderFacts(width=GRID, height=GRID)
            return self._opened[path]
        return self._resized(HeaderFacts(), Path(path)) if boxed else HeaderFacts()

    def _resized(self, facts: HeaderFacts, path: Path) -> HeaderFacts:
        """Return the facts of a PNG or JPEG copy, with its own size."""
        width, height = self._look(path, file_size) or (GRID, GRID)
        y, x = facts.spacing_mm or (0.0, 0.0)
        spacing = (y * GRID / height, x * GRID / width) if facts.spacing_mm else None
        return HeaderFacts(facts.position, width, height, spacing, facts.age, facts.sex)


def _label_table(root: Path) -> Path:
    if root == Path(PACKAGE) and not root.exists():
        return packaged_file(PACKAGED_LABELS, "rsna:torchxrayvision")
    path = find_table([root], LABEL_TABLES)
    if path is None:
        raise DatasetError(f"{root}: holds no {LABEL_TABLES[0]}; give the folder of the challenge's files")
    return path


def _dicom_facts(path: Path) -> HeaderFacts:
    # Imported here: whoever reads tables does not wait for pydicom.
    from contrastcxr.data.dicom.reading import read_header

    with one_input(path):
        header = read_header(path)
    return HeaderFacts(header.position, header.width, header.height, header.spacing_mm, header.age, header.sex)


def _header_facts(path: Path) -> dict[str, HeaderFacts]:
    """Return facts by image from a table of headers; a spacing is one number, of square pixels."""
    columns = ("PatientID", "PatientAge", "PatientSex", "PixelSpacing", "ViewPosition")
    table = read_table(path, columns)
    facts: dict[str, HeaderFacts] = {}
    for row in table.rows:
        spacing = row.number_in(table.cell(row, "PixelSpacing"))
        facts[table.cell(row, "PatientID")] = HeaderFacts(
            position=_POSITIONS.get(table.cell(row, "ViewPosition"), "unknown"),
            width=GRID,
            height=GRID,
            spacing_mm=(spacing, spacing) if spacing and spacing > 0 else None,
            age=age_in_years(table.cell(row, "PatientAge")),
            sex=sex(table.cell(row, "PatientSex")),
        )
    return facts


def _rsna_reading(
    image_id: str, table: Table, rows: list[TableRow], stated: tuple[str, TableRow] | None, view: View
) -> Reading:
    places = [table.columns[name] for name in ("x", "y", "width", "height")]
    boxes = tuple(grid_box(row, view, places, area="image") for row in rows if table.cell(row, "x"))
    if len(set(boxes)) != len(boxes):
        raise rows[-1].error("the same box is listed twice; expected different boxes; remove one row")
    kind = _kind(table, rows, stated)
    if bool(boxes) != (kind == "Lung Opacity"):
        raise rows[0].error(f"{kind} with {len(boxes)} boxes; only Lung Opacity has boxes; correct the rows")
    return Reading(study_id=image_id, author=RSNA, findings=tuple(rsna_findings(kind, boxes)))


def _kind(table: Table, rows: list[TableRow], stated: tuple[str, TableRow] | None) -> str:
    """Return the class of an image; without the table of classes, Lung Opacity or the target's own words."""
    targets = {table.cell(row, "Target") for row in rows}
    if targets not in ({"0"}, {"1"}):
        raise rows[-1].error(f"Target {' and '.join(sorted(targets))}; expected 0 or 1, the same in all rows")
    opacity = targets == {"1"}
    if stated is None:
        return "Lung Opacity" if opacity else "Target 0"
    kind, row = stated
    if opacity != (kind == "Lung Opacity"):
        raise row.error(f"class '{kind}' of an image with Target {int(opacity)}; only Lung Opacity has Target 1")
    return kind


def _read_mapping(path: Path) -> dict[str, Mapping[str, Any]]:
    """Map each challenge image to its entry of the published match, checked."""
    entries = read_json(path, "a list of matches")
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: is a JSON {type(entries).__name__}; expected a list; download it again")
    found: dict[str, Mapping[str, Any]] = {}
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not {"subset_img_id", "img_id"} <= set(entry):
            raise DatasetError(f"{path} entry {place}: expected subset_img_id and img_id; download it again")
        found[str(entry["subset_img_id"])] = entry
    return found


def _nih_reading(image_id: str, match: Mapping[str, Any], path: Path | None) -> Reading:
    try:
        names = [from_nih(str(name).strip()) for name in match.get("orig_labels") or ()]
    except UnknownNameError as error:
        raise DatasetError(f"{path} ({image_id}): {error}; correct orig_labels") from error
    found = tuple(Finding(name=n, status="present", source=LABELS.name) for n in dict.fromkeys(names))
    return Reading(study_id=image_id, author=LABELS, findings=found)


KIND = SourceKind(
    Rsna,
    open=lambda ref: Rsna(
        ref.path, images=ref.images, headers=ref.option("headers"), mapping=ref.folder("mapping")
    ),
    summary="RSNA pneumonia challenge: boxes of opacities, with NIH patients where the match is there",
    splits=SPLITS,
    options=("headers", "mapping"),
    signs=("stage_2_train_labels.csv",),
)
