"""What a decoder says of its targets, and the named loss terms of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from contrastcxr.losses.base import Term
from contrastcxr.losses.options import Negatives
from contrastcxr.losses.ranking import ranking_hinge


@dataclass(frozen=True, eq=False)
class DecoderOutputs:
    """What a decoder says of its targets; `taught_terms` turns each part into a named term.

    Attributes:
        log_probs: `[M, V]` of the words that were to be chosen, all in one list; None for a decoder without words.
        words: `[M]`, those words.
        study: `[M]`, the study each of them is of.
        sentence: `[M]`, the sentence of its report that each of them is in, from 0; -1 for the end of the report.
        hidden: `[M, h]`, the word-level states behind them (paper C, `H_Y`).
        all_hidden: `[B, T-1, h]`, which `log_probs` were made of, and `[B, T-1]` bool, True at those in `hidden`;
            None where they were made of `hidden` itself.
        patches: `[B, N, ·]`, the patches attended to (paper C, `H_X`); None for those of the features.
        attention: `[B, N]`, the attention each patch got over all real steps, for doubly stochastic
            regularisation; one per attention of the decoder, with the mask of what could be attended to.
        stop: logits `[K]` of "this is the last sentence" and their targets `[K]`.
        abnormal: logits `[K]` of "this sentence names an abnormality" and their targets `[K]`.
        tags: log-probabilities `[B, L]` of tags and the targets `[B, L]`, each row summing to 1 or 0.
        ranking: similarities `[K, K]` of images and sentences, own pairs on the diagonal, and a mask `[K, K]`,
            True where image i and sentence j may stand against each other.
        negatives: which of these count.
    """

    log_probs: Tensor | None = None
    words: Tensor | None = None
    study: Tensor | None = None
    sentence: Tensor | None = None
    hidden: Tensor | None = None
    all_hidden: tuple[Tensor, Tensor] | None = None
    patches: Tensor | None = None
    attention: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    stop: tuple[Tensor, Tensor] | None = None
    abnormal: tuple[Tensor, Tensor] | None = None
    tags: tuple[Tensor, Tensor] | None = None
    ranking: tuple[Tensor, Tensor] | None = None
    negatives: Negatives = "hardest"

    def chosen(self) -> Tensor:
        """Return the log-probability `[M]` of each word that was to be chosen."""
        assert self.log_probs is not None  # a decoder with words
        assert self.words is not None
        return self.log_probs.gather(-1, self.words.unsqueeze(-1)).squeeze(-1)


def taught_terms(taught: DecoderOutputs) -> dict[str, Term]:
    """Return each term of a decoder's loss, by name; weights stand in its options.

    - `word`: cross-entropy, the mean over words.
    - `stop`, `abnormal`, `tag`: of decoders that plan sentences. The originals sum over a report; here each sum is
      divided by the number of words, so that beside `word` it weighs what it weighs in a sum over a report.
    - `coverage`: doubly stochastic attention, `Σ_i (1 − Σ_t α_ti)²` (after Xu 2015, Jing 2018): the mean over
      patches and studies; with sentences, where the original sums over patches, divided by the words as above.
    - `ranking`: hinge against the negatives, of a decoder that retrieves.
    """
    terms: dict[str, Term] = {}
    words = None
    if taught.log_probs is not None and taught.words is not None:
        words = torch.as_tensor(len(taught.words), device=taught.words.device)
        terms["word"] = (-taught.chosen().sum() / words.clamp_min(1), words)
    if words is not None:
        for name, total in _sums(taught).items():
            terms[name] = (total / words.clamp_min(1), words)
        if taught.stop is None and taught.attention:
            terms["coverage"] = _mean_coverage(taught)
    if taught.ranking is not None:
        terms["ranking"] = ranking_hinge(*taught.ranking, negatives=taught.negatives)
    return terms


def _sums(taught: DecoderOutputs) -> dict[str, Tensor]:
    """Return what a decoder with sentences adds up over the reports of a batch."""
    if taught.stop is None:
        return {}
    sums = {"stop": _bce(*taught.stop)}
    if taught.abnormal is not None:
        sums["abnormal"] = _bce(*taught.abnormal)
    if taught.tags is not None:
        log_probs, shares = taught.tags
        sums["tag"] = -(log_probs * shares).sum()
    if taught.attention:
        parts = [_penalty(total, mask).sum() for total, mask in taught.attention.values()]
        sums["coverage"] = torch.stack(parts).sum()
    return sums


def _bce(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="sum")


def _penalty(total: Tensor, mask: Tensor) -> Tensor:
    """Return `(1 − Σ_t α_ti)²` of each patch `[B, N]`, 0 where there is none."""
    return (1.0 - total).square().masked_fill(~mask, 0.0)


def _mean_coverage(taught: DecoderOutputs) -> Term:
    parts = [_penalty(total, mask).sum(dim=1) / mask.sum(dim=1) for total, mask in taught.attention.values()]
    each = torch.stack(parts).sum(dim=0)  # [B]
    return each.mean(), torch.as_tensor(len(each), device=each.device)
