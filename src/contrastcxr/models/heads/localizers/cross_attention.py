"""Regions weighed by how well they say the words of a report; reading needs no report (paper D)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets, needed
from contrastcxr.losses.cross_attention import CrossAttention, triplet
from contrastcxr.losses.findings import finding_bce
from contrastcxr.models.blocks.masked_softmax import masked_softmax
from contrastcxr.models.features import RegionPlaces, VisualFeatures
from contrastcxr.models.heads.base import (
    AttributeAnswer,
    AttributeVectors,
    Head,
    HeadInputs,
    Lesson,
    PartialReading,
    RegionMarks,
)
from contrastcxr.models.heads.localizers.options import CrossAttentionOptions
from contrastcxr.models.heads.writing import Search
from contrastcxr.models.regions import PLACE_CHANNELS
from contrastcxr.vocab.attribute_words import attribute_list

GEOMETRY = 5
"""`g_i = [x1/W, y1/H, x2/W, y2/H, area/(W H)]`."""


@dataclass(frozen=True, eq=False)
class _Regions:
    """Regions of a batch.

    Attributes:
        phi: `[B, N, d]`.
        mask: `[B, N]` bool.
        boxes: `[B, N, 4]`, in pixels of the model's picture.
        scores: `[B, N]`.
        views: `[B, N]`.
    """

    phi: Tensor
    mask: Tensor
    boxes: Tensor
    scores: Tensor
    views: Tensor


class CrossAttentionLocalizer(Head):
    """Cross-attention between regions of a detector and attributes of reports (paper D).

    Regions are `φ_i = W_1 r_i + W_2 [LN(W_g g_i) | LN(W_s s_i)]`, their weights
    `α = softmax_i(w^T tanh(W φ_i))`, attributes `σ(W_a Σ α_i φ_i)`. `L = L_trip + L_BCE` has the triplets of
    `S_text` and `S_roi`. Regions I are the N with the best scores, `I_n` the last N that are not among them; `T_n`
    has for each word its nearest one that is no attribute of the study. The probability of the finding is the best
    score. The form of α, N, the margin and both λ are ours, and `W_g` and `W_s` have a bias: without one LN would
    take every score for the same (ours).

    Args:
        inputs: what it is built for; its width is that of a region's row.
        options: its own.
    """

    words: Tensor
    neighbours: Tensor
    neighbour_attribute: Tensor

    def __init__(self, inputs: HeadInputs, options: CrossAttentionOptions) -> None:
        super().__init__(options, options.kind)
        attributes = attribute_list(options.attributes)
        self.finding, self.attributes = attributes.finding, attributes.attributes
        self.image_size = inputs.image_size
        self.count = options.count
        self.learns_alpha = options.alpha == "learnt"
        self.margin = options.margin
        self.tells = options.attribute_weight > 0
        self.attention = CrossAttention(options.word_sharpness, options.region_sharpness, options.axes)
        width, half = options.embedding, options.embedding // 2
        self.seen = nn.Linear(inputs.width - PLACE_CHANNELS, width)
        self.place = nn.Sequential(nn.Linear(GEOMETRY, half), nn.LayerNorm(half))
        self.score = nn.Sequential(nn.Linear(1, half), nn.LayerNorm(half))
        self.joined = nn.Linear(2 * half, width)
        if self.learns_alpha:
            self.alpha = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False))
        self.classifier = nn.Linear(width, len(self.attributes))
        A = len(self.attributes)
        self.register_buffer("words", torch.zeros(A, width))
        self.register_buffer("neighbours", torch.zeros(A, A, width))
        self.register_buffer("neighbour_attribute", torch.full((A, A), -1, dtype=torch.int64))

    def take_vectors(self, vectors: AttributeVectors) -> None:
        """Keep the word vectors of the training reports."""
        self.words.copy_(vectors.words)
        self.neighbours.copy_(vectors.neighbours)
        self.neighbour_attribute.copy_(vectors.neighbour_attribute)

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return both triplets and the cross-entropy of the attributes.

        Raises:
            IncompatibleError: the studies come without attributes; patches are no regions.
        """
        del states  # it has none
        stated = needed(
            targets.attributes,
            "a training batch needs attributes of findings; choose data whose studies have reports",
        ).bool()
        best, last = self._best(features), self._last(features)
        alpha = self._alpha(best)
        words, word_mask, others = self._words_of(stated)
        text, roi = self.attention.scores(best.phi, alpha, words, best.mask, word_mask)
        text_other, _ = self.attention.scores(best.phi, alpha, others, best.mask, word_mask)
        _, roi_other = self.attention.scores(last.phi, alpha, words, last.mask, word_mask)
        chosen = word_mask.any(dim=1) & best.mask.any(dim=1)
        known = self.words.any(dim=1).expand(stated.shape)
        told = self._told(best, alpha)
        return Lesson(
            {
                "match_text": triplet(text, text_other, chosen, margin=self.margin),
                "match_region": triplet(roi, roi_other, chosen & last.mask.any(dim=1), margin=self.margin),
                "attribute": (finding_bce(told, stated.float(), known), known.sum()),
            }
        )

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the weight of each region, the attributes, and how much of each stands in each region.

        A word that no training report had is never told and stands nowhere, and without the loss of attributes
        none is told.
        """
        del search
        best = self._best(features)
        alpha = self._alpha(best)
        known = self.words.any(dim=1)
        words, learnt = self.words.expand(len(alpha), -1, -1), known.expand(len(alpha), -1)
        _, attention = self.attention.weights(best.phi, words, best.mask, learnt)
        marks = RegionMarks(self.finding, best.boxes, alpha.float(), best.views)
        probability = best.scores.masked_fill(~best.mask, 0.0).amax(dim=1, keepdim=True).float()
        told = torch.sigmoid(self._told(best, alpha).float()).masked_fill(~known, 0.0)
        said = AttributeAnswer(self.attributes, told, attention.float()) if self.tells else None
        return PartialReading(findings=(self.finding,), probabilities=probability, regions=marks, attributes=said)

    def _best(self, features: VisualFeatures) -> _Regions:
        """Return I: the N regions of each study with the best scores."""
        order = self._order(features)
        return self._regions(features, order[:, : self.count])

    def _last(self, features: VisualFeatures) -> _Regions:
        """Return `I_n`: the last N regions of each study that are not in I; a study with N or fewer has none."""
        order, counts = self._order(features), features.mask.sum(dim=1, keepdim=True)
        first = (counts - self.count).clamp_min(self.count)
        places = first + torch.arange(self.count, device=order.device)
        inside = places < counts
        found = self._regions(features, order.gather(1, places.clamp_max(order.shape[1] - 1)))
        return _Regions(found.phi, found.mask & inside, found.boxes, found.scores, found.views)

    def _order(self, features: VisualFeatures) -> Tensor:
        """Return the places of the regions `[B, R]`, the best score first and absent ones last."""
        scores = _places(features).scores.masked_fill(~features.mask, -1.0)
        return scores.argsort(dim=1, descending=True, stable=True)

    def _regions(self, features: VisualFeatures, index: Tensor) -> _Regions:
        """Return the regions at these places of each study."""
        places = _places(features)
        rows = _picked(features.patches, index)
        boxes, scores = _picked(places.boxes, index), places.scores.gather(1, index)
        shares = boxes / self.image_size
        sides = (shares[..., 2:] - shares[..., :2]).clamp_min(0.0)
        geometry = torch.cat([shares, sides.prod(dim=-1, keepdim=True)], dim=-1)  # g
        about = torch.cat([self.place(geometry), self.score(scores.unsqueeze(-1))], dim=-1)
        phi = self.seen(rows[..., :-PLACE_CHANNELS]) + self.joined(about)
        return _Regions(phi, features.mask.gather(1, index), boxes, scores, places.views.gather(1, index))

    def _alpha(self, regions: _Regions) -> Tensor:
        raw = self.alpha(regions.phi).squeeze(-1) if self.learns_alpha else regions.scores
        return masked_softmax(raw, regions.mask)

    def _told(self, regions: _Regions, alpha: Tensor) -> Tensor:
        """Return the logits of the attributes, `[B, A]`."""
        told: Tensor = self.classifier(torch.einsum("bn,bnd->bd", alpha.to(regions.phi.dtype), regions.phi))
        return told

    def _words_of(self, stated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return m `[B, A, d]`, `[B, A]` bool where a study states it and it has a vector, and m of `T_n`.

        A word none of whose neighbours is free, of very few reports, counts as one without a vector.
        """
        B, A = stated.shape
        which = self.neighbour_attribute  # [A, K]
        taken = stated[:, which.clamp_min(0)] & (which >= 0)  # [B, A, K]
        free = ~taken & self.neighbours.any(dim=2)  # a vocabulary may have fewer words than neighbours are wanted
        known = stated & self.words.any(dim=1) & free.any(dim=2)
        nearest = free.int().argmax(dim=2)  # [B, A], the first that is no attribute of the study
        others = self.neighbours[torch.arange(A, device=stated.device), nearest]
        return self.words.expand(B, -1, -1), known, others


def _picked(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def _places(features: VisualFeatures) -> RegionPlaces:
    """Return where the regions are.

    Raises:
        IncompatibleError: the patches are no regions.
    """
    if not isinstance(features.places, RegionPlaces):
        raise IncompatibleError(
            "localizer.kind cross_attention without encoder.regions: it weighs the regions of a trained detector; "
            "set encoder.regions.weights to the run of one"
        )
    return features.places
