"""The weakly supervised contrastive loss: pictures near their own reports, far from others' (paper C §3).

Reports of one cluster are weak labels of one another: those that say much the same are harder negatives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed import get_rank, get_world_size, is_available, is_initialized
from torch.nn import functional as F

from contrastcxr.losses.base import States, StateWidths, SystemLoss, Targets, Term, needed
from contrastcxr.losses.options import WeakContrastOptions


def weak_contrast(
    pictures: Tensor,
    reports: Tensor,
    clusters: Tensor,
    *,
    own: Tensor,
    alpha: float,
    temperature: float,
    meanings: Tensor | None = None,
    perturbed: Tensor | None = None,
) -> Tensor:
    """Return the loss `[B]` of each picture among K reports, its own one of them (paper C, Eq. 4, corrected).

    With `s_ij = cos(z_x^i, z_y^j) / τ` it is `−log( e^{s_ii} / (Σ_{l_j≠l_i} e^{s_ij} + α Σ_{j≠i, l_j=l_i} e^{s_ij}
    + e^{s_ii}) )`. As printed it has no minus sign, and the own report would weigh α as well; the authors' code
    gives it 1.

    Args:
        pictures: `[B, w]`, of unit length.
        reports: `[K, w]`, of unit length.
        clusters: l, `[K]`, of the reports.
        own: `[B]`, which of the reports is each picture's own.
        alpha: what another report of the same cluster weighs; 0 leaves it out.
        temperature: τ.
        meanings: `[K]`, equal where reports say the same; such a report is no negative (ours). None keeps all.
        perturbed: `[B, w]`, of unit length, one further negative for each picture, which weighs 1.
    """
    scores = pictures @ reports.T / temperature  # [B, K]
    itself = F.one_hot(own, len(reports)).bool()
    same = (clusters[own].unsqueeze(1) == clusters) & ~itself
    scores = scores + same * math.log(alpha) if alpha else scores.masked_fill(same, -math.inf)
    if meanings is not None:
        scores = scores.masked_fill((meanings[own].unsqueeze(1) == meanings) & ~itself, -math.inf)
    against = [scores]
    if perturbed is not None:
        against.append((pictures * perturbed).sum(dim=1, keepdim=True) / temperature)
    return torch.cat(against, dim=1).logsumexp(dim=1) - scores[itself]


class WeakContrast(SystemLoss):
    """Weakly supervised contrastive loss between the states of encoder and decoder (paper C).

    `z_x = φ_x(mean H_X)`, `z_y = φ_y(mean H_Y)`, of unit length, with `φ` Linear-ReLU-Linear; means are over
    what is real (the authors' code takes the padding in). Negatives are the reports of the whole batch, those on
    other processes included. A batch without clusters, as in validation, has no such term.

    Args:
        widths: of the states.
        options: its own.

    Attributes:
        mean_picture: `[n, C]`, the mean raw features of the training views; 0 until a run has ended.
    """

    mean_picture: Tensor

    def __init__(self, widths: StateWidths, options: WeakContrastOptions) -> None:
        super().__init__()
        self.options = options
        self.of_pictures = _projector(widths.patches, options.width)
        self.of_reports = _projector(widths.words, options.width)
        self.register_buffer("mean_picture", torch.zeros(widths.picture))

    @property
    def space(self) -> WeakContrast:
        """Its own."""
        return self

    def forward(self, states: States, targets: Targets) -> Mapping[str, Term]:
        """Return the mean over studies, and how many there are."""
        options = self.options
        if targets.clusters is None:
            return {}
        with _exactly(states):
            reports = self.reports(states)
            B = len(reports)
            moved = self._perturbed(states) if options.needs_slopes else None
            each = weak_contrast(
                self.pictures(states),
                gathered(reports),
                gathered(targets.clusters),
                own=torch.arange(B, device=reports.device) + _rank() * B,
                alpha=options.own_cluster_weight,
                temperature=options.divisor,
                meanings=self._meanings(targets),
                perturbed=moved,
            )
            means: dict[str, Tensor] = {options.kind: each.mean()}
            if moved is not None:
                means[options.moved] = (1 - (reports * moved).sum(dim=1)).detach().mean()
        return {name: (mean, torch.as_tensor(B, device=mean.device)) for name, mean in means.items()}

    def _meanings(self, targets: Targets) -> Tensor | None:
        if not self.options.needs_meanings:
            return None
        return gathered(needed(targets.meanings, "the variant distinct needs what the training reports state"))

    def pictures(self, states: States) -> Tensor:
        """Return `z_x [B, w]`, of unit length."""
        with _exactly(states):
            patches = states.patches.detach() if self.options.frozen else states.patches
            return F.normalize(self.of_pictures(mean_patches(patches.float(), states)), dim=-1)

    def reports(self, states: States) -> Tensor:
        """Return `z_y [B, w]`, of unit length."""
        with _exactly(states):
            return self._embedded((states.words.detach() if self.options.frozen else states.words).float(), states)

    def _embedded(self, words: Tensor, states: States) -> Tensor:
        return F.normalize(self.of_reports(mean_words(words, states)), dim=-1)

    def _perturbed(self, states: States) -> Tensor:
        """Return `z̃_y [B, w]` of states moved against what makes their words likely (Lee 2020 °).

        `H̃_Y = H_Y − ε g/‖g‖` with `g = ∇_{H_Y} log p(Y|X)`, whose norm is over a report; H_Y gets no gradient.
        """
        slope = states.slope().float()
        norms = by_study(slope.square().sum(dim=-1, keepdim=True), states).sqrt()
        step = slope / norms.clamp_min(torch.finfo(slope.dtype).tiny)[states.study]
        return self._embedded(states.words.detach().float() - self.options.epsilon * step, states)


def mean_patches(patches: Tensor, states: States) -> Tensor:
    """Return the means `[B, C]` of the real patches of `patches [B, n, C]`."""
    mask = states.patch_mask.unsqueeze(-1)
    return (patches * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)


def mean_words(words: Tensor, states: States) -> Tensor:
    """Return the means `[B, h]` of `words [M, h]` over each report."""
    return by_study(words, states) / by_study(torch.ones_like(words[:, :1]), states).clamp_min(1)


def by_study(values: Tensor, states: States) -> Tensor:
    """Return the sums `[B, h]` of `values [M, h]` over the words of each report."""
    return values.new_zeros(len(states.patches), values.shape[-1]).index_add(0, states.study, values)


def _projector(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


def _exactly(states: States) -> torch.autocast:
    """Compute in float32: at a small τ, and of reports that are near each other, bf16 loses what is compared."""
    return torch.autocast(states.patches.device.type, enabled=False)


def gathered(values: Tensor) -> Tensor:
    """Return the rows of all processes, the first one's first; gradients go back to where rows came from.

    Processes have equal shares of a batch. Alone it is `values`.
    """
    if not _several():
        return values
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(values.contiguous()))  # type: ignore[no-untyped-call]


def _several() -> bool:
    return is_available() and is_initialized() and get_world_size() > 1


def _rank() -> int:
    return get_rank() if _several() else 0
