"""Losses: named scalar terms; weights live where they are added up."""

from contrastcxr.losses.findings import finding_bce
from contrastcxr.losses.language import real_tokens, token_cross_entropy

__all__ = ["finding_bce", "real_tokens", "token_cross_entropy"]
