"""Synthetic chests with exact truth: what is drawn, where, how visible, and the report that says it."""

from contrastcxr.phantom.export import write_studies
from contrastcxr.phantom.locator import PhantomId, locator, phantom_parameters, render_locator
from contrastcxr.phantom.render import render
from contrastcxr.phantom.sampling import sample
from contrastcxr.phantom.truth import PhantomParameters, Rendered

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
