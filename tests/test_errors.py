"""The error tree as it is drawn, in the module and in the docs, is the tree of the classes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from contrastcxr import errors
from contrastcxr.data.source import Failure
from contrastcxr.errors import (
    ContrastCXRError,
    DatasetError,
    MissingExtraError,
    UnknownNameError,
    listed,
    nearest,
    one_line,
    suggestion,
)

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


@pytest.mark.parametrize(
    ("names", "near", "line"),
    [
        ([], "", "none"),
        (["b", "a"], "", "b, a"),
        (list("hgfedcba"), "a", "h, g, f, e, d, c, b, a"),
        (list("ihgfedcba"), "", "i, h, g, f, e, d, c, b and 1 more"),
        (list("ihgfedcba"), "a", "a, i, h, g, f, e, d, c and 1 more"),
        (range(2_000), "", "0, 1, 2, 3, 4, 5, 6, 7 and 1,992 more"),
        ([f"n{k}" for k in range(20)], "n19x", "n19, n1, n9, n10, n11, n12, n13, n14 and 12 more"),
        (["two\nlines", "x" * 90], "", f"two\\nlines, {'x' * 80} …"),
    ],
)
def test_a_message_lists_eight_names_at_most_and_the_nearest_of_many_first(
    names: list[str], near: str, line: str
) -> None:
    assert listed(names, near=near) == line


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("alphabet", "did you mean 'alphabeta'?"),
        ("zzz", "known: alphabeta, gamma"),
        ("", "known: alphabeta, gamma"),
        ("other nam", "did you mean 'other name'?"),
        ("q" * 100_000, "known: alphabeta, gamma"),
    ],
)
def test_a_name_that_is_near_is_offered_and_else_the_known_ones(name: str, line: str) -> None:
    assert suggestion(name, ["alphabeta", "gamma"], also=["other name"]) == line


@pytest.mark.parametrize("name", ["", "?", "two\nlines", "q" * 100_000])
def test_an_unknown_name_among_a_thousand_is_one_line_of_nine_names_at_most(name: str) -> None:
    said = str(UnknownNameError("encoder", name, (f"encoder_{k:04}" for k in range(1_000))))
    assert "\n" not in said
    assert said.endswith(" and 992 more")
    assert len(said) < 700


def test_a_missing_package_names_its_extra() -> None:
    assert "pip install 'contrastcxr[train]'" in str(MissingExtraError("lightning", "train", "training"))


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("a.csv: list 'x\ny'; remove it", r"a.csv: list 'x\ny'; remove it"),
        ("a.csv: list '\r\n\u2028'; remove it", r"a.csv: list '\r\n\u2028'; remove it"),
        ("a.csv: list '\x1b[2J\x85\0'; remove it\n", r"a.csv: list '\x1b[2J\x85\x00'; remove it"),
        (f"{'a/' * 2_048}b.csv: '{'x' * 9_000}'; remove it", None),
    ],
    ids=["break", "other breaks", "control characters", "long"],
)
def test_a_message_is_one_line_whatever_it_quotes(message: str, line: str | None) -> None:
    said = str(DatasetError(message))
    assert said == (line or f"{message[:4_500]} … {message[-500:]}")
    assert str(Failure("a.csv", message.strip())) == said


def test_a_failure_hides_a_path_that_holds_a_line_break() -> None:
    failure = Failure.of("a\nb.dcm", DatasetError("a\nb.dcm: is empty"), study_id="s1")
    assert failure.without_path().message == "s1: is empty"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/a.dcm: is empty", "/data/a.dcm: is empty"),
        ("Müller 胸部 صدر \u200d", "Müller 胸部 صدر \u200d"),
        ("two\nlines\r\tand a tab", "two\\nlines\\r\\tand a tab"),
        ("\x1b[31mred\x07\x7f\x9b", "\\x1b[31mred\\x07\\x7f\\x9b"),
        ("turned \u202emcd.exe\u2066", "turned \\u202emcd.exe\\u2066"),
        ("latin\udce9", "latin\\xe9"),
        ("half a pair \ud800", "half a pair \\ud800"),
        ("", ""),
    ],
)
def test_whatever_a_name_holds_can_be_printed_in_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
    one_line(text).encode()
