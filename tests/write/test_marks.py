"""Boxes, outlines, labels and sides of findings, against painted pixels."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from contrastcxr.form import XYXY, Box, Evidence, Finding, FindingMap, Map, Point, View
from contrastcxr.write.marks import (
    area_path,
    box_values,
    map_values,
    maps_said,
    outline_path,
    region_values,
    where,
)

WIDE, TALL = 400, 300
NUMBERS = {"Mass": 4, "Nodule": 7}


def found(*places: XYXY, name: str = "Mass", status: str = "present", view: int = 0, **more: object) -> Finding:
    boxes = tuple(Box(view=view, xyxy=xyxy) for xyxy in places)
    return Finding.model_validate({"name": name, "status": status, "boxes": boxes, "region": boxes, **more})


def painted(places: list[XYXY]) -> np.ndarray:
    mask = np.zeros((40, 40), dtype=bool)
    for x1, y1, x2, y2 in places:
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return mask


def edges_of(path: str) -> set[tuple[str, int, int]]:
    """The unit edges that a path of upright and level strokes covers: their direction, and where they begin."""
    edges = set()
    for x, y, way, end in re.findall(r"M(\d+) (\d+)([HV])(\d+)", path):
        first = int(x if way == "H" else y)
        for step in range(first, int(end)):
            edge = (way, step, int(y)) if way == "H" else (way, int(x), step)
            assert edge not in edges, "an edge is drawn once"
            edges.add(edge)
    return edges


def border_of(mask: np.ndarray) -> set[tuple[str, int, int]]:
    """The unit edges between a painted pixel and one that is not, pixel by pixel."""
    rim = np.pad(mask, 1)
    edges = set()
    for y, x in itertools.product(range(41), range(41)):
        if rim[y, x + 1] != rim[y + 1, x + 1]:
            edges.add(("H", x, y))
        if rim[y + 1, x] != rim[y + 1, x + 1]:
            edges.add(("V", x, y))
    return edges


@pytest.mark.parametrize("seed", range(12))
def test_the_outline_is_the_border_of_the_painted_union(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 25, size=(5, 2))
    ends = corners + rng.integers(1, 15, size=(5, 2))
    places = [
        (float(x1), float(y1), float(x2), float(y2)) for (x1, y1), (x2, y2) in zip(corners, ends, strict=True)
    ]
    assert edges_of(outline_path(places)) == border_of(painted(places))


def test_the_area_runs_the_same_way_round_every_rectangle() -> None:
    assert area_path([(1, 2, 3, 4), (2.5, 3, 9, 9)]) == "M1 2H3V4H1ZM2.5 3H9V9H2.5Z"


def test_boxes_of_what_is_present_or_uncertain_are_drawn_and_of_what_is_absent_not() -> None:
    findings = [
        found((10, 10, 60, 60)),
        found((200, 10, 260, 60), name="Nodule", status="uncertain"),
        found((1, 1, 5, 5), name="Hernia", status="absent"),
    ]
    drawn = box_values(0, findings, NUMBERS, width=WIDE, height=TALL)
    assert [(box["label"], box["status"], box["finding"]) for box in drawn] == [
        ("Mass", "present", 4),
        ("Nodule", "uncertain", 7),
    ]
    assert [drawn[0][key] for key in "xywh"] == [10, 10, 50, 50]


def test_a_finding_that_stands_twice_has_its_box_once_with_the_sentences_of_both() -> None:
    place: XYXY = (10, 10, 60, 60)
    twice = [found(place, sentences=(2,), side="left"), found(place, sentences=(0, 2), side="right")]
    (box,) = box_values(0, twice, NUMBERS, width=WIDE, height=TALL)
    assert box["sentences"] == "0 2"


def test_a_box_of_another_view_is_not_drawn() -> None:
    assert box_values(0, [found((1, 1, 9, 9), view=1)], NUMBERS, width=WIDE, height=TALL) == []
    assert region_values(0, [found((1, 1, 9, 9), view=1)], NUMBERS, width=WIDE) == []


@pytest.mark.parametrize("place", [(30, 100, 120, 200), (250, 0, 399, 120), (5, 180, 90, 300), (0, 0, 400, 300)])
def test_labels_of_equal_boxes_cover_no_other_and_stay_in_the_picture(place: XYXY) -> None:
    names = [f"Finding {i}" for i in range(5)]
    findings = [found(place, name=name) for name in names]
    numbers = {name: i for i, name in enumerate(names)}
    lines = sorted(box["line"] for box in box_values(0, findings, numbers, width=WIDE, height=TALL))
    size = WIDE / 36
    assert min(b - a for a, b in itertools.pairwise(lines)) >= size
    assert size <= lines[0] <= lines[-1] <= TALL


def test_a_label_stands_above_its_box_where_there_is_room() -> None:
    (box,) = box_values(0, [found((100, 100, 150, 150))], NUMBERS, width=WIDE, height=TALL)
    assert (box["at"], box["anchor"]) == (100, "start")
    assert 90 < box["line"] < 100
    (box,) = box_values(0, [found((300, 0, 390, 50))], NUMBERS, width=WIDE, height=TALL)
    assert (box["at"], box["anchor"]) == (390, "end")
    assert 0 < box["line"] < 20


def test_a_region_has_its_number_and_its_peak_whatever_the_status() -> None:
    place: XYXY = (10, 20, 60, 60)
    (region,) = region_values(0, [found(place, status="absent", peak=Point(xy=(30, 40)))], NUMBERS, width=600)
    assert region["finding"] == 4
    assert region["peak"] == "M20 40H40M30 30V50"
    (region,) = region_values(0, [found(place, peak=Point(view=1, xy=(30, 40)))], NUMBERS, width=600)
    assert region["peak"] == ""


def test_a_map_is_placed_in_its_view_and_said_with_its_range() -> None:
    rows = ((0.02, 0.5), (0.1, 0.2))
    maps = tuple(Map(view=v, rows=rows, extent=(0, 0, 40, 30 + v)) for v in (0, 1))
    evidence = Evidence(
        finding_maps=(FindingMap(finding="Mass", maps=maps), FindingMap(finding="unknown", maps=maps))
    )
    (drawn,) = map_values(1, evidence, NUMBERS)
    assert [drawn[key] for key in ("finding", "x", "y", "w", "h")] == [4, 0, 0, 40, 31]
    assert maps_said(evidence)["Mass"] == "Mass here 0.02 to 0.50"


def a_view(position: str = "PA", mirrored: bool | None = False, width: int | None = WIDE) -> View:
    return View.model_validate(
        {"view_id": "v", "locator": "v.png", "position": position, "mirrored": mirrored, "width": width}
    )


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (a_view(), "right"),
        (a_view(mirrored=True), "left"),
        (a_view(mirrored=None), "picture's left"),
        (a_view("unknown", None), "picture's left"),
        (a_view("LATERAL"), ""),
        (a_view(width=None, mirrored=None), ""),
    ],
)
def test_where_a_finding_is_stands_in_words_of_the_patient_or_of_the_picture(view: View, words: str) -> None:
    assert where([found((10, 10, 90, 90))], [view]) == words
    assert where([found((10, 10, 90, 90), status="absent")], [view]) == ""
    both = where([found((10, 10, 90, 90), (300, 10, 380, 90))], [view])
    assert both == ("both" if words else "")
