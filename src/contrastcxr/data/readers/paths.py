"""Paths as a person types them become studies; what cannot be read is listed, and the rest goes on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from contrastcxr.data.folders import DIRECTORY, OnPassed, kind_in_words, passed_in_words, walk
from contrastcxr.data.images import image_size
from contrastcxr.data.presence import without_views
from contrastcxr.data.readers.coco_boxed import with_coco
from contrastcxr.data.readers.manifest import LICENCE, Manifest, parse_manifest
from contrastcxr.data.readers.manifest_records import SUFFIXES as MANIFEST_SUFFIXES
from contrastcxr.data.ref import PATHS, SourceKind
from contrastcxr.data.sniff import DICOM_KINDS, DICOM_SUFFIXES, FileKind, sniff
from contrastcxr.data.source import Failure, Inventory, Source, one_input, unheard
from contrastcxr.data.tables.text import ending
from contrastcxr.errors import DatasetError, ImageError, one_line
from contrastcxr.form import Study, View, is_file_locator, locator_path

FOLDER_MANIFEST = "studies.jsonl"
"""A file of this name in a folder is its manifest, as `contrastcxr phantom` and `data prepare` write one."""
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", *DICOM_SUFFIXES)
"""In a folder, a file with one of these names that cannot be read is a failure; other files are passed over."""
ALREADY = "read already"
"""Why a second name of one file is passed over."""


class Paths(Source):
    """Radiographs under a path, without splits; what cannot be read counts as missing."""

    name = PATHS
    licence = LICENCE
    splits = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._passed = Counter[str]()
        found, failures = studies_from_paths([path], on_passed=lambda why: self._passed.update([why]))
        self._found = [kept for study in found if (kept := _writable(study, failures)) is not None]
        self._failures = tuple(failure.message for failure in failures)
        if not self._found:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise DatasetError(f"{failures[0].message}{more}")

    @property
    def missing(self) -> tuple[str, ...]:
        """One line for every input that could not be read."""
        return self._failures

    def inventory(self) -> Inventory:
        """Count the images, and note what was passed over."""
        notes = (f"passed over: {passed_in_words(self._passed)}",) if self._passed else ()
        return replace(super().inventory(), notes=notes)

    def _load(self, split: str | None) -> Iterable[Study]:
        del split
        return self._found


def studies_from_paths(
    paths: Sequence[str | Path], *, keep_ids: bool = False, on_passed: OnPassed = unheard
) -> tuple[list[Study], list[Failure]]:
    """Return the studies under the paths and the inputs that are not studies.

    A PNG or JPEG file is a study of its own; DICOM files are grouped by their study, across all paths; a manifest
    (`.jsonl`, `.csv`, `.parquet`), also one named `studies.jsonl` in a folder, gives its rows, and the files it
    names are read as its studies alone; a DICOMDIR gives the files it names. Only headers are read here, so a
    damaged picture shows when its pixels are loaded (`with_pixels`). A file that is named twice is read once.

    Args:
        paths: files and folders; folders are searched to the bottom, in the order of names.
        keep_ids: keep the identifiers of DICOM objects instead of hashes.
        on_passed: called with the reason of each file in a folder that is neither read nor a failure.
    """
    failures: list[Failure] = []
    found = [_Inputs.of(path, failures) for path in map(Path, paths)]
    manifests = _manifests(found)
    listed = [(path, study) for path in manifests for study in _manifest_studies(path, failures)]
    seen = {os.path.realpath(p): p.absolute() for p in [*manifests, *_files_of(study for _, study in listed)]}
    files = [file for inputs in found for file in _files(inputs, seen, failures, on_passed)]
    dicom = _dicom_studies([path for path, kind in files if kind in DICOM_KINDS], keep_ids, failures)
    pictures = [s for path, kind in files if kind not in DICOM_KINDS for s in _picture_study(path, failures)]
    return _distinct([*_placed(dicom), *listed, *_placed(pictures)], failures), failures


@dataclass(frozen=True)
class _Inputs:
    """What one path stands for: itself, the files of a folder, or those that a DICOMDIR names.

    Attributes:
        files: with the reason each is passed over for, None where it is to be looked at.
        folder: the folder that they are from.
    """

    files: Sequence[tuple[Path, str | None]]
    folder: Path | None = None

    @classmethod
    def of(cls, path: Path, failures: list[Failure]) -> _Inputs:
        """Return the files under a path."""

        def unreadable(error: OSError) -> None:
            message = f"{error.filename}: cannot be opened ({error.strerror}); check its permissions"
            failures.append(Failure(str(error.filename), message))

        if os.path.isdir(path):  # noqa: PTH112 - is_dir raises where the folder around it is locked
            return cls(list(walk(path, unreadable)), path)
        return cls([(file, None) for file in _named_files(path, failures)])


def _named_files(path: Path, failures: list[Failure]) -> Sequence[Path]:
    """Return the files that a DICOMDIR names; any other file stands for itself."""
    if _sniffed(path) != "dicomdir":
        return (path,)
    # Imported here: whoever reads pictures does not wait for pydicom.
    from contrastcxr.data.dicom.directory import listed_files

    try:
        files, missing = listed_files(path)
    except ImageError as error:
        failures.append(Failure.of(path, error))
        return ()
    failures += missing
    return files


def _sniffed(path: Path) -> FileKind | None:
    try:
        return sniff(path)
    except ImageError:
        return None  # said where it is read


def _manifests(found: Iterable[_Inputs]) -> list[Path]:
    """Return every manifest among the inputs, once; in a folder it has a name of its own."""
    manifests: dict[str, Path] = {}
    for inputs in found:
        for file, passed in inputs.files:
            named = ending(file) in MANIFEST_SUFFIXES and not passed
            if named and (inputs.folder is None or file.name == FOLDER_MANIFEST) and os.path.isfile(file):  # noqa: PTH113
                manifests.setdefault(os.path.realpath(file), file)
    return list(manifests.values())


def _files_of(studies: Iterable[Study]) -> Iterator[Path]:
    for view in (view for study in studies for view in study.views):
        if view.locator is not None and is_file_locator(view.locator):
            yield locator_path(view.locator)


def _files(
    inputs: _Inputs, seen: dict[str, Path], failures: list[Failure], on_passed: OnPassed
) -> Iterator[tuple[Path, FileKind]]:
    """Yield the files that may be read and are not in `seen` (names by real path) yet, with their kinds."""
    barren = inputs.folder is not None
    for path, passed in inputs.files:
        if passed is None or (passed == DIRECTORY and _sniffed(path) == "dicom"):  # an image of that name
            kind, passed = _kind(path, seen, failures, in_folder=inputs.folder is not None)
            barren = barren and passed not in (None, ALREADY)
            if kind is not None:
                seen[os.path.realpath(path)] = path.absolute()
                yield path, kind
        if passed is not None:
            on_passed(passed)
    if barren:
        message = f"{inputs.folder}: holds no PNG, JPEG or DICOM file; give the folder of the radiographs"
        failures.append(Failure(str(inputs.folder), message))


def _kind(
    path: Path, seen: Mapping[str, Path], failures: list[Failure], *, in_folder: bool
) -> tuple[FileKind | None, str | None]:
    """Return the kind of a picture, or why it is passed over; neither for a failure and what is read already.

    In a folder only a file that is named like a picture, or that cannot be opened, is a failure.
    """
    first = seen.get(os.path.realpath(path))
    if first is not None:
        return None, ALREADY if in_folder and first != path.absolute() else None
    lenient = in_folder and not _is_named_as_picture(path)
    if lenient and not _holds_anything(path):
        return None, kind_in_words(path)
    try:
        kind = sniff(path)
        if in_folder and kind == "dicomdir":
            return None, DIRECTORY
        if kind == "other" and not lenient:
            raise ImageError(f"{path}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first")
    except ImageError as error:
        failures.append(Failure.of(path, error))
        return None, None
    return (None, kind_in_words(path)) if kind == "other" else (kind, None)


def _holds_anything(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return True  # locked, which is said where it is opened


def _is_named_as_picture(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith((*PICTURE_SUFFIXES, *(f"{suffix}.gz" for suffix in DICOM_SUFFIXES)))


def _dicom_studies(paths: Sequence[Path], keep_ids: bool, failures: list[Failure]) -> list[Study]:
    if not paths:
        return []
    # Imported here: whoever reads pictures does not wait for pydicom.
    from contrastcxr.data.dicom.reading import dicom_studies

    studies, refused = dicom_studies(paths, keep_ids=keep_ids)
    failures += refused
    return studies


def _manifest_studies(path: Path, failures: list[Failure]) -> Iterable[Study]:
    try:
        parsed = parse_manifest(path)
    except DatasetError as error:
        failures.append(Failure.of(path, error))
        return ()
    failures += parsed.failures
    failures += [
        Failure(image, f"{path}: the image {image} is not there; check the path in the manifest")
        for image in parsed.missing
    ]
    return parsed.studies


def _picture_study(path: Path, failures: list[Failure]) -> Iterable[Study]:
    try:
        with one_input(path):
            width, height = image_size(path)
    except ImageError as error:
        failures.append(Failure.of(path, error))
        return ()
    name = one_line(path.stem)
    return (Study(study_id=name, views=(View(view_id=name, locator=str(path), width=width, height=height),)),)


def _writable(study: Study, failures: list[Failure]) -> Study | None:
    """Return the study without views whose path no manifest and no table could hold; None when none is left."""
    gone = set()
    for index, view in enumerate(study.views):
        try:
            (view.locator or "").encode()
        except UnicodeEncodeError:
            gone.add(index)
            message = (
                f"{view.locator}: its name is no UTF-8, and no table can hold it; rename the file or its folder"
            )
            failures.append(Failure(str(view.locator), message, study_id=study.study_id))
    return without_views(study, gone)


def _placed(studies: Iterable[Study]) -> Iterator[tuple[object, Study]]:
    """Yield the studies behind where they were found: their first picture."""
    return ((study.views[0].locator, study) for study in studies)


def _distinct(studies: Iterable[tuple[object, Study]], failures: list[Failure]) -> list[Study]:
    """Return the studies, which come behind where they were found, each under an id of its own.

    A second picture of one name gets a number; a second study of one name is a failure.
    """
    taken: dict[str, Study] = {}
    places: dict[str, object] = {}
    numbers: dict[str, Iterator[int]] = {}
    for where, study in studies:
        name = study.study_id
        if name in taken and not study.readings and study.patient_id is None:
            numbered = (f"{name}-{n}" for n in numbers.setdefault(name, count(2)))
            name = next(each for each in numbered if each not in taken)
        if name in taken:
            other = str(places[name])
            message = (
                f"{where}: study '{name:.80}' is in two of the inputs, also in {other}; expected different ids; "
                "rename one"
            )
            failures.append(Failure(str(where), message, other=other))
        else:
            places[name] = where
            taken[name] = study if name == study.study_id else study.model_copy(update={"study_id": name})
    return list(taken.values())


KIND = with_coco(
    SourceKind(
        Paths,
        open=lambda ref: (Manifest if ending(ref.path) in MANIFEST_SUFFIXES else Paths)(ref.path),
        summary="DICOM, PNG and JPEG files, or folders of them",
        root="path",
        params=("limit",),
    )
)
