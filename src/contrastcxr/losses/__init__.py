"""Losses: named scalar terms; weights live where they are added up."""

from contrastcxr.losses.decoder import taught_terms
from contrastcxr.losses.findings import finding_bce
from contrastcxr.losses.ranking import hardest_hinge

__all__ = ["finding_bce", "hardest_hinge", "taught_terms"]
