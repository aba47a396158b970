"""Report text scores: BLEU-1..4, ROUGE-L and CIDEr as in COCO caption evaluation (the papers' choice).

The numbers are those of `pycocoevalcap`; this file is the only one that imports it (METEOR, which needs Java,
is in `metrics/meteor.py`).  All functions take *tokenised* text: tokens joined by single spaces, made by the
one Java-free tokenizer, so that no figure depends on whether Java is there.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from contrastcxr.errors import MissingExtraError
from contrastcxr.metrics.bootstrap import Floats, Statistic
from contrastcxr.text.tokenizer import metric_tokens

TOKENISER = "metric-tokens-1"
"""Name of the tokenizer in signatures; another number when its rules change."""
BLEU_ORDERS = 4
_SMALL, _TINY = 1e-9, 1e-15  # of pycocoevalcap, so that the values agree to the last digit


def tokenise(text: str) -> str:
    """Return the text as the metrics see it: tokens joined by single spaces."""
    return " ".join(metric_tokens(text))


def bleu_statistics(references: Sequence[str], candidates: Sequence[str]) -> Floats:
    """Return sufficient statistics of corpus BLEU per study, `[S, 10]`: correct (4), guessed (4), two lengths.

    Sums of rows are the statistics of the union, which makes corpus BLEU a cheap function of study weights.
    """
    scorer = coco_scorer("bleu.bleu_scorer")
    rows = [_bleu_row(scorer, ref, cand) for ref, cand in _pairs(references, candidates)]
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), 2 * BLEU_ORDERS + 2)


def bleu_from_totals(totals: Floats) -> Floats:
    """Return corpus BLEU-1..4, `[..., 4]`, from summed statistics `[..., 10]`.

    The arithmetic of `pycocoevalcap`.
    """
    correct, guessed = totals[..., :BLEU_ORDERS], totals[..., BLEU_ORDERS : 2 * BLEU_ORDERS]
    precision = np.cumprod((correct + _TINY) / (guessed + _SMALL), axis=-1)
    score = precision ** (1 / np.arange(1, BLEU_ORDERS + 1))
    ratio = (totals[..., -2] + _TINY) / (totals[..., -1] + _SMALL)
    brevity = np.where(ratio < 1, np.exp(1 - 1 / np.maximum(ratio, _TINY)), 1.0)
    result: Floats = score * brevity[..., None]
    return result


def bleu(references: Sequence[str], candidates: Sequence[str]) -> tuple[float, ...]:
    """Return corpus BLEU-1..4 of tokenised candidates against one tokenised reference each."""
    return tuple(float(v) for v in bleu_from_totals(bleu_statistics(references, candidates).sum(axis=0)))


def bleu_statistic(statistics: Floats, order: int) -> Statistic:
    """Return corpus BLEU of one order as a statistic of study weights."""

    def statistic(weights: Floats) -> Floats:
        return bleu_from_totals(weights @ statistics)[:, order - 1]

    return statistic


def rouge_l(references: Sequence[str], candidates: Sequence[str]) -> Floats:
    """Return ROUGE-L (beta 1.2) per study, `[S]`."""
    score = coco_scorer("rouge.rouge").Rouge().calc_score
    return np.asarray([score([cand], [ref]) for ref, cand in _pairs(references, candidates)], np.float64)


def cider(references: Sequence[str], candidates: Sequence[str]) -> Floats:
    """Return CIDEr per study, `[S]`; the document frequencies are those of all the references given.

    It depends on the whole set, so only figures over the same studies compare.  The bootstrap keeps the document
    frequencies of the sample (ours).
    """
    pairs = _pairs(references, candidates)
    if not pairs:
        return np.zeros(0)
    scorer = coco_scorer("cider.cider_scorer").CiderScorer(n=4, sigma=6.0)
    for ref, cand in pairs:
        scorer += (cand, [ref])
    if not any(ref.split() for ref, _ in pairs):
        return np.zeros(len(pairs))
    _, values = scorer.compute_score()
    return np.asarray(values, np.float64)


def _bleu_row(scorer: Any, reference: str, candidate: str) -> list[int]:
    cooked = scorer.cook_test(candidate, scorer.cook_refs([reference]))
    return [*cooked["correct"], *cooked["guess"], cooked["testlen"], cooked["reflen"][0]]


def _pairs(references: Sequence[str], candidates: Sequence[str]) -> list[tuple[str, str]]:
    if len(references) != len(candidates):
        raise ValueError(f"{len(references)} references and {len(candidates)} candidates; each study needs both")
    return list(zip(references, candidates, strict=True))


def coco_scorer(module: str) -> Any:
    """Return a module of COCO caption evaluation, such as `cider.cider_scorer`.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(f"pycocoevalcap.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "pycocoevalcap":
            raise
        raise MissingExtraError("pycocoevalcap", "metrics", "scoring report text") from None
