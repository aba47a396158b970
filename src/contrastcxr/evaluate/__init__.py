"""Readings against references: every score with its interval, beside readers that cannot read."""

from contrastcxr.evaluate.protocols import PROTOCOLS
from contrastcxr.evaluate.references import References, load_references
from contrastcxr.evaluate.result import Evaluation, SystemScores
from contrastcxr.evaluate.run import Bootstrap, evaluate
from contrastcxr.evaluate.submitted import load_readings

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
