"""Audit of a data set: what crosses its splits, what is twice, what tells labels without a lesion."""

from contrastcxr.evaluation.audit.run import Audit, audit
from contrastcxr.evaluation.audit.verdict import Check

__all__ = ["Audit", "Check", "audit"]
