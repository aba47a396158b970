"""Synthetic chests with exact truth: what is drawn, where, how visible, and the report that says it."""

from contrastcxr.phantom.locator import locator, render_locator
from contrastcxr.phantom.render import render
from contrastcxr.phantom.sampling import sample
from contrastcxr.phantom.truth import PhantomParameters, Rendered

__all__ = ["PhantomParameters", "Rendered", "locator", "render", "render_locator", "sample"]
