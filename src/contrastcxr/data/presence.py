"""Which pictures of a study are there, and the study without those that are not."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from contrastcxr.form import Finding, Reading, Study, View, is_file_locator, locator_path


def is_there(view: View) -> bool:
    """True unless the view names a file that does not exist."""
    return view.locator is None or not is_file_locator(view.locator) or locator_path(view.locator).is_file()


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


def existing(folder: Path, stem: str, suffixes: tuple[str, ...]) -> Path:
    """Return the file of this stem that is there, or the one that would be there first."""
    for suffix in suffixes:
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    return folder / f"{stem}{suffixes[0]}"


def _reading(reading: Reading, new: dict[int, int]) -> Reading:
    evidence = reading.evidence
    moved = evidence.model_copy(
        update={
            "contrast": tuple(
                m.model_copy(update={"view": new[m.view]}) for m in evidence.contrast if m.view in new
            ),
            "attention": tuple(
                tuple(m.model_copy(update={"view": new[m.view]}) for m in maps if m.view in new)
                for maps in evidence.attention
            ),
        }
    )
    findings = tuple(_finding(finding, new) for finding in reading.findings)
    return reading.model_copy(update={"findings": findings, "evidence": moved})


def _finding(finding: Finding, new: dict[int, int]) -> Finding:
    if not finding.boxes:
        return finding
    boxes = tuple(b.model_copy(update={"view": new[b.view]}) for b in finding.boxes if b.view in new)
    return finding.model_copy(update={"boxes": boxes})
