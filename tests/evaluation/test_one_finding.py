"""Findings of a list of attributes as one, on both sides, in the baselines and in the signature."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from contrastcxr.errors import RequestError
from contrastcxr.evaluation.one_finding import heard_as_one
from contrastcxr.form import Author, Box, Finding, Reading, Status
from contrastcxr.vocab.attribute_words import attribute_list

OPACITY = attribute_list("phantom-opacity")
FIRST, SECOND = Box(xyxy=(0.0, 0.0, 10.0, 10.0)), Box(xyxy=(20.0, 0.0, 40.0, 30.0))


def reading(*findings: Finding) -> Reading:
    return Reading(study_id="s", author=Author(kind="rule", name="phantom truth"), findings=findings)


def finding(name: str, status: Status = "present", boxes: Sequence[Box] = (), **more: object) -> Finding:
    return Finding(name=name, status=status, boxes=tuple(boxes), **more)  # type: ignore[arg-type]


def test_a_system_that_knows_the_finding_is_heard_as_it_is() -> None:
    own = [reading(finding("Lung Opacity", region=(FIRST,)), finding("Mass", region=(SECOND,)))]
    assert heard_as_one(own, OPACITY) == own


def test_another_one_is_heard_by_the_maximum_over_the_parts_that_it_knows() -> None:
    mass = finding("Mass", "absent", probability=0.2, region=(FIRST,))
    edema = finding("Edema", "present", probability=0.7, region=(SECOND,))
    (heard,) = heard_as_one([reading(mass, edema)], OPACITY)
    one = heard.finding("Lung Opacity")
    assert one is not None
    assert (one.status, one.probability, set(one.region)) == ("present", 0.7, {FIRST, SECOND})


def test_a_system_that_knows_none_of_them_is_refused() -> None:
    with pytest.raises(RequestError, match="the system says nothing of Lung Opacity, nor of Consolidation"):
        heard_as_one([reading(finding("Hernia"))], OPACITY)
