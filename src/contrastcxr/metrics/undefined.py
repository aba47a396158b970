"""Scores that these studies leave undefined although what they are made of is there, each with the reason.

A share of nothing is no share: it is empty, never zero. What no system could score above zero is undefined too,
such as BLEU-4 against references of three words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from contrastcxr.metrics.clinical import MEASURES, POLICIES, SUFFIX, Codes, Flags, positive
from contrastcxr.metrics.efficacy import GRID, PRESETS, EfficacyCounts
from contrastcxr.metrics.exchange import undefined_exchanged
from contrastcxr.metrics.table import StudyTable
from contrastcxr.metrics.text import BLEU_ORDERS
from contrastcxr.vocab.labels import CHEXPERT, NO_FINDING

NOT_THERE = "the reference has no such finding in any study"
NOT_CALLED = "neither side has such a finding in any study"
_OF_NOTHING: Mapping[str, str] = {
    "missed_abnormality": "no study of the reference is abnormal",
    "calibration_error": "no probability stands beside a known label",
    "brier": "no probability stands beside a known label",
    "false_boxes": "the reference judges no box",
    "word_loss_abnormal": "no sentence of the reference names an abnormality",
    "word_loss_normal": "every sentence of the reference names an abnormality",
}


def undefined(table: StudyTable) -> dict[str, str]:
    """Return the reason of each score that these studies leave undefined, by name of the score."""
    exchanged = undefined_exchanged(table, not_there=NOT_CALLED)
    return dict([*_short_references(table), *_nothing_there(table), *exchanged])


def of_nothing(name: str) -> str:
    """Return why a score came out as no number: it is a mean or share of nothing."""
    return _OF_NOTHING.get(name.partition("/")[0], "there is nothing that it is a mean or a share of")


def _short_references(table: StudyTable) -> Iterator[tuple[str, str]]:
    if table.bleu is None:
        return
    longest = int(table.bleu[:, -1].max(initial=0))
    for order in range(longest + 1, BLEU_ORDERS + 1):
        yield f"bleu_{order}", f"no reference has {order} words"


def _nothing_there(table: StudyTable) -> Iterator[tuple[str, str]]:
    """Yield precision, recall and F1 of findings that no study has."""
    if table.truth is None or table.claimed is None:
        return
    columns = [k for k, name in enumerate(table.names) if name != NO_FINDING]
    for policy in POLICIES:
        there, called = (positive(codes[:, columns], policy=policy) for codes in (table.truth, table.claimed))
        yield from _measures(f"positive_{{}}{SUFFIX[policy]}", there, called)
        if not there.any():  # this mean is over the findings that the reference has
            yield from ((f"positive_{m}_macro{SUFFIX[policy]}", NOT_THERE) for m in MEASURES)
        if policy == "uncertain_negative":
            for k, column in enumerate(columns):
                yield from _measures(f"finding_{{}}/{table.names[column]}", there[:, k], called[:, k])
    if set(CHEXPERT) <= set(table.names):
        yield from _by_definition(table.truth, table.claimed, table.names)


def _by_definition(truth: Codes, claimed: Codes, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, definition in {**PRESETS, **GRID}.items():
        counts = EfficacyCounts.of(truth, claimed, names, definition)
        yield from _measures(f"{name}/{{}}", counts.truth, counts.claimed)
        for k, finding in enumerate(definition.findings if name in PRESETS else ()):
            if not (counts.truth[:, k].any() or counts.claimed[:, k].any()):
                yield f"{name}/f1/{finding}", NOT_CALLED


def _measures(pattern: str, there: Flags, called: Flags) -> Iterator[tuple[str, str]]:
    """Yield the measures that are shares of nothing; where something is there, a precision of nothing is 0."""
    if there.any():
        return
    yield pattern.format("recall"), NOT_THERE
    if not called.any():
        yield pattern.format("precision"), NOT_CALLED
        yield pattern.format("f1"), NOT_CALLED
