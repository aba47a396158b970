"""Words of boxes by their geometry, on views made by hand and on what phantoms say of their zones."""

from __future__ import annotations

from typing import Any

import pytest

from contrastcxr.data.sources import parse_data
from contrastcxr.form import XYXY, Box, View
from contrastcxr.vocab.box_words import BOX_WORDS, words_of_boxes


def view(**more: Any) -> View:
    return View(**{"view_id": "v", "locator": "v.png", "position": "PA", "width": 1000, "height": 1000, **more})


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([(100, 100, 300, 300)], {"right", "upper"}),
        ([(700, 420, 900, 520)], {"left", "middle"}),
        ([(700, 700, 900, 800)], {"left", "lower"}),
        ([(300, 700, 700, 800)], {"bilateral", "lower"}),
        ([(100, 100, 300, 300), (700, 700, 900, 800)], {"bilateral", "upper", "lower", "multifocal"}),
        ([(100, 100, 300, 300), (100, 700, 300, 800)], {"right", "upper", "lower", "multifocal"}),
        ([], set()),
    ],
)
def test_boxes_say_side_zone_and_whether_there_are_several(boxes: list[XYXY], words: set[str]) -> None:
    assert words_of_boxes([Box(xyxy=xyxy) for xyxy in boxes], [view()]) == words
    assert words <= set(BOX_WORDS)


def test_a_mirrored_picture_exchanges_the_sides() -> None:
    box = Box(xyxy=(100, 100, 300, 300))
    assert words_of_boxes([box], [view(mirrored=True)]) == {"left", "upper"}
    assert words_of_boxes([box], [view(mirrored=False)]) == {"right", "upper"}


@pytest.mark.parametrize("more", [{"position": "LATERAL"}, {"width": None, "height": None}])
def test_a_box_that_is_nowhere_known_says_nothing(more: dict[str, Any]) -> None:
    assert words_of_boxes([Box(xyxy=(100, 100, 300, 300))], [view(**more)]) == set()
    assert words_of_boxes([Box(view=3, xyxy=(100, 100, 300, 300))], [view()]) == set()


def test_zones_are_mostly_those_that_phantoms_were_drawn_in() -> None:
    right, all_of = 0, 0
    for study in parse_data("phantom:standard?limit=150").open().studies("train"):
        for finding in study.readings[0].findings:
            boxes = [box for box in finding.boxes if box.view == 0]
            if finding.name in ("Nodule", "Mass", "Consolidation") and len(boxes) == 1 and finding.zone:
                said = words_of_boxes(boxes, study.views) & {"upper", "middle", "lower"}
                all_of += finding.zone in ("upper", "middle", "lower")
                right += said == {finding.zone}
    assert all_of > 15
    assert right / all_of > 0.85


def test_a_lesion_on_two_views_is_not_at_several_places() -> None:
    boxes = [Box(view=0, xyxy=(100, 100, 300, 300)), Box(view=1, xyxy=(100, 100, 300, 300))]
    assert words_of_boxes(boxes, [view(), view()]) == {"right", "upper"}
