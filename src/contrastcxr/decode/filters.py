"""What a search may not choose: log-probabilities `[R, V]` in, the same with −inf in places out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BLOCKED = float("-inf")


def forbid(log_probs: Tensor, token_ids: Sequence[int]) -> Tensor:
    """Return tokens that are never chosen, such as padding and BOS."""
    if not token_ids:
        return log_probs
    return log_probs.index_fill(-1, torch.tensor(token_ids, device=log_probs.device), BLOCKED)


def block_trigrams(log_probs: Tensor, history: Tensor) -> Tensor:
    """Forbid every token that would repeat three words in a row of `history [R, t]`, all rows at once."""
    R, t = history.shape
    if t < 3:
        return log_probs
    seen = (history[:, :-2] == history[:, -2:-1]) & (history[:, 1:-1] == history[:, -1:])  # [R, t-2]
    V = log_probs.shape[1]
    # Places that match nothing write to a column V that is cut off, so that no write undoes another.
    targets = torch.where(seen, history[:, 2:], V)
    blocked = torch.zeros(R, V + 1, dtype=torch.bool, device=log_probs.device).scatter_(1, targets, True)
    return log_probs.masked_fill(blocked[:, :V], BLOCKED)


def keep_nucleus(log_probs: Tensor, top_p: float) -> Tensor:
    """Return the fewest most probable tokens that together reach `top_p` (after Holtzman 2020), at least one."""
    order = log_probs.sort(dim=-1, descending=True)
    share = torch.softmax(order.values, dim=-1)
    outside = share.cumsum(dim=-1) - share >= top_p  # what is before it is already enough
    outside[:, 0] = False
    return log_probs.masked_fill(torch.zeros_like(outside).scatter_(1, order.indices, outside), BLOCKED)


def or_end(log_probs: Tensor, unfiltered: Tensor, eos: int) -> Tensor:
    """Allow the report to end where everything is blocked: its EOS gets its own log-probability back."""
    stuck = (log_probs == BLOCKED).all(dim=-1)
    allowed = log_probs.clone()
    allowed[:, eos] = torch.where(stuck, unfiltered[:, eos], log_probs[:, eos])
    return allowed
