"""The two charts with axes: how long reports are, and how far a probability can be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from contrastcxr.evaluation.report.svg import Scale, chart, tag, top
from contrastcxr.metrics.calibration import ReliabilityBin
from contrastcxr.metrics.lengths import LONGEST, WIDE, length_counts

WIDTH, HEIGHT = 420, 256
LEFT, RIGHT, UPPER, LOWER = 40, 408, 24, 216


def lengths(references: Sequence[int], system: Sequence[int]) -> Markup:
    """Return a chart of the words per report of the references (filled) and of the system (line).

    Heights are shares of all reports, in the bins of paper C, Figure 2; what is longer has no place on it.

    Args:
        references: words of each reference, at least one report.
        system: words of each report of the system, at least one.
    """
    shares = [_shares(values) for values in (references, system)]
    x = Scale(0, LONGEST, LEFT, RIGHT)
    y = Scale(0, top([max(max(found) for found in shares)]), LOWER, UPPER)
    bars = [
        tag("rect", x=x(k * WIDE), y=y(s), width=x(WIDE) - x(0) - 0.6, height=LOWER - y(s), class_="column")
        for k, s in enumerate(shares[0])
        if s
    ]
    return chart(
        WIDTH,
        HEIGHT,
        "Words per report",
        f"Shares of reports by length, {WIDE} words a bin; {_ends(references)} in references, {_ends(system)} in "
        "the system's reports",
        *_frame(x, y, ("words per report", "reports"), percent=True),
        *bars,
        tag("path", d=_steps(shares[1], x, y), class_="steps"),
    )


def reliability_plot(table: Sequence[ReliabilityBin]) -> Markup:
    """Return the share of positives over mean probability by bin; the area of a point is its number of pairs."""
    x, y = Scale(0, 1, LEFT, LEFT + 192), Scale(0, 1, LOWER, UPPER)
    most = max((row.count for row in table), default=1)
    points = [
        tag(
            "circle",
            tag("title", _point(row)),
            cx=x(row.mean_probability),
            cy=y(row.share_positive),
            r=2.5 + 7.5 * math.sqrt(row.count / most),
            class_="point",
        )
        for row in table
    ]
    even = tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="even")
    said = "; ".join(_point(row) for row in table)
    frame = _frame(x, y, ("mean probability", "share present"), percent=False)
    return chart(LEFT + 210, HEIGHT, "Reliability of the probabilities", said, *frame, even, *points)


def _point(row: ReliabilityBin) -> str:
    return f"{row.count:,} pairs of mean probability {row.mean_probability:.2f}: {row.share_positive:.0%} present"


def _shares(values: Sequence[int]) -> list[float]:
    counts, _ = length_counts(values)
    return [count / len(values) for count in counts]


def _steps(shares: Sequence[float], x: Scale, y: Scale) -> str:
    """Return the outline of a histogram, from the ground to the ground.

    It is only as long as there is something to draw.
    """
    filled = [k for k, share in enumerate(shares) if share]
    if not filled:
        return ""
    first, last = filled[0], filled[-1]
    path = [f"M{x(first * WIDE):.1f} {LOWER}"]
    path += [f"V{y(shares[k]):.1f}H{x((k + 1) * WIDE):.1f}" for k in range(first, last + 1)]
    return "".join([*path, f"V{LOWER}"])


def _frame(x: Scale, y: Scale, names: tuple[str, str], *, percent: bool) -> list[Markup]:
    """Return the grid, figures and names of the axes, the one across first."""
    across = [tag("line", x1=x.start, x2=x.end, y1=y(tick), y2=y(tick), class_="grid") for tick in y.ticks()]
    left = [
        tag("text", f"{tick:.0%}" if percent else f"{tick:g}", x=x.start - 6, y=y(tick) + 4, text_anchor="end")
        for tick in y.ticks()
    ]
    below = [tag("text", f"{tick:g}", x=x(tick), y=LOWER + 16, text_anchor="middle") for tick in x.ticks()]
    across_name = tag("text", names[0], x=(x.start + x.end) / 2, y=HEIGHT - 6, text_anchor="middle")
    return [*across, *left, *below, across_name, tag("text", names[1], x=2, y=10)]


def _ends(values: Sequence[int]) -> str:
    return f"{min(values)} to {max(values)} words"
