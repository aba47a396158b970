"""What the rows of an experiment are judged by: the score that decides, named before any row runs, and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Judging:
    """What decides between two rows.

    Attributes:
        primary: the score that decides.
        label: what it is, in a sentence.
        compared: scores whose paired differences are computed, the primary among them.
        shown: scores whose intervals over patients stand in tables.
    """

    primary: str
    label: str
    compared: tuple[str, ...]
    shown: tuple[str, ...]


_WORDS = ("positive_f1", "auc_mean", "bleu_4", "cider", "rouge_l")
_PLACES = (
    *("tiou_0.1", "tiou_0.3", "tiou_0.5", "tiou_0.7", "tiobb_0.1", "tiobb_0.5"),
    *("pointing", "false_boxes", "auc_mean"),
)
WORDS = Judging("positive_f1", "positive-finding F1", _WORDS, (*_WORDS, "meteor"))
"""By findings of the report, which words alone cannot win."""
LOCALIZATION = Judging("tiou_0.3", "localized at IoU above 0.3, mean over findings", _PLACES, _PLACES)
"""By T(IoU) = 0.3, which papers print first; rows need no word."""
JUDGINGS: Mapping[str, Judging] = {"words": WORDS, "localization": LOCALIZATION}
"""By the name that a plan gives it (`judged_by`)."""
