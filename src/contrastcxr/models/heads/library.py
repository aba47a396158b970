"""A library of sentences that a report can be put together from (paper C, Table 1: CVSE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError


class SentenceLibrary(nn.Module):
    """Sentences of training reports, in groups of like ones, with the studies they come from.

    Args:
        token_ids: `[Q, T]` int64, BOS, the words, the end mark; padded.
        lengths: `[Q]`, tokens after BOS.
        group: `[Q]`, the group of each; of a group a report takes one sentence at most.
        sources: per sentence, ids of training studies that say it, the first few of them.
        counts: per sentence, how many training studies say it.

    Attributes:
        threshold: a score above which a sentence is said; chosen on validation.

    Raises:
        IncompatibleError: no sentence, or parts of different lengths.
    """

    token_ids: Tensor
    lengths: Tensor
    group: Tensor
    threshold: Tensor

    def __init__(
        self,
        token_ids: Tensor,
        lengths: Tensor,
        group: Tensor,
        *,
        sources: Sequence[Sequence[str]],
        counts: Sequence[int],
    ) -> None:
        super().__init__()
        sizes = {len(token_ids), len(lengths), len(group), len(sources), len(counts)}
        if len(sizes) != 1 or 0 in sizes:
            raise IncompatibleError(
                f"a library needs sentences, each with length, group, sources and count: {sizes}"
            )
        self.register_buffer("token_ids", token_ids)
        self.register_buffer("lengths", lengths)
        self.register_buffer("group", group)
        self.register_buffer("threshold", torch.zeros(()))
        self.sources = tuple(tuple(studies) for studies in sources)
        self.counts = tuple(counts)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def mask(self) -> Tensor:
        """True `[Q, T-1]` where `token_ids[:, 1:]` is real."""
        places = torch.arange(self.token_ids.shape[1] - 1, device=self.lengths.device)
        return places < self.lengths.unsqueeze(1)

    def metadata(self) -> dict[str, Any]:
        """Return all but the tensors, as plain JSON values."""
        return {"sources": [list(studies) for studies in self.sources], "counts": list(self.counts)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], state: Mapping[str, Tensor]) -> SentenceLibrary:
        """Return the library that `metadata()` and its tensors `state` describe."""
        return cls(
            state["token_ids"],
            state["lengths"],
            state["group"],
            sources=metadata["sources"],
            counts=metadata["counts"],
        )
