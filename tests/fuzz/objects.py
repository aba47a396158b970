"""Recipes of DICOM objects whose structure is wrong: the elements of a good object, changed, then written."""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from fuzz.changes import CHANGES, FRAGMENTS, Change
from fuzz.elements import SYNTAXES, Element, good, written
from fuzz.recipes import SYNTAXES as CODECS


@dataclass(frozen=True)
class Tree:
    """A good object, plain or compressed, its elements changed, in a syntax, and what stands before them."""

    changes: tuple[Change, ...]
    syntax: int = 1
    said: int | None = None
    """Syntax that the meta information names; None: the true one."""
    preamble: bool = True
    meta: bool = True
    packed: bool = False
    keep: int = 1000
    """Thousandths of the file that are kept."""
    name: str = "input.dcm"
    base: str = "plain"

    def write(self, folder: Path) -> Path:
        elements = good(self.base)
        syntax = SYNTAXES[self.syntax]
        allowed = sys.getrecursionlimit()
        sys.setrecursionlimit(20_000)  # of the writer, not of what reads
        try:
            for change in self.changes:
                change.change(elements)
            data = written(elements, syntax)
        finally:
            sys.setrecursionlimit(allowed)
        if self.meta:
            true = CODECS.get(self.base, SYNTAXES[self.syntax].uid)
            said = (true if self.said is None else SYNTAXES[self.said].uid).encode()
            uid = Element(0x00020010, "UI", said + b"\0" * (len(said) % 2))
            group = written([uid], SYNTAXES[1])
            data = (
                written([Element(0x00020000, "UL", len(group).to_bytes(4, "little"))], SYNTAXES[1]) + group + data
            )
        if self.preamble:
            data = bytes(128) + b"DICM" + data
        if self.packed:
            data = gzip.compress(data, mtime=0)
        path = folder / self.name
        path.write_bytes(data[: len(data) * self.keep // 1000])
        return path


ODD_NAMES = ("in\nput.dcm", "in\udcffput.dcm")
_WHOLE = st.just(1000)
_SAID = (
    st.sampled_from([True, True, True, False]),  # preamble
    st.sampled_from([True, True, True, False]),  # meta information
    st.sampled_from([False, False, False, False, False, True]),
    st.one_of(*[_WHOLE] * 9, st.integers(0, 999)),
    st.sampled_from([*["input.dcm"] * 8, *["input", "IM000001", "input.dcm.gz", "input.txt"] * 2, *ODD_NAMES]),
)
PLAIN = st.builds(
    Tree,
    st.lists(CHANGES, max_size=3).map(tuple),
    st.sampled_from([0, 1, 1, 1, 2, 3]),
    st.one_of(*[st.none()] * 3, st.integers(0, 3)),
    *_SAID,
)
COMPRESSED = st.builds(
    Tree,
    st.tuples(FRAGMENTS, st.lists(CHANGES, max_size=1)).map(lambda drawn: (drawn[0], *drawn[1])),
    st.sampled_from([1, 1, 1, 1, 1, 1, 0, 2]),
    st.one_of(*[st.none()] * 7, st.integers(0, 3)),
    *_SAID,
    st.sampled_from([*CODECS, "plain"]),
)
TREES = st.one_of(PLAIN, COMPRESSED)
