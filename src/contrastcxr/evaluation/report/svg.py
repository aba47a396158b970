"""SVG by hand: elements with escaped words, and the two scales that our charts are drawn on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """Return one element.

    Words and attributes are escaped, `class_` is `class`, `stroke_width` is `stroke-width`.
    """
    said = Markup("").join(
        Markup(' {}="{}"').format(key.strip("_").replace("_", "-"), _said(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, said, Markup("").join(inside))


def chart(width: int, height: int, title: str, description: str, *inside: str) -> Markup:
    """Return a chart of a fixed grid of `width` × `height` units.

    The chart grows with its place, and `title` and `description` tell of it to those who cannot see it.
    """
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        *inside,
        viewBox=f"0 0 {width} {height}",
        style=f"max-width:{width * 1.25:.0f}px",
        role="img",
        class_="chart",
    )


@dataclass(frozen=True)
class Scale:
    """A line of values `[low, high]` laid on `[start, end]` of the drawing."""

    low: float
    high: float
    start: float = 0.0
    end: float = 100.0

    def __call__(self, value: float) -> float:
        """Return where the value lies; what is outside lies on the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, parts: int = 4) -> tuple[float, ...]:
        """Return round values on the scale, about `parts` steps apart."""
        step = nice((self.high - self.low) / parts)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return tuple((first + k) * step for k in range(count))


def nice(value: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is not below the value; 1 for nothing."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


def top(values: Sequence[float], *, whole: float = 1.0) -> float:
    """Return where a scale from 0 that holds all values ends; `whole` where they nearly reach it."""
    highest = max((v for v in values if math.isfinite(v)), default=whole)
    found = nice(highest)
    return min(found, whole) if highest <= whole else found


def _said(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
