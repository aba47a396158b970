"""A file of boxes in COCO's JSON (Lin et al. 2014), whoever drew them on whichever pictures.

An object with three lists: `images` (`id`, `file_name`, `width`, `height`), `categories` (`id`, `name`) and
`annotations` (`image_id`, `category_id`, `bbox` as `[x, y, width, height]` in pixels of the entry's width and
height). No other key is read save `annotated` of an image: annotation tools and published files carry reports,
phrases and names of people in further keys, and none of these goes anywhere from here.

A category without a box in a picture of the file is *absent* there (ours: COCO's detection files list all objects
of their categories; a file that marks one phrase a picture says more by this than its authors did). A picture that
its tool calls not `annotated` and that has no box says nothing. A category that is no finding of ours is refused
where it has boxes (ours): a finding that is only misspelt must not vanish from what is scored. Without boxes it is
left out, since tools export every category that they know.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastcxr.data.tables.files import read_json
from contrastcxr.data.tables.json_values import is_number, kind_of, plain
from contrastcxr.data.tables.places import stem_of
from contrastcxr.errors import DatasetError, UnknownNameError, one_line
from contrastcxr.form import XYXY, Author
from contrastcxr.vocab.labels import NO_FINDING, from_any

SLACK = 0.01
"""Share of the picture's side by which a box may stick out before it is an error; it is clipped (ours)."""

_LAYOUT = "an object with the lists images, annotations and categories"
_IMAGE = "an id, a file_name, width and height"
_Id = int | str


@dataclass(frozen=True)
class CocoPicture:
    """One picture of the file.

    Attributes:
        file_name: as the file writes it.
        size: width and height in pixels, the grid of its boxes.
        boxes: canonical finding and corners, in the order of the file.
        annotated: whether anybody looked for the categories in it.
    """

    file_name: str
    size: tuple[int, int]
    boxes: tuple[tuple[str, XYXY], ...]
    annotated: bool


@dataclass(frozen=True)
class CocoFile:
    """What a file says.

    Attributes:
        path: where it is.
        author: who says so, `coco` with the stem of the file: two files are two authors.
        categories: what the file calls each finding, in its order; two categories may be one finding.
        left_out: categories that are no finding of ours; they have no box.
        pictures: by stem of the file's name.
    """

    path: Path
    author: Author
    categories: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...]
    pictures: Mapping[str, CocoPicture]


def read_coco(path: Path) -> CocoFile:
    """Return what a COCO file says.

    Raises:
        DatasetError: it is none, or an entry departs from the layout; says which, what was expected and found.
    """
    content = _content(path)
    images = _images(_entries(path, content, "images"))
    categories = _categories(_entries(path, content, "categories"))
    boxes: dict[_Id, list[tuple[str, XYXY]]] = {key: [] for key in images}
    boxed: set[_Id] = set()
    for entry in _entries(path, content, "annotations"):
        image, category = entry.one_of("image_id", images), entry.one_of("category_id", categories)
        about = images[image]
        boxes[image].append((entry.finding_of(categories[category], about), entry.corners(about)))
        boxed.add(category)
    named: dict[str, tuple[str, ...]] = {}
    for each in categories.values():
        if each.finding is not None:
            named[each.finding] = tuple(dict.fromkeys((*named.get(each.finding, ()), each.original)))
    return CocoFile(
        path,
        Author(kind="human", name=f"coco {one_line(stem_of(path.name.removesuffix('.gz')))}"),
        categories=named,
        left_out=tuple(each.original for each in categories.values() if each.finding is None),
        pictures={
            each.stem: CocoPicture(
                each.file_name, each.size, tuple(boxes[key]), each.annotated or bool(boxes[key])
            )
            for key, each in images.items()
        },
    )


def _content(path: Path) -> Mapping[str, list[Any]]:
    content = read_json(path, _LAYOUT)
    if not isinstance(content, dict):
        hint = " (COCO's results are a list, and name no picture)" if isinstance(content, list) else ""
        raise DatasetError(
            f"{path}: holds {kind_of(content)}; expected {_LAYOUT}{hint}; give a file of annotations"
        )
    for name in ("images", "annotations", "categories"):
        if not isinstance(content.get(name), list):
            found = f"{name} is {kind_of(content[name])}" if name in content else f"{name} is not there"
            raise DatasetError(f"{path}: {found}; expected {_LAYOUT}; give a COCO file of boxes")
    return content


def _entries(path: Path, content: Mapping[str, list[Any]], name: str) -> Iterator[_Entry]:
    for place, value in enumerate(content[name], start=1):
        entry = _Entry(path, name, place, value)
        if not isinstance(value, dict):
            raise entry.error(f"holds {kind_of(value)}; expected an object; correct the entry")
        yield entry


@dataclass(frozen=True)
class _Image:
    place: int
    file_name: str
    stem: str
    size: tuple[int, int]
    annotated: bool


@dataclass(frozen=True)
class _Category:
    """A category, and the finding that it is; None for one of none."""

    entry: _Entry
    original: str
    finding: str | None


