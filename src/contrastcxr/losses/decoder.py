"""The named loss terms of a decoder, from what it says of its targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from contrastcxr.losses.ranking import hardest_hinge
from contrastcxr.models.heads.decoders.base import DecoderOutputs

Term = tuple[Tensor, Tensor]
"""A mean over the batch, and the number of things it is the mean of."""


def taught_terms(taught: DecoderOutputs) -> dict[str, Term]:
    """Return each term of a decoder's loss, by name; weights live in its configuration.

    - `word`: cross-entropy, the mean over words.
    - `stop`, `abnormal`, `tag`: of decoders that plan sentences. The originals sum over a report; here each sum is
      divided by the number of words, so that beside `word` it weighs what it weighs in a sum over a report.
    - `coverage`: doubly stochastic attention, `Σ_i (1 − Σ_t α_ti)²` (after Xu 2015, Jing 2018): the mean over
      patches and studies; with sentences, where the original sums over patches, divided by the words as above.
    - `ranking`: hinge with the hardest negatives, of a decoder that retrieves.
    """
    terms: dict[str, Term] = {}
    words = None
    if taught.log_probs is not None and taught.words is not None:
        words = torch.as_tensor(len(taught.words), device=taught.words.device)
        chosen = taught.log_probs.gather(-1, taught.words.unsqueeze(-1)).squeeze(-1)  # [M]
        terms["word"] = (-chosen.sum() / words.clamp_min(1), words)
    if words is not None:
        for name, total in _sums(taught).items():
            terms[name] = (total / words.clamp_min(1), words)
        if taught.stop is None and taught.attention:
            terms["coverage"] = _mean_coverage(taught)
    if taught.ranking is not None:
        terms["ranking"] = hardest_hinge(*taught.ranking)
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
