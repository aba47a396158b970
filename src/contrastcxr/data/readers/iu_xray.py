"""IU X-ray (Demner-Fushman et al. 2016) in every layout it goes around in.

`openi` is the collection's own XML, in a folder or in the torchxrayvision package; `kaggle` the pair of CSV files;
`r2gen` the annotation file of R2Gen. A folder may hold several: the one whose images are there is read unless
`layout=` decides otherwise, and the others complete it. The annotation file gives every layout R2Gen's split;
either of the other two gives the reports of the annotation file their remaining sections and MeSH terms.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from contrastcxr.data.readers import iu_kaggle, iu_openi
from contrastcxr.data.readers.annotation import Annotation, read_annotation
from contrastcxr.data.readers.iu_reports import NORMAL, IuPicture, IuReport, picture_key, readings
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Inventory, Licence, OnMissing, Source, unheard
from contrastcxr.data.tables.named import PACKAGE, packaged_file
from contrastcxr.data.tables.streamed import stream_table
from contrastcxr.errors import DatasetError
from contrastcxr.form import Position, Study, View

LICENCE = Licence(
    terms="CC BY-NC-ND 4.0: no commercial use, nothing derived from it may be given away",
    redistributable=False,
    contains_text=True,
    contains_pictures=True,
    where="https://openi.nlm.nih.gov/faq#collection",
)

Layout = Literal["openi", "kaggle", "r2gen"]
LAYOUTS: tuple[Layout, ...] = ("openi", "kaggle", "r2gen")
SPLITS = ("train", "validation", "test")

ANNOTATION = "annotation.json"
HEADERS = "nlmcxr_dicom_metadata.csv.gz"
_PICTURES: Mapping[Layout, str] = {"openi": "NLMCXR_png", "kaggle": "images/images_normalized", "r2gen": "images"}
"""Where each layout's pictures are unpacked; they are found anywhere below the folder."""
_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm")
_DEEPEST = 4
_LATERALS = ("LL", "RL", "LATERAL", "LARGE LATERAL")


