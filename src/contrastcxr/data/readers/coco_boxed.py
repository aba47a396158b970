"""Studies with the boxes of a COCO file as the reading of a further author, for sources that take `,coco=FILE`.

Pictures are matched by the name of their file without folder and ending, which is MIMIC-CXR's DICOM id; a view
that is no file, by its view id (ours). A study has the reading when the file lists one of its pictures. Boxes are
scaled from the file's width and height to the picture that is there, both axes on their own, as a resized copy is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from contrastcxr.data.pixels import file_size
from contrastcxr.data.presence import is_there, without_views
from contrastcxr.data.readers.coco import CocoFile, CocoPicture, read_coco
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Inventory, Licence, OnMissing, Source, unheard
from contrastcxr.data.tables.json_values import plain
from contrastcxr.data.tables.places import stem_of
from contrastcxr.errors import DatasetError, ImageError
from contrastcxr.form import Author, Box, Finding, Reading, Status, Study, View, is_file_locator, locator_path

COCO = "coco"
"""The option of a data name that gives the file."""
TURNED = 0.02
"""Relative difference up to which the shape of a picture counts as that of the listed one turned by 90° (ours)."""


class CocoAuthor:
    """The author of a COCO file: reads the studies whose pictures it lists, and remembers which these were."""

    def __init__(self, file: CocoFile) -> None:
        self.file = file
        self._met: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}
        self._other: str | None = None

    @property
    def author(self) -> Author:
        """Who signs the readings."""
        return self.file.author

    @property
    def unreadable(self) -> tuple[str, ...]:
        """What is wrong with the boxed pictures that were met and cannot be read."""
        return tuple(self._unreadable.values())

    def read(self, study: Study, *, keep: bool = False, on_missing: OnMissing = unheard) -> Study | None:
        """Return the study with this author's reading, in place of one that it has by the same name.

        It is itself where the file lists none of its pictures. The picture of a box is opened for its size; one
        that cannot be read is told, and its view left out; None when no view is left.

        Args:
            study: of the source.
            keep: views without a picture stay, as with `images=any`, and have no boxes.
            on_missing: takes what is wrong with a picture.
        """
        listed = {
            i: found for i, view in enumerate(study.views) if (found := self._listed(study, view)) is not None
        }
        if not listed:
            return study
        views = list(study.views)
        gone: list[int] = []
        for i, picture in listed.items():
            try:
                views[i] = _sized(views[i], self.file, picture) if picture.boxes else views[i]
            except ImageError as error:
                self._unreadable[views[i].locator or views[i].view_id] = str(error)
                on_missing(str(error))
                gone.append(i)
        shown = {i: picture for i, picture in listed.items() if i not in gone and picture.annotated}
        others = tuple(reading for reading in study.readings if reading.author.name != self.author.name)
        readings = (*others, self._reading(study.study_id, shown, views)) if shown else others
        read = study.model_copy(update={"views": tuple(views), "readings": readings})
        return read if keep else without_views(read, gone)

    def _listed(self, study: Study, view: View) -> CocoPicture | None:
        """Return the picture of the file that a view is, once no other view of the data has its name."""
        is_file = view.locator is not None and is_file_locator(view.locator)
        name = stem_of((view.locator or "").removesuffix(".gz")) if is_file else view.view_id
        if name not in self.file.pictures:
            self._other = self._other or name
            return None
        where = view.locator if is_file and view.locator else f"{view.view_id} of study {study.study_id}"
        if self._met.setdefault(name, where) != where:
            raise DatasetError(
                f"{self.file.path}: '{plain(name)}' names two pictures of the data, {self._met[name]} and "
                f"{where}; expected names that tell pictures apart; rename one of them, in the file too"
            )
        return self.file.pictures[name]

    def _reading(self, study_id: str, shown: Mapping[int, CocoPicture], views: list[View]) -> Reading:
        findings = []
        for name, originals in self.file.categories.items():
            boxes = tuple(
                _on_view(corners, picture, views[i], i)
                for i, picture in shown.items()
                for finding, corners in picture.boxes
                if finding == name
            )
            status: Status = "present" if boxes else "absent"
            source = f"{self.author.name}: {', '.join(originals)}"
            findings.append(Finding(name=name, status=status, source=source, boxes=boxes))
        return Reading(study_id=study_id, author=self.author, findings=tuple(findings))

    def counted(self, held: Inventory) -> Inventory:
        """Return an inventory with the pictures and boxes of the studies that were read."""
        name, pictures = self.author.name, self.file.pictures
        kept = [picture for stem, picture in pictures.items() if stem in self._met]
        boxes = Counter(finding for picture in kept for finding, _ in picture.boxes)
        counts: dict[str, int | Mapping[str, int]] = {
            f"pictures in {name}": len(kept),
            "of these without a box": sum(not picture.boxes for picture in kept),
            f"boxes by {name}": {finding: boxes[finding] for finding in self.file.categories if boxes[finding]},
        }
        return replace(held, counts={**held.counts, **counts}, notes=(*held.notes, *self._notes(kept)))

    def _notes(self, kept: list[CocoPicture]) -> Iterator[str]:
        file, pictures = self.file.path.name, self.file.pictures
        for original in self.file.left_out:
            yield f"{file}: category {original} is no finding here and is left out; it has no box"
        if idle := sum(not picture.annotated for picture in kept):
            yield f"{file}: {idle} of {len(pictures)} pictures are not annotated, so that nobody read them"
        absent = [picture for stem, picture in pictures.items() if stem not in self._met]
        if absent:
            hint = f"; expected names such as {plain(self._other)}" if self._other and not kept else ""
            name = plain(absent[0].file_name)
            yield f"{file}: {len(absent)} of {len(pictures)} pictures are no study here, such as {name}{hint}"

    def terms(self, licence: Licence) -> Licence:
        """Return the terms of data with these boxes: those of the file are not known, so nothing is passed on."""
        terms = (
            f"{licence.terms}; on what terms the boxes of {self.file.path.name} may be used is the user's to know"
        )
        return replace(licence, terms=terms, redistributable=False)


class CocoBoxed(Source):
    """The studies of another source, read by the author of a COCO file too."""

    def __init__(self, whole: Source, author: CocoAuthor) -> None:
        self._whole, self._author = whole, author
        self.name, self.images = whole.name, whole.images
        self.licence = author.terms(whole.licence)
        self._gone_through = False

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Those of the source."""
        return self._whole.splits

    @property
    def missing(self) -> tuple[str, ...]:
        """What the source lacks; then what is wrong with boxed pictures that were opened."""
        return (*self._whole.missing, *self._author.unreadable)

    def inventory(self) -> Inventory:
        """Count what the source counts, and the pictures and boxes of the file."""
        if not self._gone_through:
            deque(self.stream(), maxlen=0)
        return self._author.counted(self._whole.inventory())

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies of one split, or all, as the source does, with the further reading."""
        for study in self._whole.stream(split, on_missing=on_missing):
            read = self._author.read(study, keep=self.images == "any", on_missing=on_missing)
            if read is not None:
                yield read
        self._gone_through = self._gone_through or split is None

    def _load(self, split: str | None) -> Iterable[Study]:
        return self.stream(split)


def coco_author(ref: DataRef) -> CocoAuthor | None:
    """Return the author of the file that a data name gives; None where it gives none.

    Raises:
        DatasetError: the file is no COCO file.
    """
    path = ref.folder(COCO)
    return None if path is None else CocoAuthor(read_coco(path))


def with_coco(kind: SourceKind) -> SourceKind:
    """Return the kind of a source whose data names may give a COCO file."""

    def opened(ref: DataRef) -> Source:
        author = coco_author(ref)
        whole = kind.open(ref)
        return whole if author is None else CocoBoxed(whole, author)

    return replace(kind, open=opened, options=(*kind.options, COCO), authors=(*kind.authors, COCO))


def _sized(view: View, file: CocoFile, picture: CocoPicture) -> View:
    """Return the view with the size of its picture, once this can be that of the file or a resized copy."""
    if view.locator is None or not is_file_locator(view.locator) or not is_there(view):
        return view
    width, height = file_size(locator_path(view.locator))
    stated = view.width or width, view.height or height
    if stated != (width, height):
        raise DatasetError(
            f"{view.locator}: {width}×{height} pixels, and its study says {stated[0]}×{stated[1]}; expected the "
            f"size of the picture that is there, to which boxes of {file.path.name} are scaled; correct the size"
        )
    wide, high = picture.size
    turned = (width - height) * (wide - high) < 0 and abs(width * wide - height * high) <= TURNED * height * high
    if turned:
        raise DatasetError(
            f"{file.path} ({plain(picture.file_name)}): boxes on {wide}×{high} pixels, and {view.locator} has "
            f"{width}×{height} when upright; expected the same picture or a resized copy, not a turned one; leave "
            "it out of the file, or turn its boxes"
        )
    return view.model_copy(update={"width": width, "height": height})


def _on_view(corners: tuple[float, ...], picture: CocoPicture, view: View, index: int) -> Box:
    """Return a box in pixels of the view; those of the file where its size is not known."""
    wide, high = picture.size
    sx, sy = (view.width or wide) / wide, (view.height or high) / high
    x1, y1, x2, y2 = corners
    return Box(view=index, xyxy=(x1 * sx, y1 * sy, x2 * sx, y2 * sy))
