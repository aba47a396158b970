"""Losses: named scalar terms; weights live where they are added up."""

from contrastcxr.losses.findings import finding_bce
from contrastcxr.losses.language import real_tokens, token_cross_entropy
from contrastcxr.losses.ranking import hardest_hinge
from contrastcxr.losses.taught import taught_terms

__all__ = ["finding_bce", "hardest_hinge", "real_tokens", "taught_terms", "token_cross_entropy"]
