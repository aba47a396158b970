"""Where lines about the progress of long work go."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one line about the work's progress."""


def silent(line: str) -> None:
    """Take a line and say nothing."""
    del line
