"""The error tree as it is drawn, in the module and in the docs, is the tree of the classes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from contrastcxr import errors
from contrastcxr.errors import ContrastCXRError, MissingExtraError, UnknownNameError, nearest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"


def drawn(text: str) -> dict[str, str | None]:
    """Each class of a drawn tree, and its parent."""
    parents: dict[str, str | None] = {}
    trail: list[str] = []
    for line in text.splitlines():
        match = re.match(r"((?:[│ ]   |[├└]── )*)([A-Z]\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            trail[depth:] = [match[2]]
            parents[match[2]] = trail[depth - 1] if depth else None
    return parents


def classes() -> dict[str, str | None]:
    found = (c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, ContrastCXRError))
    return {c.__name__: c.__base__.__name__ if c is not ContrastCXRError and c.__base__ else None for c in found}


def test_the_docs_draw_the_tree_of_the_classes() -> None:
    assert drawn(PAGE.read_text()) == classes()


def test_the_module_draws_the_same_tree() -> None:
    assert drawn(errors.__doc__ or "") == classes()


def test_every_error_of_the_package_is_in_the_tree() -> None:
    package = Path(errors.__file__).parent
    raised = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"from contrastcxr\.errors import (.+)", path.read_text())
    }
    names = {word for line in raised for word in re.findall(r"\w+Error\b", line)}
    assert names <= set(classes())


@pytest.mark.parametrize("name", sorted(classes()))
def test_the_page_says_of_each_error_when_it_comes(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", PAGE.read_text(), re.MULTILINE)


def test_an_unknown_name_offers_the_nearest_or_all() -> None:
    assert str(UnknownNameError("model", "phantum", ["phantom", "nih"])) == (
        "unknown model 'phantum'; did you mean 'phantom'?"
    )
    assert str(UnknownNameError("model", "x", ["b", "a"])) == "unknown model 'x'; known: a, b"
    assert nearest("x", ["phantom"]) is None


def test_a_missing_package_names_its_extra() -> None:
    assert "pip install 'contrastcxr[train]'" in str(MissingExtraError("lightning", "train", "training"))
