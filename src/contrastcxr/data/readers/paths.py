"""Paths as a person types them become studies; what cannot be read is listed, and the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

from contrastcxr.data.images import image_size
from contrastcxr.data.readers.manifest import LICENCE, Manifest, parse_manifest
from contrastcxr.data.readers.manifest_records import SUFFIXES as MANIFEST_SUFFIXES
from contrastcxr.data.ref import PATHS, SourceKind
from contrastcxr.data.sniff import DICOM_SUFFIXES, FileKind, sniff
from contrastcxr.data.source import Failure, Source
from contrastcxr.errors import DatasetError, ImageError
from contrastcxr.form import Study, View, is_file_locator, locator_path

FOLDER_MANIFEST = "studies.jsonl"
"""A file of this name in a folder is its manifest, as `contrastcxr phantom` and `data prepare` write one."""
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", *DICOM_SUFFIXES)
"""In a folder, a file with one of these names that cannot be read is a failure; other files are passed over."""


class Paths(Source):
    """Radiographs under a path, without splits; what cannot be read counts as missing."""

    name = PATHS
    licence = LICENCE
    splits = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found, failures = studies_from_paths([path])
        self._failures = tuple(failure.message for failure in failures)
        if not self._found:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise DatasetError(f"{failures[0].message}{more}")

    @property
    def missing(self) -> tuple[str, ...]:
        """One line for every input that could not be read."""
        return self._failures

    def _load(self, split: str | None) -> Iterable[Study]:
        del split
        return self._found


def studies_from_paths(
    paths: Sequence[str | Path], *, keep_ids: bool = False
) -> tuple[list[Study], list[Failure]]:
    """Return the studies under the paths and the inputs that are not studies.

    A PNG or JPEG file is a study of its own; DICOM files are grouped by their study, across all paths; a manifest
    (`.jsonl`, `.csv`, `.parquet`), also one named `studies.jsonl` in a folder, gives its rows, and the files it
    names are read as its studies alone. Only headers are read here, so a damaged picture shows when its pixels are
    loaded (`with_pixels`). A file that is named twice is read once.

    Args:
        paths: files and folders; folders are searched to the bottom, in the order of names.
        keep_ids: keep the identifiers of DICOM objects instead of hashes.
    """
    failures: list[Failure] = []
    manifests = _manifests(paths)
    listed = [study for path in manifests for study in _manifest_studies(path, failures)]
    done = {path.resolve() for path in manifests} | {file for study in listed for file in _files_of(study)}
    files = list(_files(paths, done, failures))
    dicom = _dicom_studies([path for path, kind in files if kind == "dicom"], keep_ids, failures)
    pictures = [s for path, kind in files if kind != "dicom" for s in _picture_study(path, failures)]
    return _distinct([*dicom, *listed, *pictures], failures), failures


def _manifests(paths: Sequence[str | Path]) -> list[Path]:
    """Return every manifest among the paths and in the folders, once."""
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        inside = (file for file in _walk(path, []) if file.name == FOLDER_MANIFEST) if path.is_dir() else (path,)
        for file in inside:
            if file.suffix.lower() in MANIFEST_SUFFIXES and file.is_file():
                found.setdefault(file.resolve(), file)
    return list(found.values())


def _files_of(study: Study) -> Iterator[Path]:
    for view in study.views:
        if view.locator is not None and is_file_locator(view.locator):
            yield locator_path(view.locator).resolve()


def _files(
    paths: Sequence[str | Path], done: Set[Path], failures: list[Failure]
) -> Iterator[tuple[Path, FileKind]]:
    """Yield every file that may be read and is not done yet, once, with its kind."""
    seen = set(done)
    for path in map(Path, paths):
        for file in _in_folder(path, seen, failures) if path.is_dir() else _one_file(path, seen, failures):
            seen.add(file[0].resolve())
            yield file


def _one_file(path: Path, seen: Set[Path], failures: list[Failure]) -> Iterator[tuple[Path, FileKind]]:
    if path.resolve() in seen:
        return
    try:
        yield path, _picture_kind(path)
    except ImageError as error:
        failures.append(Failure.of(path, error))


def _in_folder(folder: Path, seen: Set[Path], failures: list[Failure]) -> Iterator[tuple[Path, FileKind]]:
    found = False
    for path in _walk(folder, failures):
        if path.resolve() in seen:
            found = True
            continue
        named = path.suffix.lower() in PICTURE_SUFFIXES
        try:
            kind = _picture_kind(path)
        except ImageError as error:
            if named:
                found = True
                failures.append(Failure.of(path, error))
        else:
            found = True
            yield path, kind
    if not found:
        failures.append(
            Failure(str(folder), f"{folder}: holds no PNG, JPEG or DICOM file; give the folder of the radiographs")
        )


def _walk(folder: Path, failures: list[Failure]) -> Iterator[Path]:
    """Yield files to the bottom of the folder, without hidden ones and the directory file of DICOM media."""

    def unreadable(error: OSError) -> None:
        message = f"{error.filename}: cannot be opened ({error.strerror}); check its permissions"
        failures.append(Failure(str(error.filename), message))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, n) for n in sorted(names) if not n.startswith(".") and n.upper() != "DICOMDIR")


def _picture_kind(path: Path) -> FileKind:
    kind = sniff(path)
    if kind == "other":
        raise ImageError(f"{path}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first")
    return kind


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
        width, height = image_size(path)
    except ImageError as error:
        failures.append(Failure.of(path, error))
        return ()
    view = View(view_id=path.stem, locator=str(path), width=width, height=height)
    return (Study(study_id=path.stem, views=(view,)),)


def _distinct(studies: Iterable[Study], failures: list[Failure]) -> list[Study]:
    """Return the studies, each under an id of its own.

    A second picture of one name gets a number; a second study of one name is a failure.
    """
    taken: dict[str, Study] = {}
    for study in studies:
        name = study.study_id
        if name in taken and not study.readings and study.patient_id is None:
            name = next(f"{name}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{n}" not in taken)
        if name in taken:
            error = DatasetError(f"study '{name}' is in two of the inputs; expected different ids; rename one")
            failures.append(Failure.of(name, error))
        else:
            taken[name] = study if name == study.study_id else study.model_copy(update={"study_id": name})
    return list(taken.values())


KIND = SourceKind(
    Paths,
    open=lambda ref: (Manifest if ref.path.suffix.lower() in MANIFEST_SUFFIXES else Paths)(ref.path),
    summary="DICOM, PNG and JPEG files, or folders of them",
    root="path",
    params=("limit",),
)