class IuXray(Source):
    """The studies of one folder, or of the reports in the torchxrayvision package."""

    name = "iu_xray"
    licence = LICENCE

    def __init__(
        self,
        root: str | Path,
        *,
        layout: Layout | None = None,
        annotation: Path | None = None,
        pictures: Path | None = None,
        images: Literal["there", "any"] = "there",
    ) -> None:
        """Look which layouts are there.

        Args:
            root: the folder; an annotation file; or `torchxrayvision`, for the reports of that package.
            layout: which layout to read where several are there.
            annotation: R2Gen's annotation file, where it is not in the folder.
            pictures: the folder of images, where it is not below the root.
            images: `any` keeps studies whose images are absent.

        Raises:
            DatasetError: no layout is there, or not the one asked for.
            MissingExtraError: the package is not installed.
        """
        self.images = images
        self._packaged = str(root) == PACKAGE
        folder = Path(root).expanduser()
        self._annotation_path = annotation or _annotation_of(folder)
        self.root = folder.parent if folder.is_file() else folder
        self._picture_root = pictures or (None if self._packaged else self.root)
        for place, what in ((None if self._packaged else self.root, "the collection"), (pictures, "pictures")):
            if place is not None and not place.is_dir():
                raise DatasetError(f"{place}: is not a folder; give the folder that holds {what}")
        self.layouts = self._found_layouts()
        if layout is not None and layout not in self.layouts:
            raise DatasetError(
                f"{root}: layout '{layout}' is not there; found {', '.join(self.layouts)}; leave the option out"
            )
        self._asked = layout
        self._by_layout: dict[Layout, tuple[IuReport, ...]] = {}
        self._unreadable: list[str] = []

    @cached_property
    def layout(self) -> Layout:
        """The layout that is read: the one asked for, else the one with most of its images there."""
        if self._asked or len(self.layouts) == 1:
            return self._asked or self.layouts[0]
        there = {layout: self._count_there(layout) for layout in self.layouts}
        return max(self.layouts, key=lambda layout: there[layout])  # the first of equals

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """R2Gen's, where its annotation file is there."""
        return self._annotation.splits if self._annotation else ()

    @cached_property
    def reports(self) -> tuple[IuReport, ...]:
        """Every report of the layout, those without an image included, with what the other layouts know of it."""
        reports = self._reports_of(self.layout)
        if self.layout == "r2gen":
            return tuple(self._completed(report) for report in reports)
        splits = (
            {_uid(s.id, self._annotation_path): s.split for s in self._annotation.samples}
            if self._annotation
            else {}
        )
        return tuple(replace(report, split=splits.get(report.uid)) for report in reports)

    @property
    def missing(self) -> tuple[str, ...]:
        """Where images would be that the tables name and the folder does not hold; then XML that is no report."""
        pictures = (picture for report in self.reports for picture in report.pictures)
        absent = (str(self._place(p)) for p in pictures if picture_key(p.name) not in self._files)
        return (*absent, *self._unreadable)

    def inventory(self) -> Inventory:
        """Count what the tables name; never reads a pixel."""
        return Inventory(
            images=sum(len(report.pictures) for report in self.reports),
            reports=len(self.reports),
            counts=self._counts(),
            notes=tuple(self._notes()),
        )

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies of one split, or all, and tell which of their images are missing."""
        self.check_split(split)
        reports = self.reports
        for message in self._unreadable:
            on_missing(message)
        for report in reports:
            if split is None or report.split == split:
                study = self._study(report, on_missing)
                if study is not None:
                    yield study

    def _load(self, split: str | None) -> Iterable[Study]:
        return self.stream(split)

    def _counts(self) -> Mapping[str, int]:
        reports = self.reports
        findings = [report for report in reports if report.findings.strip()]
        views = Counter(len(report.pictures) for report in reports)
        counts = {
            "reports with findings": len(findings),
            "with findings and two images or more": sum(len(report.pictures) >= 2 for report in findings),
            "with neither findings nor impression": sum(not (r.findings + r.impression).strip() for r in reports),
            **{f"with {n} image{'' if n == 1 else 's'}": views[n] for n in sorted(views)},
        }
        if any(report.mesh is not None for report in reports):
            counts["normal by MeSH"] = sum(report.mesh == (NORMAL,) for report in reports)
        return counts

    def _notes(self) -> Iterable[str]:
        others = [layout for layout in self.layouts if layout != self.layout]
        also = f"; {', '.join(others)} there too (force with layout=)" if others else ""
        yield f"layout {self.layout}{also}"
        if self._annotation:
            yield f"{self._annotation_path}: {self._annotation.shape}"
        named = {picture_key(picture.name) for report in self.reports for picture in report.pictures}
        if named and named.isdisjoint(self._files) and self.images == "there":
            yield f"none of the {len(named):,} images is there; ?images=any gives texts and labels alone"
        bare = sum(not report.pictures for report in self.reports)
        if bare:
            yield f"{bare} reports name no image; they are no studies"
        odd = sorted(path.name for key, path in self._files.items() if key not in named)
        if odd:
            yield f"{len(odd)} image files that no table names are not read, such as {odd[0]}"

    def _study(self, report: IuReport, on_missing: OnMissing) -> Study | None:
        views = tuple(self._views(report, on_missing))
        if not views:
            return None
        said = readings(report)
        return Study(
            study_id=report.study_id,
            # The DICOM headers of the collection give every report a patient of its own, numbered like it.
            patient_id=f"CXR{report.uid}",
            views=views,
            indication=said[0].report.indication,
            readings=said,
            split=report.split,
        )

    def _views(self, report: IuReport, on_missing: OnMissing) -> Iterator[View]:
        for picture in report.pictures:
            path, there = self._place(picture), picture_key(picture.name) in self._files
            if not there:
                on_missing(str(path))
            if there or self.images == "any":
                name = re.sub(r"(\.(dcm|png))+$", "", picture.name)
                yield View(view_id=name, locator=str(path), position=picture.position)

    def _place(self, picture: IuPicture) -> Path:
        """Return where a picture is or would be."""
        would_be = self._picture_root or Path()
        if would_be == self.root and not self._packaged:
            would_be /= _PICTURES[self.layout]
        return self._files.get(picture_key(picture.name), would_be / picture.name)

    def _found_layouts(self) -> tuple[Layout, ...]:
        if self._packaged:
            packaged_file(iu_openi.ARCHIVE, f"iu_xray:{PACKAGE}")
            return ("openi",)
        xml = bool(self._xml_folder) or (self.root / iu_openi.ARCHIVE).is_file()
        r2gen = self._annotation_path is not None
        tables = [(self.root / name).is_file() for name in (iu_kaggle.REPORTS, iu_kaggle.PROJECTIONS)]
        # One of the pair alone still helps another layout; by itself it is read, to say that the other is missing.
        there = {"openi": xml, "kaggle": all(tables) or (any(tables) and not (xml or r2gen)), "r2gen": r2gen}
        found = tuple(layout for layout in LAYOUTS if there[layout])
        if not found:
            raise DatasetError(
                f"{self.root}: holds no XML reports ({iu_openi.FOLDER}/), no {iu_kaggle.REPORTS} and no "
                f"{ANNOTATION}; give the folder with one of these"
            )
        return found

    @cached_property
    def _xml_folder(self) -> Path | None:
        folders = (self.root / iu_openi.FOLDER, self.root / "NLMCXR_reports" / iu_openi.FOLDER, self.root)
        return next((f for f in folders if f.is_dir() and next(f.glob("*.xml"), None)), None)

    def _reports_of(self, layout: Layout) -> tuple[IuReport, ...]:
        if layout not in self._by_layout:
            read = {"openi": self._openi, "kaggle": self._kaggle, "r2gen": self._r2gen}[layout]
            self._by_layout[layout] = read()
        return self._by_layout[layout]

    def _openi(self) -> tuple[IuReport, ...]:
        if self._packaged:
            packaged = packaged_file(iu_openi.ARCHIVE, "iu_xray")
            found: Iterable[IuReport] = iu_openi.reports_in_archive(packaged, self._refuse)
            known = _header_positions(packaged_file(HEADERS, "iu_xray"))
        else:
            known = iu_kaggle.positions(self.root)
            found = (
                iu_openi.reports_in_folder(self._xml_folder, self._refuse)
                if self._xml_folder
                else iu_openi.reports_in_archive(self.root / iu_openi.ARCHIVE, self._refuse)
            )
        return _unique(replace(report, pictures=_placed(report.pictures, known)) for report in found)

    def _refuse(self, error: DatasetError) -> None:
        self._unreadable.append(str(error))

    def _kaggle(self) -> tuple[IuReport, ...]:
        return tuple(iu_kaggle.read_reports(self.root))

    def _r2gen(self) -> tuple[IuReport, ...]:
        assert self._annotation is not None
        return tuple(
            IuReport(
                study_id=sample.id,
                uid=_uid(sample.id, self._annotation_path),
                findings=sample.report,
                pictures=tuple(IuPicture(name) for name in sample.images),
                split=sample.split,
            )
            for sample in self._annotation.samples
        )

    def _completed(self, report: IuReport) -> IuReport:
        """Return an annotated report with the sections and terms that the file leaves out."""
        known = self._complete.get(report.uid)
        if known is None:
            return report
        return replace(
            report,
            impression=known.impression,
            indication=known.indication,
            comparison=known.comparison,
            mesh=known.mesh,
        )

    @cached_property
    def _complete(self) -> Mapping[str, IuReport]:
        whole = next((layout for layout in self.layouts if layout != "r2gen"), None)
        found = self._reports_of(whole) if whole else iu_kaggle.read_texts(self.root)
        return {report.uid: report for report in found}

    @cached_property
    def _annotation(self) -> Annotation | None:
        return read_annotation(self._annotation_path) if self._annotation_path else None

    def _count_there(self, layout: Layout) -> int:
        names = (picture.name for report in self._reports_of(layout) for picture in report.pictures)
        return sum(picture_key(name) in self._files for name in names)

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        """Image files below the folder, by what every edition calls them; PNG before JPEG before DICOM."""
        found = list(_image_files(self._picture_root)) if self._picture_root else []
        found.sort(key=lambda path: (-_SUFFIXES.index(path.suffix.lower()), str(path)))
        return {picture_key(path.as_posix()): path for path in found}


def _annotation_of(folder: Path) -> Path | None:
    path = folder if folder.suffix == ".json" and folder.is_file() else folder / ANNOTATION
    return path if path.is_file() else None


def _image_files(root: Path) -> Iterable[Path]:
    depth = len(root.parts)
    for folder, inner, files in os.walk(root):
        here = Path(folder)
        inner[:] = sorted(inner) if len(here.parts) - depth < _DEEPEST else []
        found = (here / name for name in files if name.lower().endswith(_SUFFIXES))
        yield from filter(Path.is_file, found)


def _uid(sample_id: str, path: Path | None) -> str:
    match = re.match(r"CXR(\d+)(?:_|$)", sample_id)
    if match is None:
        raise DatasetError(
            f"{path}: sample '{sample_id}'; expected ids such as CXR1_1_IM-0001; give IU X-ray's file"
        )
    return match[1]


def _unique(reports: Iterable[IuReport]) -> tuple[IuReport, ...]:
    by_uid: dict[str, IuReport] = {}
    for report in reports:
        if by_uid.setdefault(report.uid, report) is not report:
            raise DatasetError(f"two XML files have the uId CXR{report.uid}; expected one each; remove one")
    return tuple(by_uid.values())


def _placed(pictures: tuple[IuPicture, ...], known: Mapping[str, Position]) -> tuple[IuPicture, ...]:
    return tuple(replace(p, position=known.get(picture_key(p.name), p.position)) for p in pictures)


def _header_positions(path: Path) -> dict[str, Position]:
    """Return the laterals that the DICOM headers state, by `picture_key`.

    A header's PA or AP says nothing: of 3,593 images with PA, 1,368 are laterals in Kaggle's table (measured).
    """
    rows = (line.cells for line in stream_table(path, ("imageid", "View Position")))
    return {picture_key(image): "LATERAL" for image, stated in rows if stated in _LATERALS}


def _open(ref: DataRef) -> IuXray:
    return IuXray(
        ref.root,
        layout=ref.choice("layout", LAYOUTS) if ref.option("layout") else None,
        annotation=ref.folder("annotation"),
        pictures=ref.folder("pictures"),
        images=ref.images,
    )


KIND = SourceKind(
    IuXray,
    open=_open,
    summary="IU X-ray: reports, MeSH terms; Open-i XML, Kaggle's or R2Gen's tables, torchxrayvision",
    splits=SPLITS,
    options=("layout", "annotation", "pictures"),
    signs=("indiana_reports.csv", "ecgen-radiology", "NLMCXR_reports.tgz"),
)
