"""One line of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "warning", "not run"]
_SHOWN: Sequence[Verdict] = ("warning", "ok", "not run")


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: what was looked for.
        verdict: `warning` where a figure made with these data needs the reader to know it.
        message: one sentence with the numbers.
        rows: the cases behind it, for the page and for JSON; equal keys in all of them.
    """

    name: str
    verdict: Verdict
    message: str
    rows: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**vars(self), "rows": [dict(row) for row in self.rows]}

    @property
    def kind(self) -> str:
        """The verdict as a class of CSS."""
        return self.verdict.replace(" ", "-")


def warnings_first(checks: Sequence[Check]) -> list[Check]:
    """Return the checks as a page shows them."""
    return sorted(checks, key=lambda check: _SHOWN.index(check.verdict))


def share(part: int, whole: int) -> str:
    """Return `12 of 590 (2.0%)`."""
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else f"{part:,}"
