"""Labels beside report texts in a table: how they are written, and how far a labeler agrees with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contrastcxr.errors import DatasetError, listed, suggestion
from contrastcxr.form import Finding, Status
from contrastcxr.vocab.labels import CHEXPERT

STATUSES: Mapping[str, Status] = {
    "": "unmentioned",
    "1": "present",
    "1.0": "present",
    "0": "absent",
    "0.0": "absent",
    "-1": "uncertain",
    "-1.0": "uncertain",
    "present": "present",
    "absent": "absent",
    "uncertain": "uncertain",
    "unmentioned": "unmentioned",
}
"""The four statuses as words, and as the CheXpert labeler writes them: 1, 0, -1 and blank."""
SHOWN = 20
"""Disagreements that are kept one by one; the others are counted (ours)."""


def finding_columns(header: Sequence[str], other: Iterable[int], where: str) -> tuple[tuple[int, str], ...]:
    """Return the place and finding of every column but the `other` ones.

    Raises:
        DatasetError: a column that is no CheXpert finding, names the nearest; or no such column at all.
    """
    taken = set(other)
    found = tuple((place, name) for place, name in enumerate(header) if place not in taken)
    for _, name in found:
        if name not in CHEXPERT:
            raise DatasetError(f"{where}: column '{name}' is no finding; {suggestion(name, CHEXPERT)}")
    if not found:
        raise DatasetError(f"{where}: has no column of a finding to check with; known: {listed(CHEXPERT)}")
    return found


def status_of(cell: str, *, finding: str, where: str) -> Status:
    """Return the status that a cell states.

    Raises:
        DatasetError: it is none of the four.
    """
    status = STATUSES.get(cell.strip().lower())
    if status is None:
        raise DatasetError(
            f"{where}: {finding} is '{cell.strip()}'; expected present, absent, uncertain or unmentioned "
            "(1, 0, -1 or blank)"
        )
    return status


@dataclass
class Agreement:
    """How many cells a labeler agrees on with the labels that a table gives, counted as reports go by."""

    reports: int = 0
    cells: Counter[str] = field(default_factory=Counter)
    agreed: Counter[str] = field(default_factory=Counter)
    differing: list[dict[str, Any]] = field(default_factory=list)

    def add(self, study_id: str, given: Mapping[str, Status], findings: Iterable[Finding]) -> None:
        """Count one report."""
        said = {finding.name: finding.status for finding in findings}
        self.reports += 1
        for name, status in given.items():
            self.cells[name] += 1
            self.agreed[name] += status == said[name]
            if status != said[name] and len(self.differing) < SHOWN:
                self.differing.append(
                    {"study_id": study_id, "finding": name, "given": status, "labelled": said[name]}
                )

    @property
    def whole(self) -> bool:
        """True when every cell agrees."""
        return self.agreed.total() == self.cells.total()

    def in_words(self) -> list[str]:
        """Return the disagreements, a line each, then the total."""
        lines = [
            f"{d['study_id']}: {d['finding']}: given {d['given']}, labelled {d['labelled']}"
            for d in self.differing
        ]
        unshown = self.cells.total() - self.agreed.total() - len(lines)
        lines += [f"… and {unshown} cells more"] if unshown else []
        return [*lines, f"{self.agreed.total()} of {self.cells.total()} cells agree, {self.reports} reports"]

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "reports": self.reports,
            "cells": self.cells.total(),
            "agree": self.agreed.total(),
            "findings": {name: {"cells": n, "agree": self.agreed[name]} for name, n in self.cells.items()},
            "differing": self.differing,
        }
