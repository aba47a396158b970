"""Inputs that once ended in something else than a line of ours; each stays here as it was printed."""

from __future__ import annotations

from fuzz.recipes import Json, Recipe

FOUND: tuple[tuple[str, Recipe], ...] = (("readings", Json("readings", ((1, []),))),)
