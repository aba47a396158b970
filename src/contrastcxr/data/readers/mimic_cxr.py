"""MIMIC-CXR (Johnson et al. 2019): the JPG or DICOM edition, its tables, and the texts, each with its own root.

Nothing of a study is read before it is asked for: the tables give a few hundred bytes a study, one listing of its
folder says which of its images are there, and its text is opened when the study is yielded. `stream` keeps none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from contrastcxr.data.presence import files_in
from contrastcxr.data.readers import mimic_tables
from contrastcxr.data.readers.annotation import Annotation, AnnotationEntry, read_annotation
from contrastcxr.data.readers.coco_boxed import with_coco
from contrastcxr.data.readers.mimic_reports import Reports, files_folder, study_folder
from contrastcxr.data.readers.mimic_tables import METADATA, RECORDS, SPLIT, StudyRecord
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Inventory, Licence, OnMissing, Source, unheard
from contrastcxr.data.tables.named import find_table
from contrastcxr.data.tables.places import stem_of
from contrastcxr.errors import DatasetError, RequestError
from contrastcxr.form import Author, Position, Reading, Report, Study, View
from contrastcxr.text.sections import has_findings, report, split_sections

RADIOLOGIST = Author(kind="human", name="mimic_cxr radiologist")
LABELERS: Mapping[str, Author] = {
    "chexpert": Author(kind="rule", name="mimic_cxr chexpert"),
    "negbio": Author(kind="rule", name="mimic_cxr negbio"),
}

LICENCE = Licence(
    terms="PhysioNet Credentialed Health Data Licence 1.5.0: research by credentialed users, no redistribution",
    redistributable=False,
    contains_text=True,
    contains_pictures=True,
    where="https://physionet.org/content/mimic-cxr-jpg/ and https://physionet.org/content/mimic-cxr/",
)

SPLITS = ("train", "validation", "test")
_SUFFIXES = (".jpg", ".dcm", ".png")
_FILES = ("files", "images")


@dataclass(frozen=True)
class MimicRoots:
    """Where the parts of MIMIC-CXR lie; all but the first are optional.

    Attributes:
        images: the folder that holds `files/` of JPEG or DICOM images.
        reports: the folder, or `mimic-cxr-reports.zip`, that holds the texts.
        tables: the folder of the tables, where they are not beside the images.
        annotation: R2Gen's annotation file, which then says what is read.
    """

    images: Path
    reports: Path | None = None
    tables: Path | None = None
    annotation: Path | None = None


class MimicCxr(Source):
    """Studies of MIMIC-CXR in the official split, or those of R2Gen's annotation file in its own."""

    name = "mimic_cxr"
    licence = LICENCE

    def __init__(
        self,
        roots: MimicRoots,
        *,
        subset: Literal["all", "findings"] = "all",
        unit: Literal["study", "image"] = "study",
        images: Literal["there", "any"] = "there",
    ) -> None:
        """Find the tables.

        Args:
            roots: where the parts lie.
            subset: `findings` keeps studies whose report has a findings section.
            unit: `image` makes a study of every image, as papers count that show one image at a time.
            images: `any` keeps studies whose images are absent.

        Raises:
            DatasetError: a root or a table is not there.
            RequestError: a subset of findings without reports.
        """
        self.images = images
        self._roots, self._subset, self._unit = roots, subset, unit
        self._unreadable: dict[str, str] = {}
        if not roots.images.is_dir():
            raise DatasetError(f"{roots.images}: is not a folder; give the folder that holds files/p10 to p19")
        if subset == "findings" and not (roots.reports or roots.annotation):
            raise RequestError("subset=findings of mimic_cxr needs the texts; add reports=/path to the name")
        self._files = files_folder(roots.images, _FILES)
        self._reports = Reports(roots.reports) if roots.reports else None
        self._folders = [folder for folder in (roots.tables, roots.images, roots.reports) if folder]
        if not (self._table(METADATA) or self._table(RECORDS) or roots.annotation):
            raise DatasetError(
                f"{self._folders[0]}: holds no {METADATA[0]}.gz and no {RECORDS[0]}.gz; put one there, "
                "or name its folder with tables=/path"
            )

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """The official ones where the split table is there, or those of the annotation file."""
        if self._annotation:
            return self._annotation.splits
        return SPLITS if self._table(SPLIT) else ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Where images, and with a root for them texts, would be; then what is wrong with opened texts."""
        return (*self._absent, *self._unreadable.values())

    @cached_property
    def _absent(self) -> tuple[str, ...]:
        images = (image for number, held in self._held.items() for image in self._images_of(number, held))
        absent = [str(path) for _, _, path, there in images if not there]
        untold = [self._reports.where(*pair) for pair in self._untold] if self._reports else []
        return (*absent, *untold)

    def inventory(self) -> Inventory:
        """Count what the tables name; opens no image and no report."""
        held = self._held
        views = Counter(position for known in held.values() for _, position in known.images)
        return Inventory(
            images=sum(len(known.images) for known in held.values()),
            reports=self._report_count(),
            counts={
                "studies named": len(held),
                "patients named": len({known.subject for known in held.values()}),
                **{f"images {position}": views[position] for position in sorted(views)},
                **{f"studies with {name} labels": len(codes) for name, codes in self._labels.items()},
            },
            notes=tuple(self._notes()),
        )

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies of one split, or all, in table order, and tell what they lack; none is kept."""
        self.check_split(split)
        for number, held in self._held.items():
            if split is None or held.split == split:
                study = self._study(number, held, on_missing)
                if study is not None:
                    yield from self._samples(study)

    def _load(self, split: str | None) -> Iterable[Study]:
        return self.stream(split)

    def _study(self, number: str, held: StudyRecord, on_missing: OnMissing) -> Study | None:
        views = self._views(number, held, on_missing)
        text = self._report(number, held, on_missing)
        if not views or text is None:
            return None
        return Study(
            study_id=number,
            patient_id=held.subject,
            views=views,
            acquired=mimic_tables.day_of(held.acquired),
            indication=text.indication,
            prior=self._prior.get(number),
            readings=tuple(self._readings(number, text)),
            split=held.split,
        )

    def _samples(self, study: Study) -> Iterator[Study]:
        """Yield the study, or one study for each image; these have no prior, for its study id is gone too."""
        if self._unit == "study":
            yield study
            return
        for view in study.views:
            readings = tuple(r.model_copy(update={"study_id": view.view_id}) for r in study.readings)
            yield study.model_copy(
                update={"study_id": view.view_id, "views": (view,), "prior": None, "readings": readings}
            )

    def _views(self, number: str, held: StudyRecord, on_missing: OnMissing) -> tuple[View, ...]:
        views = []
        for name, position, path, there in self._images_of(number, held):
            if not there:
                on_missing(str(path))
            if there or self.images == "any":
                views.append(View(view_id=name, locator=str(path), position=position))
        return tuple(views)

    def _images_of(self, number: str, held: StudyRecord) -> Iterator[tuple[str, Position, Path, bool]]:
        """Yield name, position and file of every image of a study, and whether it is there.

        One listing of the study's folder answers for all of them.
        """
        folder = self._files / study_folder(held.subject, number)
        there = files_in(folder)
        for name, position in held.images:
            file = next((name + suffix for suffix in _SUFFIXES if name + suffix in there), None)
            yield name, position, folder / (file or name + self._suffix), file is not None

    def _report(self, number: str, held: StudyRecord, on_missing: OnMissing) -> Report | None:
        """Return the study's report, empty without a root for texts; None where the study is to be left out."""
        if self._annotation:
            return self._annotated(number)
        if self._reports is None:
            return Report()
        try:
            raw = self._reports.read(held.subject, number)
        except DatasetError as error:
            self._unreadable[number] = str(error)
            on_missing(str(error))
            return None
        if raw is None:
            on_missing(self._reports.where(held.subject, number))
            return None
        return None if self._subset == "findings" and not has_findings(raw) else split_sections(raw)

    def _annotated(self, number: str) -> Report | None:
        text = self._samples_of[number][0].report
        return None if self._subset == "findings" and not text.strip() else report(findings=text)

    def _readings(self, number: str, text: Report) -> Iterator[Reading]:
        if self._reports or self._annotation:
            yield Reading(study_id=number, author=RADIOLOGIST, report=text)
        for name, codes in self._labels.items():
            if number in codes:
                author = LABELERS[name]
                yield Reading(
                    study_id=number, author=author, findings=mimic_tables.findings_of(codes[number], author.name)
                )

    def _report_count(self) -> int | None:
        if self._annotation:
            return len(self._held)
        return len(self._held) - len(self._untold) if self._reports else None

    def _notes(self) -> Iterator[str]:
        if self._annotation:
            yield f"{self._annotation.path}: {self._annotation.shape}"
        elif self._reports is None:
            yield "no root for the texts; add reports=/path to read them"
        elif self._untold:
            yield f"{len(self._untold)} studies have no text and are left out"
        if not self._table(METADATA):
            yield f"no {METADATA[0]}: positions, dates and prior studies are not known"
        if not self.splits:
            yield f"no {SPLIT[0]}: there are no splits"
        for name in mimic_tables.LABELS:
            if name not in self._labels:
                yield f"no {mimic_tables.LABELS[name][0]}: no labels of {LABELERS[name].name}"

    @cached_property
    def _untold(self) -> tuple[tuple[str, str], ...]:
        """(patient, study) of the studies without a text."""
        if self._reports is None or self._annotation:
            return ()
        pairs = sorted((held.subject, number) for number, held in self._held.items())
        told = self._reports.held(pairs)
        return tuple(pair for pair in pairs if pair[1] not in told)

    @cached_property
    def _suffix(self) -> str:
        """What an absent image would be called."""
        return ".dcm" if self._table(RECORDS) and not self._table(METADATA) else ".jpg"

    @cached_property
    def _held(self) -> Mapping[str, StudyRecord]:
        if self._annotation:
            return self._annotated_studies(self._annotation)
        held = self._tables
        path = self._table(SPLIT)
        of = mimic_tables.read_splits(path) if path else {}
        for number, known in held.items():
            known.split = of.get(number)
        return held

    @cached_property
    def _tables(self) -> dict[str, StudyRecord]:
        metadata, records = self._table(METADATA), self._table(RECORDS)
        if metadata:
            return mimic_tables.read_metadata(metadata)
        return mimic_tables.read_records(records) if records else {}

    def _annotated_studies(self, annotation: Annotation) -> dict[str, StudyRecord]:
        """Return the annotated images, study by study, with what the tables know of them."""
        positions = {name: position for known in self._tables.values() for name, position in known.images}
        found: dict[str, StudyRecord] = {}
        for number, samples in self._samples_of.items():
            first, known = samples[0], self._tables.get(number)
            names = dict.fromkeys(stem_of(name) for sample in samples for name in sample.images)
            images: list[tuple[str, Position]] = [(name, positions.get(name, "unknown")) for name in names]
            found[number] = StudyRecord(
                first.subject_id or "", images, known.acquired if known else None, first.split
            )
            odd = next((s for s in samples if s.split != first.split), None)
            if odd:
                raise DatasetError(
                    f"{annotation.path} {odd.place} ({odd.id}): study {number} is in {first.split} and "
                    f"{odd.split}; expected one split a study; correct the sample"
                )
        return found

    @cached_property
    def _samples_of(self) -> Mapping[str, list[AnnotationEntry]]:
        """Annotated samples by study: R2Gen has one for each image."""
        found: dict[str, list[AnnotationEntry]] = {}
        for sample in self._annotation.samples if self._annotation else ():
            if not (sample.study_id and sample.subject_id):
                raise DatasetError(
                    f"{self._roots.annotation} {sample.place} ({sample.id}): no study_id and subject_id; expected "
                    "R2Gen's annotation of MIMIC-CXR; give that file"
                )
            found.setdefault(sample.study_id, []).append(sample)
        return found

    @cached_property
    def _prior(self) -> Mapping[str, str]:
        return mimic_tables.previous_studies(self._held)

    @cached_property
    def _labels(self) -> Mapping[str, Mapping[str, str]]:
        paths = {name: self._table(names) for name, names in mimic_tables.LABELS.items()}
        return {name: mimic_tables.read_labels(path) for name, path in paths.items() if path}

    @cached_property
    def _annotation(self) -> Annotation | None:
        return read_annotation(self._roots.annotation) if self._roots.annotation else None

    def _table(self, names: tuple[str, ...]) -> Path | None:
        return find_table(self._folders, names)


def roots_of(ref: DataRef, annotation: str) -> MimicRoots:
    """Return the folders that a data name gives; `annotation` is its option for a list of studies."""
    reports, tables, listed = (ref.folder(name) for name in ("reports", "tables", annotation))
    return MimicRoots(ref.path, reports=reports, tables=tables, annotation=listed)


def unit_of(ref: DataRef) -> Literal["study", "image"]:
    """Return what counts as a study of a data name."""
    return ref.choice("unit", ("study", "image"))


KIND = with_coco(
    SourceKind(
        MimicCxr,
        open=lambda ref: MimicCxr(
            roots_of(ref, "annotation"),
            subset=ref.choice("subset", ("all", "findings")),
            unit=unit_of(ref),
            images=ref.images,
        ),
        summary="MIMIC-CXR, JPEG or DICOM: texts, official split, CheXpert and NegBio labels, prior studies",
        splits=SPLITS,
        options=("reports", "tables", "annotation", "subset", "unit"),
        signs=("mimic-cxr-2.0.0-metadata.csv", "cxr-record-list.csv"),
    )
)
