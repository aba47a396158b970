"""What losses are made of: what a batch says, what was made of it, and named terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError

Term = tuple[Tensor, Tensor]
"""A mean over the batch, and the number of things it is the mean of."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Targets:
    """What a batch of training studies says, of all that a head may learn from; None for what no head needs.

    Attributes:
        token_ids: `[B, T]`, BOS … EOS, padded at the end.
        mask: `[B, T-1]` bool, True where `token_ids[:, 1:]` is real, EOS included.
        abnormal: `[B, S]` bool, whether each sentence of the report names an abnormality.
        tags: `[B, L]`, 1 for each tag of the study, else 0.
        sentence: `[B, T-1]`, which sentence of a plan each of `token_ids[:, 1:]` belongs to; None splits the
            report after each end mark.
        own_words: probability that a word fed after BOS is not the report's but one the decoder draws from what it
            has just said (scheduled sampling, Bengio 2015); 0 is teacher forcing.
        findings: `[B, L]`, 1 for each finding of the study, else 0; anything where it is not known.
        known: `[B, L]` bool, True where `findings` is known.
        box_cells: `[B, V, L, n]` bool, which cells of each view overlap a box of each finding.
        attributes: `[B, A]` bool, which attributes of findings the report states.
        clusters: `[B]`, the cluster of each training report (paper C).
        meanings: `[B]`, equal where reports state the same findings.
        box_corners: `[B, V, K, 4]`, the boxes of each view in pixels of the model's picture, NaN behind the last.
    """

    token_ids: Tensor | None = None
    mask: Tensor | None = None
    abnormal: Tensor | None = None
    tags: Tensor | None = None
    sentence: Tensor | None = None
    own_words: float = 0.0
    findings: Tensor | None = None
    known: Tensor | None = None
    box_cells: Tensor | None = None
    box_corners: Tensor | None = None
    attributes: Tensor | None = None
    clusters: Tensor | None = None
    meanings: Tensor | None = None


def needed(value: T | None, what: str) -> T:
    """Return a target that a head cannot be taught without.

    Raises:
        IncompatibleError: it is not there; `what` says what it is and what to do.
    """
    if value is None:
        raise IncompatibleError(what)
    return value


@dataclass(frozen=True, eq=False)
class States:
    """What encoder and decoder made of each study, for a loss of the whole system (paper C, `H_X`, `H_Y`).

    Attributes:
        patches: `[B, N, d]`.
        patch_mask: `[B, N]` bool, True for real patches.
        words: `[M, h]`, of the real words of all reports in one list.
        study: `[M]`, the study each of them is of.
        said: `[M]`, the log-probability of each word, of a decoder that makes it of `read` alone.
        read: what `words` are taken out of, `[B, T-1, h]` where `real` is True, or `words` itself.
        real: `[B, T-1]` bool; None where `read` is `words`.
    """

    patches: Tensor
    patch_mask: Tensor
    words: Tensor
    study: Tensor
    said: Tensor | None = None
    read: Tensor | None = None
    real: Tensor | None = None

    def slope(self) -> Tensor:
        """Return `∇ log p(Y|X)` of each report by the states of its words, `[M, h]`, with no graph of its own."""
        assert self.said is not None  # `check_pairs` refuses a loss that asks for it of another decoder
        assert self.read is not None
        (slope,) = torch.autograd.grad(self.said.sum(), self.read, retain_graph=True)
        return slope if self.real is None else slope[self.real]


@dataclass(frozen=True)
class StateWidths:
    """The widths of `States`, for the weights that a loss has, and the size of a view's raw features.

    Attributes:
        patches: d.
        words: h.
        picture: n places and C channels.
    """

    patches: int
    words: int
    picture: tuple[int, int] = (0, 0)


class Space(Protocol):
    """Where pictures and reports meet as vectors of unit length.

    Attributes:
        mean_picture: `[n, C]`, the mean raw features of the training views.
    """

    mean_picture: Tensor

    def pictures(self, states: States) -> Tensor:
        """Return the vectors of the pictures, `[B, w]`."""

    def reports(self, states: States) -> Tensor:
        """Return the vectors of the reports, `[B, w]`."""


class SystemLoss(nn.Module, ABC):
    """A loss of the whole system, over the states of its encoder and decoder.

    Its weights are learnt with the system's and kept in the checkpoint; reading does not load them. It is built
    from the widths of the states and its options, whose `term_weights` weigh what it returns.
    """

    @property
    def space(self) -> Space | None:
        """Where it compares pictures with reports; None of a loss that does not."""
        return None

    @abstractmethod
    def forward(self, states: States, targets: Targets) -> Mapping[str, Term]:
        """Return its terms on a batch, by name."""
