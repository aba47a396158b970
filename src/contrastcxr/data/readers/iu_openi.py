"""IU X-ray as Open-i publishes it: one XML file a report, in a folder or in the archive `NLMCXR_reports.tgz`."""

from __future__ import annotations

import re
import tarfile
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from contrastcxr.data.readers.iu_reports import SECTIONS, IuPicture, IuReport
from contrastcxr.data.tables.text import read_errors
from contrastcxr.errors import DatasetError

ARCHIVE = "NLMCXR_reports.tgz"
FOLDER = "ecgen-radiology"

LARGEST = 1 << 20
"""Bytes of one report above which it is not read (the largest of the collection has 8,967; ours)."""
MOST = 100_000
"""Files of an archive above which it is not read on (the collection has 3,955; ours)."""
OnFailure = Callable[[DatasetError], None]


def reports_in_folder(folder: Path, on_failure: OnFailure) -> Iterator[IuReport]:
    """Yield the reports of every XML file of a folder, by number, and tell which files are none."""
    for path in sorted(folder.glob("*.xml"), key=lambda p: (len(p.stem), p.stem)):
        try:
            yield parse_report(_content(path), str(path))
        except DatasetError as error:
            on_failure(error)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise DatasetError(f"{path}: is a folder, a pipe or a link to nothing; expected a report; remove it")
        if path.stat().st_size > LARGEST:
            raise _too_large(str(path))
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); check the permissions") from error


def reports_in_archive(path: Path, on_failure: OnFailure) -> list[IuReport]:
    """Return the reports of every XML file of a `.tgz`, by number, and tell which are none.

    Nothing is unpacked to disk.

    Raises:
        DatasetError: the archive is damaged.
    """
    found = []
    try:
        with read_errors(path), tarfile.open(path, "r:gz") as archive:
            for name, content in _xml_members(path, archive):
                try:
                    found.append(parse_report(content, f"{path}:{name}"))
                except DatasetError as error:
                    on_failure(error)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path}: the archive is damaged or cut off; {ARCHIVE} was expected; download it again"
        ) from error
    return sorted(found, key=lambda report: (len(report.uid), report.uid))


def _xml_members(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for number, member in enumerate(archive):
        if number >= MOST:
            raise DatasetError(f"{path}: holds more than {MOST:,} files; {ARCHIVE} was expected; check the file")
        if not (member.isfile() and member.name.endswith(".xml")):
            continue
        if member.size > LARGEST:
            raise _too_large(f"{path}:{member.name}")
        file = archive.extractfile(member)
        if file is not None:
            yield member.name, file.read()


def _too_large(where: str) -> DatasetError:
    return DatasetError(f"{where}: is above {LARGEST >> 20} MiB; one report was expected; remove the file")


def parse_report(content: bytes, where: str) -> IuReport:
    """Return one `eCitation`; a document type or entity is refused, as no report has one.

    Raises:
        DatasetError: not UTF-8, not XML, or not a report.
    """
    root = _root(content, where)
    stated = root.find("uId")
    match = re.fullmatch(r"CXR(\d+)", stated.get("id", "") if stated is not None else "")
    if root.tag != "eCitation" or match is None:
        raise DatasetError(
            f"{where}: root <{root.tag}> without a uId CXR<number>; expected an Open-i report; remove it"
        )
    sections = {element.get("Label", ""): (element.text or "").strip() for element in root.iter("AbstractText")}
    return IuReport(
        study_id=match[0],
        uid=match[1],
        mesh=tuple(text for element in root.iter("major") if (text := (element.text or "").strip())),
        pictures=tuple(IuPicture(f"{image.get('id', '')}.png") for image in root.iter("parentImage")),
        **{section: sections.get(section.upper(), "") for section in SECTIONS},
    )


def _root(content: bytes, where: str) -> ET.Element:
    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DatasetError(f"{where}: declares a document type; plain XML was expected; remove that")
        return ET.fromstring(text)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{where}: byte {error.start} is not UTF-8; XML in UTF-8 was expected; download it again"
        ) from error
    except ET.ParseError as error:
        raise DatasetError(f"{where}: is not XML ({error}); the file may be cut off; download it again") from error
