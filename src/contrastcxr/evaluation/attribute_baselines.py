"""Readers of attributes that cannot see: how often training reports state each, and where a system's box lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contrastcxr.data.pixels import file_size
from contrastcxr.data.presence import is_there
from contrastcxr.evaluation.references import References
from contrastcxr.form import Finding, Study, View, is_file_locator, locator_path
from contrastcxr.metrics.table import Answer
from contrastcxr.vocab.box_words import SPOTS, words_of_boxes

SIDES = ("left", "right")


def attribute_shares(training: References) -> dict[str, float] | None:
    """Return how many of the training reports with an attribute state each; None where none has any."""
    stated = [answer.attributes for answer in training.answers() if answer.attributes is not None]
    if not stated:
        return None
    return {name: sum(each[name] for each in stated) / len(stated) for name in stated[0]}


def marked_of(answer: Answer, name: str) -> Finding | None:
    """Return what a system marks of a finding on a study; None where it marks nothing of it."""
    return next((finding for finding in answer.places or () if finding.name == name), None)


def geometry(
    studies: Sequence[Study], marked: Sequence[Finding | None], shares: Mapping[str, float]
) -> list[Answer]:
    """Return the words of the first frontal box that a system marks of each study as attributes (ours).

    Side and zone are said where both are known; other words are given as often as in training, and so are all of a
    study without such a box, which tells no side from the other. A view whose size nobody states has that of its
    file.
    """
    middle = sum(shares.get(name, 0.0) for name in SIDES) / len(SIDES)
    unknown = {name: middle for name in SIDES if name in shares}
    found = []
    for study, finding in zip(studies, marked, strict=True):
        boxes = [] if finding is None else [*(finding.boxes or finding.region)]
        views = [_with_size(view) for view in study.views] if boxes else []
        words = next((said for box in boxes if (said := words_of_boxes([box], views))), frozenset())
        ruled = {name: float(name in words) for name in shares if name in SPOTS} if words else unknown
        found.append(Answer(None, attributes={**shares, **ruled}))
    return found


def _with_size(view: View) -> View:
    known = view.pixels is not None or (view.width is not None and view.height is not None)
    if known or view.locator is None or not is_file_locator(view.locator) or not is_there(view):
        return view
    width, height = file_size(locator_path(view.locator))
    return view.model_copy(update={"width": width, "height": height})
