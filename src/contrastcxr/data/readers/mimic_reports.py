"""Where MIMIC-CXR's reports lie, `files/p10/p10000032/s50414267.txt` in a folder or in their zip archive."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from contrastcxr.data.presence import files_in
from contrastcxr.errors import DatasetError

LARGEST = 1 << 20
"""Bytes of one report above which it is not read (ours)."""


def study_folder(subject: str, study: str) -> str:
    """Return `p10/p10000032/s50414267`, where the images of a study lie, and with `.txt` its report."""
    return f"p{subject[:2]}/p{subject}/s{study}"


def files_folder(root: Path, names: Iterable[str] = ("files",)) -> Path:
    """Return the folder that holds `p10`, `p11` … : below the root, or the root itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


class Reports:
    """The texts of all reports, each read when it is asked for."""

    def __init__(self, root: Path) -> None:
        """Find the reports.

        Raises:
            DatasetError: neither a folder nor a zip archive of reports.
        """
        self.root = root
        self._archive = _archive(root) if root.suffix == ".zip" else None
        if self._archive is None and not root.is_dir():
            raise DatasetError(
                f"{root}: is not a folder; give the folder or zip archive that holds files/p10/…/s….txt"
            )
        self._folder = files_folder(root)

    def where(self, subject: str, study: str) -> str:
        """Return where the text is or would be."""
        inner = f"{study_folder(subject, study)}.txt"
        return f"{self.root}:files/{inner}" if self._archive else str(self._folder / inner)

    def read(self, subject: str, study: str) -> str | None:
        """Return the raw text of a report, None where there is none.

        Raises:
            DatasetError: it cannot be read, is not UTF-8 text or is far too long.
        """
        where = self.where(subject, study)
        content = self._bytes(where, f"files/{study_folder(subject, study)}.txt")
        if content is None:
            return None
        if len(content) > LARGEST:
            raise DatasetError(f"{where}: is above {LARGEST >> 20} MiB; one report was expected; remove the file")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{where}: byte {error.start} is not UTF-8; a text was expected; download it again"
            ) from error

    def held(self, studies: Iterable[tuple[str, str]]) -> frozenset[str]:
        """Return which of these (subject, study) have a text; one listing a patient, nothing is opened."""
        if self._archive is not None:
            names = frozenset(self._archive.namelist())
            return frozenset(s for p, s in studies if f"files/{study_folder(p, s)}.txt" in names)
        listed: dict[str, frozenset[str]] = {}
        found = []
        for subject, study in studies:
            if subject not in listed:
                listed = {subject: frozenset(files_in(self._folder / f"p{subject[:2]}" / f"p{subject}"))}
            found += [study] if f"s{study}.txt" in listed[subject] else []
        return frozenset(found)

    def _bytes(self, where: str, member: str) -> bytes | None:
        try:
            if self._archive is None:
                with Path(where).open("rb") as file:
                    return file.read(LARGEST + 1)
            with self._archive.open(member) as packed:
                return packed.read(LARGEST + 1)
        except (FileNotFoundError, KeyError):
            return None
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise DatasetError(f"{where}: cannot be read ({error}); check the file and permissions") from error


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: is not a whole zip archive ({error}); download it again") from error
