"""Which pictures of a study are there, and the study without those that are not."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from contrastcxr.form import Finding, Reading, Study, View, is_file_locator


def is_there(view: View) -> bool:
    """Return True unless the view names a file that does not exist."""
    if view.locator is None or not is_file_locator(view.locator):
        return True
    return os.path.isfile(view.locator)  # noqa: PTH113 - a Path for each of 200,000 views takes longer than this


def without_views(study: Study, gone: Container[int]) -> Study | None:
    """Return the study without the views at these indices, None when no view is left.

    Boxes on a lost view go with it, those on the others are counted anew; maps of evidence likewise.
    """
    kept = [index for index in range(len(study.views)) if index not in gone]
    if len(kept) == len(study.views):
        return study
    if not kept:
        return None
    new = {old: position for position, old in enumerate(kept)}
    return study.model_copy(
        update={
            "views": tuple(study.views[index] for index in kept),
            "readings": tuple(_reading(reading, new) for reading in study.readings),
        }
    )


def files_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder, neither of folders nor of pipes; none where it is not there."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if _is_file(entry)]
    except OSError:
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    # A link that leads to itself is no error of its folder; files cost no question of the disk.
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()  # noqa: PTH113


class PictureFolder:
    """The pictures of one flat folder by stem; the folder is listed once, and may be absent."""

    def __init__(self, folder: Path, suffixes: tuple[str, ...]) -> None:
        """List the folder.

        Args:
            folder: where the pictures are or would be.
            suffixes: endings that count, the usual first; of two files with one stem the earlier is taken.
        """
        self.folder = folder
        self._suffixes = suffixes
        names = files_in(folder)
        ordered = sorted((n for n in names if self._rank(n) < len(suffixes)), key=self._rank, reverse=True)
        self._names = {name[: name.rindex(".")]: name for name in ordered}

    @property
    def stems(self) -> tuple[str, ...]:
        """Stems of the pictures that are there, in order."""
        return tuple(sorted(self._names))

    def find(self, stem: str) -> tuple[str, bool]:
        """Return where the picture is, or would be, and whether it is there."""
        name = self._names.get(stem)
        return f"{self.folder}/{name or stem + self._suffixes[0]}", name is not None

    def _rank(self, name: str) -> int:
        suffix = name[name.rindex(".") :].lower() if "." in name else ""
        return self._suffixes.index(suffix) if suffix in self._suffixes else len(self._suffixes)


def _reading(reading: Reading, new: dict[int, int]) -> Reading:
    evidence = reading.evidence
    moved = evidence.model_copy(
        update={
            "contrast": tuple(
                m.model_copy(update={"view": new[m.view]}) for m in evidence.contrast if m.view in new
            ),
            "difference": tuple(
                m.model_copy(update={"view": new[m.view]}) for m in evidence.difference if m.view in new
            ),
            "negatives": tuple(
                each.model_copy(update={"view": new[each.view]}) for each in evidence.negatives if each.view in new
            ),
            "attention": tuple(
                tuple(m.model_copy(update={"view": new[m.view]}) for m in maps if m.view in new)
                for maps in evidence.attention
            ),
            "finding_maps": tuple(
                each.model_copy(
                    update={
                        "maps": tuple(
                            m.model_copy(update={"view": new[m.view]}) for m in each.maps if m.view in new
                        )
                    }
                )
                for each in evidence.finding_maps
            ),
        }
    )
    findings = tuple(_finding(finding, new) for finding in reading.findings)
    return reading.model_copy(update={"findings": findings, "evidence": moved})


def _finding(finding: Finding, new: dict[int, int]) -> Finding:
    if not finding.boxes and not finding.region and finding.peak is None:
        return finding
    kept = {
        name: tuple(b.model_copy(update={"view": new[b.view]}) for b in boxes if b.view in new)
        for name, boxes in (("boxes", finding.boxes), ("region", finding.region))
    }
    peak = finding.peak
    if peak is not None:
        peak = peak.model_copy(update={"view": new[peak.view]}) if peak.view in new else None
    return finding.model_copy(update={**kept, "peak": peak})