def _images(entries: Iterator[_Entry]) -> dict[_Id, _Image]:
    found: dict[_Id, _Image] = {}
    places: dict[str, int] = {}
    for entry in entries:
        key, name = entry.id_of("id", _IMAGE), entry.value.get("file_name")
        if not isinstance(name, str) or not stem_of(name):
            raise entry.error(f"file_name {plain(name)}; expected the name of a picture; correct it")
        if key in found:
            raise entry.error(
                f"id {plain(key)} is also that of entry {found[key].place}; ids must differ; correct one"
            )
        stem = stem_of(name.removesuffix(".gz"))
        if stem in places:
            raise entry.error(
                f"picture '{plain(stem)}' is also entry {places[stem]}; pictures are known by their name without "
                "folder and ending, expected each once; join the two, or leave one out",
                name,
            )
        size = (entry.side("width", name), entry.side("height", name))
        found[key] = _Image(entry.place, name, stem, size, entry.value.get("annotated") is not False)
        places[stem] = entry.place
    return found


def _categories(entries: Iterator[_Entry]) -> dict[_Id, _Category]:
    found: dict[_Id, _Category] = {}
    for entry in entries:
        key, name = entry.id_of("id", "an id and a name"), entry.value.get("name")
        if not isinstance(name, str) or not name.strip():
            raise entry.error(f"name {plain(name)}; expected that of a finding, such as Pneumonia; correct it")
        if key in found:
            other = found[key].entry.place
            raise entry.error(f"id {plain(key)} is also that of entry {other}; ids must differ; correct one", name)
        found[key] = _Category(entry, plain(name.strip()), _finding(name))
    return found


def _finding(name: str) -> str | None:
    """Return the finding that a category is; None for none, and for No Finding, which has no place."""
    try:
        finding = from_any(name)
    except UnknownNameError:
        return None
    return None if finding == NO_FINDING else finding


@dataclass(frozen=True)
class _Entry:
    """One entry of a list, at its place counted from 1; only what is asked for by its key is looked at."""

    file: Path
    part: str
    place: int
    value: Any

    def error(self, message: str, about: str = "") -> DatasetError:
        """Return an error that names file, list, entry, and what the entry is about."""
        shown = f" ({plain(about)})" if about else ""
        return DatasetError(f"{self.file} {self.part} entry {self.place}{shown}: {message}")

    def id_of(self, key: str, expected: str) -> _Id:
        """Return an id, a whole number or a text."""
        value = self.value.get(key)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self.error(f"{key} {plain(value)}; expected {expected}; correct the entry")
        return value

    def side(self, key: str, about: str) -> int:
        """Return a side of the picture in pixels."""
        value = self.value.get(key)
        if not _is_finite(value) or value < 1 or value != int(value):
            raise self.error(
                f"{key} {plain(value)}; expected that of the picture in whose pixels its boxes are, a whole "
                "number above 0; add it",
                about,
            )
        return int(value)

    def one_of(self, key: str, known: Mapping[_Id, Any]) -> _Id:
        """Return the id of a picture or a category that the file lists."""
        value = self.id_of(key, "the id of an entry of " + _LIST_OF[key])
        if value not in known:
            kinds = {type(one) for one in known}
            hint = f", as {'texts' if kinds == {str} else 'numbers'}" if kinds and type(value) not in kinds else ""
            raise self.error(
                f"{key} {plain(value)}; expected the id of one of the {len(known)} {_LIST_OF[key]}{hint}; correct "
                "it, or leave the entry out"
            )
        return value

    def finding_of(self, category: _Category, image: _Image) -> str:
        """Return the finding that a box is of; for a category that is none the error names the nearest."""
        if category.finding is not None:
            return category.finding
        try:
            from_any(category.original)
        except UnknownNameError as error:
            raise category.entry.error(
                f"{error}; {self.part} entry {self.place} has a box of it; rename the category, or leave it out "
                "with its boxes"
            ) from error
        raise self.error(
            f"a box of {category.original}; expected one of a finding that has a place; leave the entry out, a "
            "picture without a box has none of the categories",
            image.file_name,
        )

    def corners(self, image: _Image) -> XYXY:
        """Return the corners of the box, clipped to the picture."""
        box, (width, height) = self.value.get("bbox"), image.size
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
            found = f"bbox {plain(box)}" if "bbox" in self.value else "no bbox"
            beside = " beside its segmentation, which is not read" if "segmentation" in self.value else ""
            raise self.error(
                f"{found}; expected four numbers, [x, y, width, height]{beside}; correct the box", image.file_name
            )
        x, y, w, h = map(float, box)
        if w <= 0 or h <= 0:
            raise self.error(
                f"bbox {plain(box)}; expected [x, y, width, height], the last two above 0; correct the box",
                image.file_name,
            )
        left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
        beyond = max((left - x) / width, (x + w - right) / width, (top - y) / height, (y + h - bottom) / height)
        if beyond > SLACK or left >= right or top >= bottom:
            raise self.error(
                f"bbox {plain(box)}; expected [x, y, width, height] inside the picture of {width}×{height} "
                "pixels; correct the box, or the size of the picture",
                image.file_name,
            )
        return left, top, right, bottom


_LIST_OF = {"image_id": "images", "category_id": "categories"}


def _is_finite(value: Any) -> bool:
    """Return True for a number that a float can hold."""
    try:
        return is_number(value) and math.isfinite(float(value))
    except OverflowError:
        return False
