"""Where findings are: accuracy by finding and threshold beside readers that cannot see, and boxes on a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from contrastcxr.evaluation.report.findings import plot, scores_of
from contrastcxr.evaluation.report.headline import NAMES, cell
from contrastcxr.evaluation.report.svg import tag
from contrastcxr.form import Box, Finding
from contrastcxr.metrics.detection import AP_THRESHOLDS
from contrastcxr.metrics.localization import BY_FINDING, FALSE_BOXES, THRESHOLDS, Overlap, points_inside

if TYPE_CHECKING:
    from contrastcxr.evaluation.result import SystemScores

READERS = ("system", "mean_box", "neighbour", "constant", "ceiling")
"""Who stands in a row of the table, in this order."""
PLOTTED = (("tiou_0.3", "IoU above .3"), ("tiou_0.5", "IoU above .5"))

Values = dict[str, Any]
Systems = Mapping[str, "SystemScores"]


def localization_values(systems: Systems) -> Values | None:
    """Return the section on places; None where localization is not scored."""
    table = systems["system"].table
    if table.iou is None:
        return None
    names = boxed_findings(systems)
    readers = [key for key in READERS if key in systems and systems[key].table.iou is not None]
    return {
        "columns": [f"> {f'{t:g}'.removeprefix('0')}" for t in THRESHOLDS] * 2,
        "thresholds": len(THRESHOLDS),
        "precisions": [f"{t:g}".removeprefix("0") for t in AP_THRESHOLDS],
        "readers": readers,
        "blocks": [_block(name, systems, readers, among=len(names)) for name in ("", *names)],
        "panels": [_panel(score, title, names, systems, readers) for score, title in PLOTTED] if names else [],
        "few": few_boxes(systems),
        "false_boxes": [
            {"name": NAMES.get(key, key), "cell": cell(systems[key].scores.get(FALSE_BOXES))}
            for key in readers
            if systems[key].table.false_boxes is not None
        ],
    }


def boxed_findings(systems: Systems) -> list[str]:
    """Return the findings with enough boxes to be scored, those with most images first."""
    scores = systems["system"].scores
    found = [(name, scores.get(f"{BY_FINDING[0]}/{name}")) for name in systems["system"].table.names]
    kept = [(name, score.n) for name, score in found if score is not None and score.value is not None]
    return [name for name, _ in sorted(kept, key=lambda pair: (-pair[1], pair[0]))]


def few_boxes(systems: Systems) -> list[str]:
    """Return the findings with too few boxes, each with its number of images."""
    scores = systems["system"].scores
    found = [(name, scores.get(f"{BY_FINDING[0]}/{name}")) for name in systems["system"].table.names]
    return [f"{name} ({score.n})" for name, score in found if score is not None and score.value is None]


def _block(finding: str, systems: Systems, readers: Sequence[str], *, among: int) -> Values:
    """Return the rows of one finding, or of the mean over findings, a row for each reader."""
    names = [f"{score}/{finding}" if finding else score for score in BY_FINDING]
    first = systems["system"].scores.get(names[0])
    rows = [
        {
            "key": key,
            "name": NAMES.get(key, key),
            "cells": [cell(systems[key].scores.get(name)) for name in names],
        }
        for key in readers
    ]
    images = f"n {first.n}" if first else ""
    return {"name": finding or "mean", "n": images if finding else f"of {among} findings", "rows": rows}


def _panel(score: str, title: str, names: Sequence[str], systems: Systems, readers: Sequence[str]) -> Values:
    rows = []
    for name in names:
        found = scores_of(systems, f"{score}/{name}", readers)
        own = found.get("system")
        rows.append(
            {
                "name": name,
                "n": own.n if own else 0,
                "plot": plot(found, f"{name}, {title}"),
                "value": cell(own)["value"],
            }
        )
    return {"title": title, "rows": rows}


def place_rows(wanted: Sequence[Finding], said: Sequence[Finding], names: Sequence[str]) -> list[Values]:
    """Return overlap and peak of each finding that has a reference box in a study."""
    rows = []
    for name in names:
        boxes = [box for finding in wanted if finding.name == name for box in finding.boxes]
        if boxes:
            mine = [finding for finding in said if finding.name == name]
            found = Overlap.of([box for finding in mine for box in finding.region], boxes)
            hit = any(points_inside(finding, boxes) for finding in mine)
            rows.append({"name": name, "iou": f"{found.iou:.2f}".removeprefix("0"), "hit": hit})
    return rows


def overlay(
    wanted: Sequence[Finding], said: Sequence[Finding], names: Sequence[str], *, shape: tuple[int, int]
) -> Markup:
    """Return what lies over the first view: reference boxes, regions and peaks of the findings with boxes.

    Args:
        wanted: findings of the reference.
        said: of the system.
        names: of the findings that are scored.
        shape: height and width of the picture.
    """
    boxed = {f.name for f in wanted if f.boxes and f.name in names}
    mine = [finding for finding in said if finding.name in boxed]
    regions = [_rectangle(box, "region") for finding in mine for box in finding.region if box.view == 0]
    boxes = [_rectangle(box, "box") for f in wanted if f.name in boxed for box in f.boxes if box.view == 0]
    tall, wide = shape
    peaks = [
        tag("circle", cx=f.peak.xy[0], cy=f.peak.xy[1], r=max(tall, wide) / 60, class_="peak")
        for f in mine
        if f.peak is not None and f.peak.view == 0
    ]
    return tag(
        "svg",
        *regions,
        *boxes,
        *peaks,
        viewBox=f"0 0 {wide} {tall}",
        preserveAspectRatio="none",
        class_="places",
        aria_hidden="true",
    )


def _rectangle(box: Box, kind: str) -> Markup:
    x1, y1, x2, y2 = box.xyxy
    return tag("rect", x=x1, y=y1, width=x2 - x1, height=y2 - y1, class_=kind)
