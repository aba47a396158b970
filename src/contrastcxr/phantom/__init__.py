"""Synthetic chests with exact truth: what is drawn, where, how visible, and the report that says it.

The names below are imported when first used: whoever only parses a report need not load what draws a picture.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

_NAMES = {
    "PhantomId": "contrastcxr.phantom.locator",
    "PhantomParameters": "contrastcxr.phantom.truth",
    "Rendered": "contrastcxr.phantom.truth",
    "locator": "contrastcxr.phantom.locator",
    "phantom_parameters": "contrastcxr.phantom.locator",
    "render": "contrastcxr.phantom.render",
    "render_locator": "contrastcxr.phantom.locator",
    "sample": "contrastcxr.phantom.sampling",
    "write_studies": "contrastcxr.phantom.export",
}

__all__ = [
    "PhantomId",
    "PhantomParameters",
    "Rendered",
    "locator",
    "phantom_parameters",
    "render",
    "render_locator",
    "sample",
    "write_studies",
]

if TYPE_CHECKING:
    from contrastcxr.phantom.export import write_studies
    from contrastcxr.phantom.locator import PhantomId, locator, phantom_parameters, render_locator
    from contrastcxr.phantom.render import render
    from contrastcxr.phantom.sampling import sample
    from contrastcxr.phantom.truth import PhantomParameters, Rendered


class _Package(ModuleType):
    """This package: `render` and `locator` are also modules, and here their names mean the functions."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _NAMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


sys.modules[__name__].__class__ = _Package
