"""Random truths for the grammar: what a phantom might hold, and more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from contrastcxr.form import Finding
from contrastcxr.text.grammar.resolving import resolve
from contrastcxr.text.grammar.writing import SPOKEN
from contrastcxr.vocab.attributes import SAYABLE, SIDES

T = TypeVar("T")


def random_finding(name: str, rng: np.random.Generator) -> Finding:
    """A present or uncertain finding with any attributes its name can carry, each there four times in five."""
    sayable = SAYABLE[name]
    return Finding(
        name=name,
        status="present" if rng.random() < 0.8 else "uncertain",
        side=_perhaps(SIDES, rng) if sayable.side else None,
        zone=_perhaps(sayable.zones, rng),
        severity=_perhaps(sayable.severities, rng),
        size_mm=float(rng.uniform(4, 95)) if sayable.size and rng.random() < 0.8 else None,
    )


def random_truth(rng: np.random.Generator, *, normal: float = 0.45) -> tuple[Finding, ...]:
    """None to six findings; names may repeat."""
    if rng.random() < normal:
        return ()
    names = rng.choice(SPOKEN, size=int(rng.integers(1, 7)))
    return tuple(random_finding(str(name), rng) for name in names)


def said(findings: Iterable[Finding]) -> set[tuple[object, ...]]:
    """What an account says, without where it says it."""
    return {(f.name, f.status, f.side, f.zone, f.severity, f.size_mm) for f in resolve(findings)}


def _perhaps(options: Sequence[T], rng: np.random.Generator) -> T | None:
    return options[int(rng.integers(len(options)))] if options and rng.random() < 0.8 else None
