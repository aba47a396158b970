"""ChestX-Det (Lian et al. 2021): boxes that three radiologists drew on pictures of NIH ChestX-ray14.

The JSON is a list with one entry a picture: `file_name`, and of equal length `syms`, its classes, and `boxes`,
`[x1, y1, x2, y2]` on the published 1024×1024 grid. Polygons and further keys are not read.

Each picture was annotated with all 13 classes, so that of a picture in the list a class without a box is *absent*,
and an entry without any box says that none of the 13 is there. It does not say *No Finding*: nobody was asked for
pneumonia, edema, hernia or devices. Pictures that are not in the list have no reading by this author.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contrastcxr.data.readers.grid import GRID, corners_on_grid, on_view
from contrastcxr.data.source import Inventory
from contrastcxr.data.tables.files import read_json
from contrastcxr.data.tables.json_values import is_number, kind_of, plain
from contrastcxr.data.tables.places import stem_of
from contrastcxr.errors import DatasetError, UnknownNameError
from contrastcxr.form import XYXY, Author, Finding, Reading, Status, View
from contrastcxr.vocab.chestx_det import CHESTX_DET, DetClass, det_class

CHESTX_DET_AUTHOR = Author(kind="human", name="chestx-det")
FILE = "chestx_det.json"
TERMS = (
    "ChestX-Det boxes Apache-2.0 as its repository states, to be cited; their match with NIH file names is "
    "ChestX-Det10's, which states no licence"
)

_LAYOUT = "a list of pictures, each with file_name, syms and boxes"


@dataclass(frozen=True)
class DetMarks:
    """What the radiologists marked on one picture.

    Attributes:
        file_name: of the picture, as the JSON writes it.
        boxes: class and corners on the grid, in the order of the JSON; empty where they marked nothing.
    """

    file_name: str
    boxes: tuple[tuple[DetClass, XYXY], ...]

    def reading(self, study_id: str, view: View) -> Reading:
        """Return the marks as a reading, its boxes in pixels of the view."""
        return Reading(study_id=study_id, author=CHESTX_DET_AUTHOR, findings=tuple(self._findings(view)))

    def _findings(self, view: View) -> Iterator[Finding]:
        """Yield a finding for each class that is one of ours: present with all its boxes, or absent.

        Beside a class that is none of ours, what it clouds is not said to be absent.
        """
        clouded = {one.clouds for one, _ in self.boxes}
        for one in CHESTX_DET:
            boxes = tuple(on_view(corners, view) for other, corners in self.boxes if other == one)
            if one.name is not None and (boxes or one.name not in clouded):
                status: Status = "present" if boxes else "absent"
                source = f"{CHESTX_DET_AUTHOR.name}: {one.original}"
                yield Finding(name=one.name, status=status, source=source, boxes=boxes)


def read_chestx_det(path: Path) -> dict[str, DetMarks]:
    """Return the marks by stem of the picture's name; nothing where there is no such file.

    Raises:
        DatasetError: not the published layout, an unknown class, a picture listed twice, or a box that is none.
    """
    if not path.is_file():
        return {}
    content = read_json(path, _LAYOUT)
    if not isinstance(content, list):
        raise DatasetError(f"{path}: holds {kind_of(content)}; expected {_LAYOUT}; download it again")
    found: dict[str, DetMarks] = {}
    places: dict[str, int] = {}
    for entry in (_Entry(path, place, value) for place, value in enumerate(content, start=1)):
        marks = entry.marks()
        stem = stem_of(marks.file_name)
        if stem in found:
            raise entry.error(f"the picture is also entry {places[stem]}; expected it once; remove one of the two")
        found[stem], places[stem] = marks, entry.place
    return found


def add_counts(held: Inventory, marks: Mapping[str, DetMarks], there: Container[str]) -> Inventory:
    """Return an inventory with what was marked on the pictures that are there.

    Args:
        held: what else the source holds.
        marks: by stem; where there are none the inventory stays as it is.
        there: ids of the studies.
    """
    if not marks:
        return held
    kept = [one for stem, one in marks.items() if stem in there]
    absent = [one for stem, one in marks.items() if stem not in there]
    boxes = Counter(one for found in kept for one, _ in found.boxes)
    counts: dict[str, int | Mapping[str, int]] = {
        "pictures in chestx-det": len(kept),
        "of these without a box": sum(not one.boxes for one in kept),
        "boxes by chestx-det": {one.name: boxes[one] for one in CHESTX_DET if one.name and boxes[one]},
    }
    notes = (*_left_out(boxes), *_unmatched(absent, len(marks)))
    return replace(held, counts={**held.counts, **counts}, notes=(*held.notes, *notes))


def _left_out(boxes: Mapping[DetClass, int]) -> Iterator[str]:
    for one in CHESTX_DET:
        if one.name is None and boxes[one]:
            yield f"{FILE}: boxes of {one.original} are left out, {boxes[one]} of them ({one.reason})"


def _unmatched(absent: list[DetMarks], entries: int) -> Iterator[str]:
    if absent:
        hint = "" if len(absent) < entries else "; expected names of NIH ChestX-ray14, such as 00000004_000.png"
        name = plain(absent[0].file_name)
        yield f"{FILE}: {len(absent)} of {entries} pictures are no study here, such as {name}{hint}"


@dataclass(frozen=True)
class _Entry:
    """One entry of the list, at its place counted from 1, of which nothing is known yet."""

    file: Path
    place: int
    value: Any

    def error(self, message: str) -> DatasetError:
        """Return an error that names the file, the entry and its picture."""
        name = self.value.get("file_name") if isinstance(self.value, dict) else None
        about = f" ({plain(name)})" if isinstance(name, str) and name else ""
        return DatasetError(f"{self.file} entry {self.place}{about}: {message}")

    def marks(self) -> DetMarks:
        """Return what the entry says, once all of it is as published."""
        if not isinstance(self.value, dict):
            raise self.error(f"holds {kind_of(self.value)}; expected file_name, syms and boxes; correct the entry")
        name = self.value.get("file_name")
        if not isinstance(name, str) or not stem_of(name):
            raise self.error(f"file_name {plain(name)}; expected a name such as 00000004_000.png; correct it")
        classes, boxes = self._list("syms"), self._list("boxes")
        if len(classes) != len(boxes):
            raise self.error(
                f"{len(classes)} syms, {len(boxes)} boxes; expected a class for each; correct the entry"
            )
        found = [self._class(one) for one in classes]
        return DetMarks(name, tuple(zip(found, map(self._corners, boxes), strict=True)))

    def _list(self, key: str) -> list[Any]:
        value = self.value.get(key)
        if not isinstance(value, list):
            raise self.error(
                f"{key} is {kind_of(value) if key in self.value else 'not there'}; expected a list, empty where "
                "nothing is marked; correct the entry"
            )
        return value

    def _class(self, original: Any) -> DetClass:
        try:
            return det_class(plain(original))
        except UnknownNameError as error:
            raise self.error(f"{error}; correct the class") from error

    def _corners(self, box: Any) -> XYXY:
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            raise self.error(f"box {plain(box)}; expected four numbers x1, y1, x2, y2; correct the box")
        x1, y1, x2, y2 = box
        if x1 >= x2 or y1 >= y2:
            raise self.error(f"box {plain(box)}; expected x1 < x2 and y1 < y2; correct the box")
        corners = corners_on_grid(x1, y1, x2, y2)
        if corners is None:
            raise self.error(f"box {plain(box)}; expected it inside the {GRID}×{GRID} grid; correct the box")
        return corners
