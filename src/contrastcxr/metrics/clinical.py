"""Clinical scores: which findings of the reference a reading also calls present, and what it invents.

Both sides are findings of the one form, whoever filled it in: truth of a phantom, labels of a table, or the
words of a report through `phantom.parse`.  MODELS §8: an undefined precision is 0; blank is negative; uncertain
is counted by a policy that is part of the score's name.  Papers A and C print macro averages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contrastcxr.form import Finding, Reading
from contrastcxr.metrics.bootstrap import Floats, Statistic, divide, mean_of, ratio_of

UncertaintyPolicy = Literal["uncertain_negative", "uncertain_positive"]
POLICIES: tuple[UncertaintyPolicy, ...] = ("uncertain_negative", "uncertain_positive")
Flags = NDArray[np.bool_]
Measure = Literal["precision", "recall", "f1"]
Findings = Sequence[Finding]


def positive_matrix(
    findings: Iterable[Findings], names: Sequence[str], *, policy: UncertaintyPolicy = "uncertain_negative"
) -> Flags:
    """Which finding each study calls positive, `[S, L]`.

    Args:
        findings: the findings of one author, study by study.
        names: canonical names in the order of the columns; other findings are passed over.
        policy: A counts uncertain as negative, C as positive.
    """
    counted = {"present"} if policy == "uncertain_negative" else {"present", "uncertain"}
    rows = [{f.name for f in study if f.status in counted} for study in findings]
    return np.asarray([[name in row for name in names] for row in rows], dtype=bool).reshape(len(rows), len(names))


@dataclass(frozen=True)
class ClinicalCounts:
    """Positive findings of the reference and of the reading, `[S, L]` each."""

    names: tuple[str, ...]
    truth: Flags
    claimed: Flags

    @classmethod
    def of(
        cls,
        references: Sequence[Findings],
        candidates: Sequence[Findings],
        names: Sequence[str],
        *,
        policy: UncertaintyPolicy = "uncertain_negative",
    ) -> ClinicalCounts:
        """Count both sides by one policy; the two lists pair study by study."""
        if len(references) != len(candidates):
            raise ValueError(f"{len(references)} references and {len(candidates)} readings; each study needs both")
        truth = positive_matrix(references, names, policy=policy)
        return cls(tuple(names), truth, positive_matrix(candidates, names, policy=policy))

    def micro(self, measure: Measure) -> Statistic:
        """Precision, recall or F1 over all pairs of study and finding, as a statistic of study weights."""
        return lambda weights: _MEASURES[measure](*(total.sum(axis=1) for total in self._totals(weights)))

    def macro(self, measure: Measure) -> Statistic:
        """The mean over the findings that the reference has at least once, as a statistic of study weights."""
        has = self.truth.any(axis=0)

        def statistic(weights: Floats) -> Floats:
            each = _MEASURES[measure](*(total[:, has] for total in self._totals(weights)))
            return each.mean(axis=1) if each.shape[1] else np.full(len(weights), np.nan)

        return statistic

    def of_finding(self, name: str, measure: Measure) -> Statistic:
        """The measure of one finding, as a statistic of study weights."""
        column = self.names.index(name)
        return lambda weights: _MEASURES[measure](*(total[:, column] for total in self._totals(weights)))

    def missed(self) -> Statistic:
        """Share of abnormal studies none of whose abnormalities the reading calls (paper A §4.4, question 1)."""
        abnormal = np.any(self.truth, axis=1)
        return ratio_of(abnormal & ~np.any(self.truth & self.claimed, axis=1), abnormal)

    def invented(self) -> Statistic:
        """Share of studies of which an abnormality is called that is not there (paper A §4.4, question 2)."""
        wrong = np.any(self.claimed & ~self.truth, axis=1)
        return mean_of(wrong)

    def _totals(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """True positives, claims and truths of each replicate, `[R, L]` each."""
        hits = (self.truth & self.claimed).astype(np.float64)
        return weights @ hits, weights @ self.claimed.astype(np.float64), weights @ self.truth.astype(np.float64)


def attribute_agreement(
    references: Sequence[Findings], candidates: Sequence[Findings], attribute: Literal["side", "severity"]
) -> tuple[Statistic, int]:
    """Share of findings that both call present on which they also agree, and the number of such findings.

    Only findings whose reference states the attribute count; a reading that leaves it out does not agree.
    """
    pairs = [_agreement(r, c, attribute) for r, c in zip(references, candidates, strict=True)]
    counts = np.asarray(pairs, np.float64).reshape(len(pairs), 2)
    return ratio_of(counts[:, 0], counts[:, 1]), int(counts[:, 1].sum())


def reading_findings(readings: Iterable[Reading]) -> list[Findings]:
    """The findings that the authors filled in, study by study."""
    return [reading.findings for reading in readings]


def _agreement(reference: Findings, candidate: Findings, attribute: str) -> tuple[int, int]:
    called = {f.name: f for f in candidate if f.status == "present"}
    both = [
        (getattr(f, attribute), getattr(called[f.name], attribute))
        for f in reference
        if f.status == "present" and f.name in called and getattr(f, attribute) is not None
    ]
    return sum(stated == said for stated, said in both), len(both)


def _precision(hits: Floats, claims: Floats, _truths: Floats) -> Floats:
    return divide(hits, claims, undefined=0.0)


def _recall(hits: Floats, _claims: Floats, truths: Floats) -> Floats:
    return divide(hits, truths, undefined=0.0)


def _f1(hits: Floats, claims: Floats, truths: Floats) -> Floats:
    return divide(2 * hits, claims + truths, undefined=0.0)


_MEASURES: dict[Measure, Callable[[Floats, Floats, Floats], Floats]] = {
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
}
