"""Pictures that are there twice: the same file, or the same view in other bytes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.source import one_input
from contrastcxr.errors import ImageError
from contrastcxr.evaluation.audit.verdict import Check, share
from contrastcxr.form import Study, View, is_file_locator, locator_path

SIDE = 16
"""A difference hash of 16×16 comparisons, 256 bits."""
NEAR_BITS = 10
"""At most so many of 256 bits differ between two copies of one picture (ours)."""
SHOWN = 20
_BLOCK = 256


@dataclass(frozen=True)
class Fingerprint:
    """One picture: whose it is, a hash of its bytes, and 256 bits of how it looks."""

    study_id: str
    split: str
    content: str
    bits: NDArray[np.uint64]  # [4]


def fingerprints(studies: Iterable[Study]) -> tuple[list[Fingerprint], list[str]]:
    """Return the fingerprints of every readable view, and a line for each that could not be read."""
    found: list[Fingerprint] = []
    unreadable: list[str] = []
    for study in studies:
        for view in study.views:
            try:
                with one_input(view.locator):
                    pixels = load_pixels(view)
                    marks = _content(view, pixels), difference_hash(pixels)
            except ImageError as error:
                unreadable.append(str(error))
            else:
                found.append(Fingerprint(study.study_id, study.split or "none", *marks))
    return found, unreadable


def readable(marks: Sequence[Fingerprint], unreadable: Sequence[str]) -> Check:
    """Return which pictures are there but cannot be read."""
    message = f"{share(len(unreadable), len(marks) + len(unreadable))} pictures cannot be read"
    rows = [{"picture": line} for line in unreadable[:SHOWN]]
    return Check("readable pictures", "warning" if unreadable else "ok", message, rows)


def difference_hash(pixels: NDArray[np.floating]) -> NDArray[np.uint64]:
    """Return 256 bits of each picture, in four words.

    They say whether each cell of a 16×17 thumbnail is brighter than its right neighbour.
    """
    small = np.asarray(
        Image.fromarray(np.asarray(pixels, np.float32)).resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    )
    bits = small[:, :-1] > small[:, 1:]
    return np.packbits(bits.ravel()).view(np.uint64)


def identical(marks: Sequence[Fingerprint]) -> Check:
    """Return files whose content is the same."""
    name = "identical pictures"
    if not marks:
        return Check(name, "not run", "no picture can be read")
    groups: dict[str, list[Fingerprint]] = defaultdict(list)
    for mark in marks:
        groups[mark.content].append(mark)
    twice = [found for found in groups.values() if len(found) > 1]
    return _check(name, twice, len(marks), "have the content of another")


def alike(marks: Sequence[Fingerprint]) -> Check:
    """Return pictures that look the same although their files differ."""
    name = "pictures that look the same"
    if len(marks) < 2:
        return Check(name, "not run", "fewer than two pictures can be read")
    pairs = [(marks[i], marks[j]) for i, j in near_pairs(np.stack([m.bits for m in marks]))]
    other = [pair for pair in map(list, pairs) if pair[0].content != pair[1].content]
    return _check(name, other, len(marks), f"differ from another by at most {NEAR_BITS} of 256 bits")


def near_pairs(bits: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Return pairs of rows of `bits [N, 4]` that differ in at most `NEAR_BITS` places."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK]
        rest = bits[start:]
        apart = np.zeros((len(block), len(rest)), np.uint16)
        for word in range(bits.shape[1]):
            apart += np.bitwise_count(block[:, None, word] ^ rest[None, :, word])
        for i, j in zip(*np.nonzero(apart <= NEAR_BITS), strict=True):
            if i < j:
                found.append((start + int(i), start + int(j)))
    return found


def _check(name: str, groups: Sequence[Sequence[Fingerprint]], total: int, said: str) -> Check:
    rows = [
        {
            "studies": " ".join(m.study_id for m in group[:4]),
            "splits": " ".join(sorted({m.split for m in group})),
            "copies": len(group),
        }
        for group in groups[:SHOWN]
    ]
    members = {id(mark) for group in groups for mark in group}
    across = sum(len({m.split for m in group}) > 1 for group in groups)
    message = f"{share(len(members), total)} pictures {said}; {across:,} such groups cross a split"
    return Check(name, "warning" if groups else "ok", message, rows)


def _content(view: View, pixels: NDArray[np.floating]) -> str:
    if view.locator is not None and is_file_locator(view.locator):
        return _file_hash(locator_path(view.locator))
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).hexdigest()


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
