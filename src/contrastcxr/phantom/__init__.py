"""Synthetic chests with exact truth: what is drawn, where, how visible, and the report that says it.

The names below are imported when first used: whoever only parses a report need not load what draws a picture.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_NAMES = {
    "FORMAT": "contrastcxr.phantom.locators",
    "ROLES": "contrastcxr.phantom.twins",
    "draw_studies": "contrastcxr.phantom.corpus",
    "PhantomId": "contrastcxr.phantom.locators",
    "PhantomParameters": "contrastcxr.phantom.truth",
    "Rendered": "contrastcxr.phantom.truth",
    "locator": "contrastcxr.phantom.locators",
    "phantom_parameters": "contrastcxr.phantom.locators",
    "render": "contrastcxr.phantom.rendering",
    "render_locator": "contrastcxr.phantom.locators",
    "sample": "contrastcxr.phantom.sampling",
    "write_studies": "contrastcxr.phantom.export",
}

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
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
