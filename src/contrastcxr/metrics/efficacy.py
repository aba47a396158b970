"""Clinical efficacy under every definition in use, by name.

The same reports get different figures under different definitions: which findings, what counts as positive, how
findings are averaged.  `PRESETS` holds those of the field as published code computes them; none of them is
comparable with another.  The labels are 14 CheXpert statuses per report, whoever made them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from contrastcxr.errors import UnknownNameError
from contrastcxr.metrics.bootstrap import Floats, Statistic, divide, mean_of
from contrastcxr.metrics.clinical import (
    MEASURES,
    STATUS_CODES,
    Codes,
    Flags,
    Measure,
    UncertaintyPolicy,
    measure_of,
    positive,
    totals_of,
)
from contrastcxr.vocab.labels import CHEXPERT

FIVE = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
"""The five findings that CheXpert's own leaderboard scored."""

Uncertain = Literal["positive", "negative", "ignored"]
Average = Literal["macro", "micro", "per_study"]


@dataclass(frozen=True)
class EfficacyPreset:
    """One definition of clinical efficacy.

    Attributes:
        name: as it stands in scores and signatures.
        findings: which are scored.
        uncertain: how an uncertain label counts, on both sides; `ignored` leaves out pairs of study and finding
            whose reference is uncertain, and counts an uncertain claim as negative.
        average: over findings (`macro`), over all pairs (`micro`), or over studies (`per_study`).
        accuracy: share of equal pairs, or of studies all of whose findings are equal (`exact`).
        source: who computes it so.
    """

    name: str
    findings: tuple[str, ...]
    uncertain: Uncertain
    average: Average
    accuracy: Literal["pairs", "exact"]
    source: str

    @property
    def signature(self) -> str:
        """What a score under this definition is comparable with."""
        return f"findings:{len(self.findings)}|uncertain:{self.uncertain}|average:{self.average}"


PRESETS: Mapping[str, EfficacyPreset] = {
    "wcl": EfficacyPreset(
        "wcl",
        CHEXPERT,
        "positive",
        "macro",
        "pairs",
        "Yan et al. 2021, public code: CheXpert labeler, blank negative, class average over all 14",
    ),
    "r2gen": EfficacyPreset(
        "r2gen",
        CHEXPERT,
        "negative",
        "macro",
        "pairs",
        "Chen et al. 2020, public code of later date: uncertain and blank negative, class average over all 14",
    ),
    "miura": EfficacyPreset(
        "miura",
        FIVE,
        "positive",
        "micro",
        "pairs",
        "Miura et al. 2021, public code: five findings, all pairs pooled; CheXbert labels the generated",
    ),
    "chexbert": EfficacyPreset(
        "chexbert",
        CHEXPERT,
        "positive",
        "micro",
        "exact",
        "F1-CheXbert as report-generation benchmarks use it: 14 findings pooled; labels are CheXbert's",
    ),
    "chexbert5": EfficacyPreset(
        "chexbert5",
        FIVE,
        "positive",
        "micro",
        "exact",
        "F1-CheXbert on five findings; its accuracy is the share of studies with all five right",
    ),
}
"""Definitions in use.  `corrected` prints all of them side by side, and our own policies."""


POLICIES: tuple[Uncertain, ...] = ("negative", "positive", "ignored")
AVERAGES: tuple[Average, ...] = ("micro", "macro", "per_study")


def _grid() -> dict[str, EfficacyPreset]:
    cells = (
        EfficacyPreset(
            f"findings{len(findings)}-{uncertain}-{average}",
            findings,
            uncertain,
            average,
            "exact" if average == "per_study" else "pairs",
            "this project",
        )
        for findings in (CHEXPERT, FIVE)
        for uncertain in POLICIES
        for average in AVERAGES
    )
    return {cell.name: cell for cell in cells}


GRID: Mapping[str, EfficacyPreset] = _grid()
"""14 and 5 findings under every policy and average, such as `findings14-ignored-macro`, used by anybody or not."""


@dataclass(frozen=True)
class EfficacyCounts:
    """Positive findings of both sides and which pairs count, `[S, L]` each."""

    truth: Flags
    claimed: Flags
    known: Flags

    @classmethod
    def of(
        cls, references: Codes, candidates: Codes, names: Sequence[str], definition: EfficacyPreset
    ) -> EfficacyCounts:
        """Count two tables of status codes `[S, L]` under a definition.

        Args:
            references: codes of `metrics.clinical.STATUS_CODES`.
            candidates: likewise, study by study.
            names: findings of the columns.
            definition: which columns count, and how.

        Raises:
            UnknownNameError: a finding of the definition has no column.
        """
        columns = [_column(names, finding) for finding in definition.findings]
        wanted, said = references[:, columns], candidates[:, columns]
        policy: UncertaintyPolicy = (
            "uncertain_positive" if definition.uncertain == "positive" else "uncertain_negative"
        )
        known = np.ones(wanted.shape, dtype=np.bool_)
        if definition.uncertain == "ignored":
            known = wanted != STATUS_CODES["uncertain"]
        return cls(positive(wanted, policy=policy) & known, positive(said, policy=policy) & known, known)

    def statistic(self, measure: Measure, average: Average) -> Statistic:
        """Return precision, recall or F1 as a statistic of study weights; an undefined value is 0."""
        if average == "per_study":
            flags = (self.truth & self.claimed, self.claimed, self.truth)
            return mean_of(measure_of(measure, *(flag.sum(axis=1).astype(np.float64) for flag in flags)))
        if average == "micro":
            return lambda weights: measure_of(measure, *(t.sum(axis=1) for t in self._totals(weights)))
        return lambda weights: np.asarray(measure_of(measure, *self._totals(weights)).mean(axis=1))

    def of_finding(self, column: int, measure: Measure) -> Statistic:
        """Return the measure of one finding, by its place in the definition."""
        return lambda weights: measure_of(measure, *(t[:, column] for t in self._totals(weights)))

    def accuracy(self, kind: Literal["pairs", "exact"]) -> Statistic:
        """Return the share of pairs, or of studies, that are right."""
        right = (self.truth == self.claimed) & self.known
        if kind == "exact":
            return mean_of(np.all(right | ~self.known, axis=1))
        hits, pairs = right.sum(axis=1).astype(np.float64), self.known.sum(axis=1).astype(np.float64)
        return lambda weights: divide(weights @ hits, weights @ pairs)

    def _totals(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        return totals_of(weights, self.truth, self.claimed)


def efficacy(
    references: Codes,
    candidates: Codes,
    names: Sequence[str],
    definition: EfficacyPreset,
    *,
    by_finding: bool = True,
) -> dict[str, Statistic]:
    """Return precision, recall, F1 and accuracy under a definition, then F1 of each finding, by name of the score.

    Args:
        references: status codes `[S, L]`.
        candidates: likewise, study by study.
        names: findings of the L columns; they must hold those of the definition.
        definition: one of `PRESETS`, of `GRID`, or your own.
        by_finding: F1 of each finding too.
    """
    counts = EfficacyCounts.of(references, candidates, names, definition)
    said: dict[str, Statistic] = {
        f"{definition.name}/{measure}": counts.statistic(measure, definition.average) for measure in MEASURES
    }
    said[f"{definition.name}/accuracy"] = counts.accuracy(definition.accuracy)
    for column, finding in enumerate(definition.findings if by_finding else ()):
        said[f"{definition.name}/f1/{finding}"] = counts.of_finding(column, "f1")
    return said


def _column(names: Sequence[str], finding: str) -> int:
    if finding not in names:
        raise UnknownNameError("labelled finding", finding, names)
    return list(names).index(finding)
