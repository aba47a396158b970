"""Forest plots as wide as their column: each row is one SVG whose places are percentages of its width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from contrastcxr.evaluation.report.svg import Scale, tag

if TYPE_CHECKING:
    from contrastcxr.metrics.scores import Score

HEIGHT, MIDDLE = 20, 10
UNIT = Scale(0.0, 1.0)

_SHAPES = {
    "constant": "M-1.5-7h3v14h-3z",
    "commonest": "M-7-1.5h14v3h-14z",
    "neighbour": "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
    "mean_box": "M-4.5-4.5h9v9h-9z",
    "ceiling": "M-5 4.5L0-5L5 4.5Z",
    "floor": "M-5-4.5L0 5L5-4.5Z",
}
_CIRCLE = "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z"


@dataclass(frozen=True)
class Mark:
    """One system's figure in a row, with its interval where there is one to draw."""

    system: str
    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, system: str, score: Score | None, *, whiskers: bool) -> Mark | None:
        """Return the mark of a score; None where the score is empty."""
        if score is None or score.value is None:
            return None
        return cls(system, score.value, *((score.low, score.high) if whiskers else (None, None)))


def row(marks: Sequence[Mark], said: str, *, scale: Scale = UNIT, reference: float | None = None) -> Markup:
    """Return one row of a forest plot.

    Args:
        marks: drawn one over the other, the first on top.
        said: the row in words.
        scale: of values, to percent of the width.
        reference: where a dashed line stands, such as .5 for an AUC.
    """
    lines = [_upright(scale(tick), "grid") for tick in scale.ticks()]
    if reference is not None:
        lines.append(_upright(scale(reference), "even"))
    drawn = [part for mark in reversed(marks) for part in (_whisker(mark, scale), _shape(mark, scale))]
    parts = [tag("title", said), *lines, *(part for part in drawn if part)]
    return tag("svg", *parts, class_="forest", width="100%", height=HEIGHT, role="img")


def axis(scale: Scale = UNIT) -> Markup:
    """Return the figures beneath the rows."""
    named = [
        tag("text", f"{tick:g}", x=f"{scale(tick):.2f}%", y=11, text_anchor="middle") for tick in scale.ticks()
    ]
    return tag("svg", *named, class_="forest axis", width="100%", height=14, aria_hidden="true")


def key(system: str) -> Markup:
    """Return the mark of a system, to stand beside its name in a legend."""
    return tag(
        "svg",
        tag("path", d=_SHAPES.get(system, _CIRCLE), transform="translate(7 7)", class_=f"mark {system}"),
        class_="key",
        width=14,
        height=14,
        aria_hidden="true",
    )


def _whisker(mark: Mark, scale: Scale) -> Markup:
    if mark.low is None or mark.high is None:
        return Markup("")
    left, right = scale(mark.low), scale(mark.high)
    places = {"x1": f"{left:.2f}%", "x2": f"{right:.2f}%", "y1": MIDDLE, "y2": MIDDLE}
    return tag("line", class_=f"whisker {mark.system}", **places)


def _shape(mark: Mark, scale: Scale) -> Markup:
    path = tag("path", d=_SHAPES.get(mark.system, _CIRCLE), class_=f"mark {mark.system}")
    return tag("svg", path, x=f"{scale(mark.value):.2f}%", y=MIDDLE, overflow="visible")


def _upright(percent: float, kind: str) -> Markup:
    return tag("line", x1=f"{percent:.2f}%", x2=f"{percent:.2f}%", y1=0, y2=HEIGHT, class_=kind)
