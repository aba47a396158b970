"""Token cross-entropy."""

from __future__ import annotations

from torch import Tensor


def real_tokens(targets: Tensor, pad: int) -> Tensor:
    """True `[B, T]` where `targets` is not padding."""
    return targets != pad


def token_cross_entropy(log_probs: Tensor, targets: Tensor, pad: int, *, mask: Tensor | None = None) -> Tensor:
    """Mean of `−log p` over the real tokens of the batch, a scalar (over tokens, not over reports).

    Args:
        log_probs: `[B, T, V]`.
        targets: `[B, T]` int64, the tokens after BOS.
        pad: id of the padding; targets equal to it do not count.
        mask: `[B, T]` bool, True for real tokens, in place of `pad`: for imported vocabularies whose end and
            padding share an id.

    Returns:
        A scalar; 0 when there is no real token.

    Example:
        >>> token_cross_entropy(decoder(features, ids), ids[:, 1:], pad=0)  # doctest: +SKIP
    """
    real = real_tokens(targets, pad) if mask is None else mask
    chosen = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)  # [B, T]
    return -chosen.masked_fill(~real, 0.0).sum() / real.sum().clamp_min(1)
