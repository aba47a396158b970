"""How well regions of a picture and words of a report match, by attention both ways, and its loss (paper D).

Regions i have features φ_i and weights α_i, words j have vectors m_j of the same width; `s_ij = cos(φ_i, m_j)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Axes = Literal["paper", "scan"]


@dataclass(frozen=True)
class CrossAttention:
    """The two attentions of paper D, `a_ij` for words and `b_ij` for regions.

    Attributes:
        word_sharpness: λ_a, of a softmax over words.
        region_sharpness: λ_b, of a softmax over regions.
        axes: paper: a sums to 1 over words and b over regions, as printed; scan: the other way round, as in
            stacked cross attention (Lee 2018), and each λ stays with its axis.
    """

    word_sharpness: float = 4.0
    region_sharpness: float = 9.0
    axes: Axes = "paper"

    def weights(
        self, regions: Tensor, words: Tensor, region_mask: Tensor, word_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return a and b, `[B, N, M]` each, 0 where a region or a word is none.

        Args:
            regions: φ, `[B, N, d]`.
            words: m, `[B, M, d]`.
            region_mask: `[B, N]` bool, True for real regions.
            word_mask: `[B, M]` bool, True for real words.
        """
        alike = torch.einsum("bnd,bmd->bnm", unit(regions), unit(words))
        both = region_mask.unsqueeze(2) & word_mask.unsqueeze(1)
        over_words = _softmax(self.word_sharpness * alike, both, dim=2)
        over_regions = _softmax(self.region_sharpness * alike, both, dim=1)
        return (over_words, over_regions) if self.axes == "paper" else (over_regions, over_words)

    def scores(
        self, regions: Tensor, alpha: Tensor, words: Tensor, region_mask: Tensor, word_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return `S_text` and `S_roi` of each study, `[B]` each; 0 where it has no region or no word.

        `A_j = Σ_i α_i φ_i a_ij` and `S_text` is the mean over words of `cos(A_j, m_j)`; `B_i = Σ_j m_j b_ij` and
        `S_roi` is the mean over regions of `cos(B_i, φ_i)`. With one word and the axes of the paper a is 1, and
        `S_roi` depends on no λ; it never contains α.

        Args:
            regions: as in `weights`.
            alpha: `[B, N]`.
            words: as in `weights`.
            region_mask: as in `weights`.
            word_mask: as in `weights`.
        """
        a, b = self.weights(regions, words, region_mask, word_mask)
        seen = torch.einsum("bn,bnd,bnm->bmd", alpha, regions, a)  # A
        read = torch.einsum("bmd,bnm->bnd", words, b)  # B
        by_word = F.cosine_similarity(seen, words, dim=-1)
        by_region = F.cosine_similarity(read, regions, dim=-1)
        return _mean(by_word, word_mask), _mean(by_region, region_mask)


def triplet(positive: Tensor, negative: Tensor, chosen: Tensor, *, margin: float) -> tuple[Tensor, Tensor]:
    """Return the mean over the chosen studies of `max(β − S + S⁻, 0)`, and their number.

    Args:
        positive: S, `[B]`.
        negative: S⁻, `[B]`.
        chosen: `[B]` bool.
        margin: β.
    """
    count = chosen.sum()
    each = (margin - positive + negative).clamp_min(0.0).masked_fill(~chosen, 0.0)
    return each.sum() / count.clamp_min(1), count


def unit(vectors: Tensor) -> Tensor:
    """Return vectors over their last axis at length 1; a vector of zeros stays."""
    return F.normalize(vectors.float(), dim=-1)


def _softmax(scores: Tensor, keep: Tensor, *, dim: int) -> Tensor:
    lowest = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~keep, lowest), dim=dim).masked_fill(~keep, 0.0)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, 0.0).sum(dim=1) / mask.sum(dim=1).clamp_min(1)
