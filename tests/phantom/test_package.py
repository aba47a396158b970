"""What importing the package costs and gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

from contrastcxr import phantom

HEAVY = ("scipy", "pydicom", "PIL", "contrastcxr.phantom.rendering")


@pytest.mark.parametrize("module", ["text.grammar.parsing", "text.grammar.writing", "phantom.truth"])
def test_words_and_truth_load_nothing_that_draws_or_writes_pictures(module: str) -> None:
    code = f"import sys, contrastcxr.{module}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_names_that_are_also_modules_mean_the_functions_whoever_imported_first() -> None:
    code = (
        "import contrastcxr.phantom.rendering, contrastcxr.phantom.locators\n"
        "from contrastcxr.phantom import locator, render\n"
        "import contrastcxr.phantom as p\n"
        "print(render.__module__, render.__name__, locator.__name__, p.render is render)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["contrastcxr.phantom.rendering", "render", "locator", "True"]


def test_every_name_it_promises_is_there() -> None:
    assert all(getattr(phantom, name) is not None for name in phantom.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'rendr'"):
        _ = phantom.rendr  # type: ignore[attr-defined]
