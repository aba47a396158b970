"""Scores that no search touches, how well words of references are foreseen, and those of exchanged pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from contrastcxr.metrics.bootstrap import Statistic, ratio_of
from contrastcxr.metrics.clinical import ClinicalCounts, positive
from contrastcxr.vocab.labels import NO_FINDING

if TYPE_CHECKING:
    from contrastcxr.metrics.table import StudyTable

WORD_LOSSES = ("word_loss_abnormal", "word_loss_normal", "word_loss")
"""Cross-entropies per word of the reference, in nats: of sentences that name an abnormality, of others, of all."""
RISE = "exchange_rise"
"""By how much the last rises when each study has the picture of another patient."""
EXCHANGED_F1 = "exchanged_f1"
"""Positive-finding F1 of the reports that are written from those pictures."""
FORESEEN = "foreseen"
"""The note of a table that says which words of the references were to be foreseen, and in which order."""


def exchange_statistics(table: StudyTable) -> dict[str, Statistic]:
    """Return those of the scores that the table gives, by name."""
    found: dict[str, Statistic] = {}
    if table.word_losses is not None:
        abnormal, abnormal_words, normal, normal_words, *other = table.word_losses.T
        words = abnormal_words + normal_words
        each = (abnormal, abnormal_words), (normal, normal_words), (abnormal + normal, words)
        found = {name: ratio_of(*parts) for name, parts in zip(WORD_LOSSES, each, strict=True)}
        rise = other[0] + other[2] - abnormal - normal
        if np.isfinite(rise).all():
            found[RISE] = ratio_of(rise, words)
    if table.truth is not None and table.claimed_exchanged is not None:
        kept = [k for k, name in enumerate(table.names) if name != NO_FINDING]
        names = [table.names[k] for k in kept]
        counts = ClinicalCounts.of(table.truth[:, kept], table.claimed_exchanged[:, kept], names)
        found[EXCHANGED_F1] = counts.micro("f1")
    return found


def exchange_reasons(table: StudyTable) -> dict[str, str]:
    """Return why scores are empty, of a table whose notes say that; tables of earlier versions say nothing."""
    notes = table.notes or {}
    reasons: dict[str, str] = {}
    if "exchange" in notes:
        reasons = dict.fromkeys((RISE, EXCHANGED_F1), notes["exchange"])
    if "word_losses" in notes:
        reasons |= dict.fromkeys((*WORD_LOSSES, RISE), notes["word_losses"])
    return reasons


def undefined_exchanged(table: StudyTable, *, not_there: str) -> Iterator[tuple[str, str]]:
    """Yield the F1 of exchanged pictures where no study has a finding, with that reason."""
    if table.truth is None or table.claimed_exchanged is None:
        return
    kept = [k for k, name in enumerate(table.names) if name != NO_FINDING]
    codes = (table.truth[:, kept], table.claimed_exchanged[:, kept])
    if not any(positive(each).any() for each in codes):
        yield EXCHANGED_F1, not_there


def foreseen_words(table: StudyTable, name: str) -> str:
    """Return what a loss per word depends on beside the references, for its signature; empty for other scores.

    Losses in other words, or in another order of sentences, are not of one scale.
    """
    return (table.notes or {}).get(FORESEEN, "") if name in (*WORD_LOSSES, RISE) else ""


def counted_words(name: str) -> str:
    """Return how one of these scores is counted, as it stands in its signature; empty for others."""
    if name in (*WORD_LOSSES, RISE):
        return "unit:nats per word of the vocabulary"
    return "uncertain:negative|average:micro|pictures:of another patient" if name == EXCHANGED_F1 else ""
