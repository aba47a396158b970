"""Readings against references: every score with its interval, beside readers that cannot read."""

from contrastcxr.evaluation.protocols import PROTOCOLS
from contrastcxr.evaluation.references import References, load_references
from contrastcxr.evaluation.result import Evaluation, SystemScores
from contrastcxr.evaluation.run import Bootstrap, evaluate
from contrastcxr.evaluation.submitted import load_readings

__all__ = [
    "PROTOCOLS",
    "Bootstrap",
    "Evaluation",
    "References",
    "SystemScores",
    "evaluate",
    "load_readings",
    "load_references",
]
