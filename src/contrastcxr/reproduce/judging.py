"""What the rows of an experiment are judged by: the scores that decide, named before any row runs, and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contrastcxr.metrics.detection import MET_THRESHOLDS
from contrastcxr.metrics.lengths import LENGTH_DISTANCE
from contrastcxr.metrics.retrieval import RETRIEVAL_SCORES, SEEN


@dataclass(frozen=True)
class Judging:
    """What decides between two rows.

    Attributes:
        primaries: the scores that decide, each by itself, in their order; and what each is in a sentence.
        compared: scores whose paired differences are computed, those that decide among them.
        shown: scores whose intervals over patients stand in tables.
        places: whether rows mark places and need no word.
    """

    primaries: Mapping[str, str]
    compared: tuple[str, ...]
    shown: tuple[str, ...]
    places: bool = False

    @property
    def primary(self) -> str:
        """The score that decides first."""
        return next(iter(self.primaries))


_WORDS = ("positive_f1", "auc_mean", "bleu_4", "cider", "rouge_l")
_F1 = ("positive_f1", "positive_precision", "positive_recall")
_KNOWN = ("word_loss_abnormal", "word_loss_normal", "exchange_rise")
_PLACES = (
    *("tiou_0.1", "tiou_0.3", "tiou_0.5", "tiou_0.7", "tiobb_0.1", "tiobb_0.5"),
    *("pointing", "false_boxes", "auc_mean"),
)
_SHOWN = (*_F1, *_KNOWN, "exchanged_f1", *_WORDS[1:], "meteor")
WORDS = Judging({"positive_f1": "positive-finding F1"}, _WORDS, _SHOWN)
"""By findings of the report, which words alone cannot win."""
KNOWLEDGE = Judging(
    {"word_loss_abnormal": "word loss of abnormal sentences", "positive_f1": "positive-finding F1"},
    (*_KNOWN, *_F1, *_WORDS[1:]),
    _SHOWN,
)
"""By what a decoder knows of abnormal sentences, which no decision rule touches, then by what its report says."""
LOCALIZATION = Judging(
    {"tiou_0.3": "localized at IoU above 0.3, mean over findings"},
    _PLACES,
    (*_PLACES, "miou", "map_0.5"),
    places=True,
)
"""By T(IoU) = 0.3, which papers print first; rows need no word."""
_BOXES = (*(f"met_{t}" for t in MET_THRESHOLDS), "false_boxes", "map_0.5", "pointing", "auc_mean")
_ATTRIBUTES = ("attribute_auc", "attribute_auc_macro", "attribute_accuracy", "attribute_side")
BOXES = Judging(
    {"met_0.5": "reference boxes met at an IoU of 0.5"},
    (*_BOXES, *_ATTRIBUTES),
    (*_BOXES, *(f"met_{t}_first" for t in MET_THRESHOLDS), *_ATTRIBUTES, "attribute_accuracy_none"),
    places=True,
)
"""By the share of reference boxes that a marked box meets at an IoU of .5 (paper D), one to one."""
ATTRIBUTES = Judging(
    {"attribute_auc": "AUC of words, of all cells as one", "attribute_side": "side told, of what names one"},
    _ATTRIBUTES,
    (*_ATTRIBUTES, "attribute_accuracy_none"),
)
"""By the words alone, where nobody drew a box."""
_RETRIEVED = tuple(name for name in RETRIEVAL_SCORES if not name.endswith(SEEN))
_RETRIEVED_SEEN = tuple(f"{name}{SEEN}" for name in _RETRIEVED if name.endswith("_10"))
RETRIEVAL = Judging(
    {
        "retrieval/image_to_text_10": "own report among ten, found by the picture",
        "positive_f1": "positive-finding F1",
    },
    (*_RETRIEVED, *_F1, *_KNOWN, *_WORDS[1:]),
    (*_RETRIEVED, *_RETRIEVED_SEEN, *_SHOWN, "side_agreement", LENGTH_DISTANCE),
)
"""By the space that paper C's loss makes, then by what the report says."""
JUDGINGS: Mapping[str, Judging] = {
    "words": WORDS,
    "knowledge": KNOWLEDGE,
    "localization": LOCALIZATION,
    "boxes": BOXES,
    "attributes": ATTRIBUTES,
    "retrieval": RETRIEVAL,
}
"""By the name that a plan gives it (`judged_by`)."""
