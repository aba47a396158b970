"""Audit of a data set: what crosses its splits, what is twice, what tells labels without a lesion."""

from contrastcxr.evaluate.audit.run import Audit, audit
from contrastcxr.evaluate.audit.verdict import Check

__all__ = ["Audit", "Check", "audit"]
