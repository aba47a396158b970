"""Clinical scores: which findings of the reference a reading also calls present, and what it invents.

Both sides are findings of the one form, whoever filled it in: truth of a phantom, labels of a table, or the
words of a report through `phantom.parse`.  An undefined precision is 0; blank is negative; uncertain
is counted by a policy that is part of the score's name.  Papers A and C print macro averages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contrastcxr.form import Finding, Status
from contrastcxr.metrics.bootstrap import Floats, Statistic, divide, mean_of, ratio_of

UncertaintyPolicy = Literal["uncertain_negative", "uncertain_positive"]
POLICIES: tuple[UncertaintyPolicy, ...] = ("uncertain_negative", "uncertain_positive")
SUFFIX: dict[UncertaintyPolicy, str] = {"uncertain_negative": "", "uncertain_positive": "/uncertain_positive"}
"""What a policy puts behind the name of a score."""
Flags = NDArray[np.bool_]
Measure = Literal["precision", "recall", "f1"]
MEASURES: tuple[Measure, ...] = ("precision", "recall", "f1")
Attribute = Literal["side", "severity"]
Codes = NDArray[np.int8]

STATUS_CODES: dict[Status, int] = {"unmentioned": 0, "absent": 1, "uncertain": 2, "present": 3}
"""Ordered so that of two statements on one finding the stronger wins."""
Findings = Sequence[Finding]


def status_codes(findings: Iterable[Findings], names: Sequence[str]) -> Codes:
    """Return the status of every finding of every study as a code of `STATUS_CODES`, `[S, L]`.

    Args:
        findings: the findings of one author, study by study.
        names: canonical names in the order of the columns; other findings are passed over.
    """
    column = {name: k for k, name in enumerate(names)}
    studies = list(findings)
    codes = np.zeros((len(studies), len(names)), dtype=np.int8)
    for row, study in zip(codes, studies, strict=True):
        for finding in study:
            if finding.name in column:
                row[column[finding.name]] = max(row[column[finding.name]], STATUS_CODES[finding.status])
    return codes


def positive(codes: Codes, *, policy: UncertaintyPolicy = "uncertain_negative") -> Flags:
    """Return which findings count as positive; A counts uncertain as negative, C as positive."""
    least: Status = "present" if policy == "uncertain_negative" else "uncertain"
    flags: Flags = codes >= STATUS_CODES[least]
    return flags


def targets(codes: Codes) -> NDArray[np.float64]:
    """Return the targets of a probability.

    A target is 1 for present, 0 for absent or unmentioned, and NaN for uncertain (left out, as in training).
    """
    known = np.where(codes == STATUS_CODES["uncertain"], np.nan, 0.0)
    return np.where(codes == STATUS_CODES["present"], 1.0, known)


@dataclass(frozen=True)
class ClinicalCounts:
    """Positive findings of the reference and of the reading, `[S, L]` each."""

    names: tuple[str, ...]
    truth: Flags
    claimed: Flags

    @classmethod
    def of(
        cls,
        references: Codes,
        candidates: Codes,
        names: Sequence[str],
        *,
        policy: UncertaintyPolicy = "uncertain_negative",
    ) -> ClinicalCounts:
        """Count both sides by one policy; the two tables of status codes `[S, L]` pair study by study."""
        if references.shape != candidates.shape:
            raise ValueError(f"{len(references)} references and {len(candidates)} readings; each study needs both")
        return cls(tuple(names), positive(references, policy=policy), positive(candidates, policy=policy))

    def micro(self, measure: Measure) -> Statistic:
        """Return precision, recall or F1 over all pairs of study and finding, as a statistic of study weights."""
        return lambda weights: measure_of(measure, *(total.sum(axis=1) for total in self._totals(weights)))

    def macro(self, measure: Measure) -> Statistic:
        """Return the mean over the findings that the reference has at least once, as a statistic of study weights.

        A replicate that draws none of a finding averages over the others.
        """

        def statistic(weights: Floats) -> Floats:
            hits, claims, truths = self._totals(weights)
            has = truths > 0  # [R, L]
            each = measure_of(measure, hits, claims, truths)
            return divide(np.where(has, each, 0.0).sum(axis=1), has.sum(axis=1).astype(np.float64))

        return statistic

    def of_finding(self, name: str, measure: Measure) -> Statistic:
        """Return the measure of one finding, as a statistic of study weights."""
        column = self.names.index(name)
        return lambda weights: measure_of(measure, *(total[:, column] for total in self._totals(weights)))

    def missed(self) -> Statistic:
        """Return the share of abnormal studies none of whose abnormalities the reading calls.

        This answers question 1 of paper A §4.4.
        """
        abnormal = np.any(self.truth, axis=1)
        return ratio_of(abnormal & ~np.any(self.truth & self.claimed, axis=1), abnormal)

    def invented(self) -> Statistic:
        """Return the share of studies of which an abnormality is called that is not there.

        This answers question 2 of paper A §4.4.
        """
        wrong = np.any(self.claimed & ~self.truth, axis=1)
        return mean_of(wrong)

    def _totals(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        return totals_of(weights, self.truth, self.claimed)


def agreement_counts(
    references: Sequence[Findings], candidates: Sequence[Findings], attribute: Attribute
) -> NDArray[np.int64]:
    """Return on how many of the findings that both call present they agree, and how many there are: `[S, 2]`.

    Only findings whose reference states the attribute count; a reading that leaves it out does not agree.  A
    finding that is called twice (a nodule on each side) agrees when one of the two does.
    """
    pairs = [_agreement(r, c, attribute) for r, c in zip(references, candidates, strict=True)]
    return np.asarray(pairs, np.int64).reshape(len(pairs), 2)


def _agreement(reference: Findings, candidate: Findings, attribute: Attribute) -> tuple[int, int]:
    called: dict[str, set[str | None]] = {}
    for finding in candidate:
        if finding.status == "present":
            called.setdefault(finding.name, set()).add(getattr(finding, attribute))
    both = [
        getattr(finding, attribute) in called[finding.name]
        for finding in reference
        if finding.status == "present" and finding.name in called and getattr(finding, attribute) is not None
    ]
    return sum(both), len(both)


def totals_of(weights: Floats, truth: Flags, claimed: Flags) -> tuple[Floats, Floats, Floats]:
    """Return the true positives, claims and truths of each replicate, `[R, L]` each, of flags `[S, L]`."""
    hits = (truth & claimed).astype(np.float64)
    return weights @ hits, weights @ claimed.astype(np.float64), weights @ truth.astype(np.float64)


def measure_of(measure: Measure, hits: Floats, claims: Floats, truths: Floats) -> Floats:
    """Return precision, recall or F1 of these numbers of true positives, claims and truths; 0 where undefined."""
    above, below = {
        "precision": (hits, claims),
        "recall": (hits, truths),
        "f1": (2 * hits, claims + truths),
    }[measure]
    return divide(above, below, undefined=0.0)
