"""Where two documents differ, figures compared with a tolerance."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

FIGURE = re.compile(r"\d+(?:\.\d+)?")


def differences(found: Any, wanted: Any, *, rel: float, least: float = 0.0, at: str = "") -> Iterator[str]:
    """Every place where `found` is not `wanted`, each as a line.

    Floats may differ by the share `rel` of their size or by `least`, whichever is more; in texts the figures may
    differ by one unit of their last digit. Whole numbers, truth values, names and the rest of a text are equal.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            if key not in found or key not in wanted:
                yield f"{at}/{key}: {'not recorded' if key in found else 'is missing'}"
            else:
                yield from differences(found[key], wanted[key], rel=rel, least=least, at=f"{at}/{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
            yield from differences(one, other, rel=rel, least=least, at=f"{at}/{place}")
    elif not _equal(found, wanted, rel, least):
        yield f"{at}: {found!r} instead of {wanted!r}"


def _equal(found: Any, wanted: Any, rel: float, least: float) -> bool:
    if isinstance(wanted, float) and isinstance(found, float):
        return math.isclose(found, wanted, rel_tol=rel, abs_tol=least)
    if isinstance(wanted, str) and isinstance(found, str):
        return same_text(found, wanted)
    return type(found) is type(wanted) and found == wanted


def same_text(found: str, wanted: str) -> bool:
    """Whether the words are equal and no figure is off by more than one unit of its last digit.

    Figures without a point are counts, places and names: they are equal. Of two figures the one with more digits
    has the last; the other may have lost its zeros.
    """
    if FIGURE.split(found) != FIGURE.split(wanted):
        return False
    pairs = zip(FIGURE.findall(found), FIGURE.findall(wanted), strict=True)
    return all(one == other or _one_unit(one, other) for one, other in pairs)


def _one_unit(one: str, other: str) -> bool:
    places = [len(text.partition(".")[2]) for text in (one, other)]
    if 0 in places or float(one) == float(other):  # counts and names; the same figure, written otherwise
        return False
    return abs(float(one) - float(other)) < 1.5 * 10.0 ** -max(places)
