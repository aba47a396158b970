"""The command of a process that a launcher starts, on the miniature data set."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
COMMAND = """
import sys
from pytest import MonkeyPatch
from mini_data import mini_study, use_studies
numbers = {"train": range(16), "validation": range(8)}
use_studies(MonkeyPatch(), lambda split: [mini_study(i, split=split) for i in numbers[split]])
from contrastcxr.cli.main import run
sys.exit(run(sys.argv[1:]))
"""
"""The command, on the miniature data set."""
