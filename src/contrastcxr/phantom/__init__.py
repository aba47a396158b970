"""Synthetic chests with exact truth: what is drawn, where, how visible, and the report that says it.

The names below are imported when first used: whoever only parses a report need not load what draws a picture.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_MODULES = {
    "corpus": ("draw_studies",),
    "export": ("write_studies",),
    "locators": ("FORMAT", "PhantomId", "locator", "phantom_parameters", "render_locator"),
    "rendering": ("render",),
    "sampling": ("sample",),
    "truth": ("PhantomParameters", "Rendered"),
    "twins": ("ROLES",),
}
"""The modules of the room, and what of each is for other rooms."""

__all__ = [
    "FORMAT",
    "ROLES",
    "PhantomId",
    "PhantomParameters",
    "Rendered",
    "draw_studies",
    "locator",
    "phantom_parameters",
    "render",
    "render_locator",
    "sample",
    "write_studies",
]

if TYPE_CHECKING:
    from contrastcxr.phantom.corpus import draw_studies
    from contrastcxr.phantom.export import write_studies
    from contrastcxr.phantom.locators import FORMAT, PhantomId, locator, phantom_parameters, render_locator
    from contrastcxr.phantom.rendering import render
    from contrastcxr.phantom.sampling import sample
    from contrastcxr.phantom.truth import PhantomParameters, Rendered
    from contrastcxr.phantom.twins import ROLES


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
