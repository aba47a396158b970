"""An evaluation as one table in Markdown, figures with their intervals; the page is `evaluate.report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from contrastcxr.metrics.attributes import ATTRIBUTE_SCORES
from contrastcxr.metrics.detection import AP_THRESHOLDS, MET_THRESHOLDS
from contrastcxr.metrics.localization import THRESHOLDS
from contrastcxr.metrics.retrieval import RETRIEVAL_SCORES

if TYPE_CHECKING:
    from contrastcxr.metrics.scores import Score, Scores

ROWS: Mapping[str, str] = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "positive_f1": "positive-finding F1",
    "positive_precision": "positive-finding precision",
    "positive_recall": "positive-finding recall",
    "positive_f1_macro": "positive-finding F1, macro",
    "positive_f1/uncertain_positive": "positive-finding F1, uncertain counted positive",
    "exchanged_f1": "positive-finding F1 of reports from another patient's picture",
    "word_loss_abnormal": "cross-entropy per word, sentences that name an abnormality",
    "word_loss_normal": "cross-entropy per word, other sentences",
    "word_loss": "cross-entropy per word",
    "exchange_rise": "its rise with another patient's picture",
    "wcl/precision": "precision as WCL counts: 14 findings, uncertain positive, macro",
    "wcl/recall": "recall, likewise",
    "wcl/f1": "F1, likewise",
    "r2gen/f1": "F1 as R2Gen's later code: 14 findings, uncertain negative, macro",
    "miura/f1": "F1 as Miura et al.: 5 findings, uncertain positive, micro",
    "chexbert/f1": "F1 as F1-CheXbert: 14 findings, uncertain positive, micro",
    "chexbert5/f1": "F1 as F1-CheXbert on 5 findings, micro",
    "chexbert5/accuracy": "studies with all 5 findings right",
    "missed_abnormality": "abnormal studies with no abnormality called",
    "invented_abnormality": "studies with an invented abnormality",
    "side_agreement": "side right, of findings called",
    "severity_agreement": "severity right, of findings called",
    "radgraph/simple": "RadGraph F1, entities",
    "radgraph/partial": "RadGraph F1, entities and whether they relate",
    "radgraph/complete": "RadGraph F1, entities and relations",
    "chexbert_similarity": "CheXbert similarity",
    "bertscore/precision": "BERTScore, precision",
    "bertscore/recall": "BERTScore, recall",
    "bertscore/f1": "BERTScore, F1",
    **RETRIEVAL_SCORES,
    "auc_mean": "mean AUC",
    "calibration_error": "expected calibration error",
    "brier": "Brier score",
    **{f"tiou_{t}": f"localized, IoU above {t}, mean over findings" for t in THRESHOLDS},
    **{f"tiobb_{t}": f"localized, IoBB above {t}, mean over findings" for t in THRESHOLDS},
    "pointing": "peak inside a box (hit rate), mean over findings",
    "miou": "mean IoU (mIoU), mean over findings",
    **{f"map_{t}": f"average precision of boxes at IoU {t} (mAP), mean over findings" for t in AP_THRESHOLDS},
    **{f"met_{t}": f"reference boxes met at IoU {t}, mean over findings" for t in MET_THRESHOLDS},
    **{f"met_{t}_first": f"the same of one box a study, IoU {t}" for t in MET_THRESHOLDS},
    "false_boxes": "false boxes per study",
    **ATTRIBUTE_SCORES,
    "distinct_reports": "distinct reports per report",
    "most_common_report": "share of the most common report",
    "mean_words": "words per report",
    "length_distance": "Wasserstein distance of the lengths to the references', in words",
}
"""The rows of the table, in order, with their names; scores of one finding stand elsewhere."""


HEADLINE: tuple[str, ...] = (
    "bleu_4",
    "meteor",
    "rouge_l",
    "cider",
    "positive_f1",
    "missed_abnormality",
    "invented_abnormality",
    "auc_mean",
    "calibration_error",
    "tiou_0.3",
    "pointing",
    "false_boxes",
    "attribute_auc",
)
"""The scores that stand on top, and that are compared with the baselines."""
LOWER_IS_BETTER = frozenset(
    (
        *("missed_abnormality", "invented_abnormality", "calibration_error", "brier", "false_boxes"),
        *("word_loss_abnormal", "word_loss_normal", "word_loss"),
        "length_distance",
    )
)
TRIVIAL = ("constant", "commonest", "neighbour", "mean_box", "geometry")
"""The readers that a system must beat to be worth anything."""


def markdown(
    title: str, facts: Mapping[str, str], systems: Mapping[str, Scores], notes: Sequence[str] = ()
) -> str:
    """Return the page as Markdown.

    Args:
        title: its heading.
        facts: what was scored and how; the signature among them.
        systems: the scores by system, a column each.
        notes: sentences beneath the table.
    """
    names = list(systems)
    lines = [f"# {title}", "", *(f"- {key}: {value}" for key, value in facts.items()), ""]
    lines += [_line(["score", *names]), _line(["---", *("---:" for _ in names)])]
    lines += [_line([label, *cells]) for label, cells in _rows(systems)]
    lines += ["", "Figures in brackets are 95% bootstrap intervals over patients.", ""]
    lines += [f"- {note}" for note in (*notes, *reasons(systems))]
    return "\n".join(lines).rstrip() + "\n"


def _rows(systems: Mapping[str, Scores]) -> list[tuple[str, list[str]]]:
    every = systems.values()
    shown = [name for name in ROWS if any(name in s and s[name].value is not None for s in every)]
    return [(ROWS[name], [_cell(scores.get(name)) for scores in systems.values()]) for name in shown]


def _cell(score: Score | None) -> str:
    return "–" if score is None else score.text()


def reasons(systems: Mapping[str, Scores]) -> list[str]:
    """Return why cells of the table are empty, each reason once, behind the scores that it is of.

    Those that are empty of other readers alone end with who these are.
    """
    labels: dict[str, dict[str, None]] = {}
    whose: dict[str, dict[str, None]] = {}
    for system, scores in systems.items():
        for name, score in scores.items():
            if name in ROWS and score.value is None and score.note:
                labels.setdefault(score.note, {})[ROWS[name]] = None
                whose.setdefault(score.note, {})[system] = None
    own = next(iter(systems), "")
    ends = {note: "" if own in of else f" ({', '.join(of)})" for note, of in whose.items()}
    return [f"{', '.join(of)}: {note}{ends[note]}" for note, of in labels.items()]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
