"""The findings of a reading: what the finding head computes and what the report says, side by side.

Neither overrules the other in silence: where they conflict the finding keeps the head's status and probability and
the reading carries a flag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from contrastcxr.form import Finding, Flag, Status
from contrastcxr.vocab.labels import CHEXPERT, NIH14, NO_FINDING, to_chexpert

HEAD = "finding head"
REPORT = "report"
BOTH = f"{HEAD} and {REPORT}"
DEFAULT_THRESHOLD = 0.5

Parse = Callable[[str], tuple[Finding, ...]]
"""From a report's text to the findings it states, each once, with the indices of its sentences."""


def stated_findings(sentences: Sequence[str], parse: Parse | None) -> tuple[Finding, ...]:
    """Return what a report says, each finding once, with the indices of the sentences that say it."""
    found = () if parse is None else parse(" ".join(sentences))
    return tuple(
        finding.model_copy(update={"source": REPORT, "sentences": _within(finding.sentences, len(sentences))})
        for finding in found
        if finding.status != "unmentioned" and finding.name != NO_FINDING
    )


def _within(indices: Sequence[int], length: int) -> tuple[int, ...]:
    return tuple(index for index in indices if index < length)


def merge(
    said: Sequence[Finding],
    probabilities: Mapping[str, float],
    *,
    thresholds: Mapping[str, float],
) -> tuple[Finding, ...]:
    """Return every finding the head or the report knows of, the head's in its own order first.

    A finding that the report states at several places stands once for each, with the same probability.

    Args:
        said: what the report states, each place of a finding once.
        probabilities: of the finding head, after temperature; empty without a head.
        thresholds: from which probability a finding counts as present; 0.5 where not given.
    """
    headed = [
        _headed(each, probability, thresholds.get(name, DEFAULT_THRESHOLD))
        for name, probability in probabilities.items()
        for each in _stated_of(name, said)
    ]
    return (*headed, *(finding for finding in said if finding.name not in probabilities))


def _stated_of(name: str, said: Sequence[Finding]) -> list[Finding]:
    found = [finding for finding in said if finding.name == name]
    return found or [Finding(name=name, status="unmentioned")]


def _headed(said: Finding, probability: float, threshold: float) -> Finding:
    """What the report states, or its silence, with what the head makes of the image."""
    status: Status = "present" if probability >= threshold else "absent"
    agreed = said.status != "unmentioned" and not _conflict(status, said.status)
    return said.model_copy(
        update={
            "status": said.status if agreed else status,
            "probability": probability,
            "threshold": threshold,
            "stated": said.status,
            "source": BOTH if agreed else HEAD,
        }
    )


def _conflict(head: Status, said: Status) -> bool:
    return said != "uncertain" and head != said


def disagreements(merged: Sequence[Finding]) -> tuple[Flag, ...]:
    """Return a flag for each finding that head and report see differently; a report may differ by silence."""
    flags: dict[str, Flag] = {}
    for finding in merged:
        flag = _disagreement(finding)
        if flag is not None:
            flags.setdefault(finding.name, flag)
    return tuple(flags.values())


def _disagreement(finding: Finding) -> Flag | None:
    if finding.probability is None or finding.source != HEAD:
        return None
    silent = finding.stated in {None, "unmentioned"}
    if silent and finding.status != "present":
        return None
    words = "silent" if silent else f"says {finding.stated}"
    return Flag(
        kind="disagreement",
        finding=finding.name,
        value=finding.probability,
        message=f"{finding.name}: {HEAD} {finding.probability:.2f}, {REPORT} {words}",
    )


def not_assessed(assessed: Sequence[str]) -> tuple[Flag, ...]:
    """Return a flag for each CheXpert or NIH finding that none of the assessed findings covers."""
    covered = {*assessed, *(to_chexpert(name) for name in assessed)}
    known = dict.fromkeys((*CHEXPERT, *NIH14))
    missing = [name for name in known if name != NO_FINDING and name not in covered]
    return tuple(Flag(kind="not_assessed", finding=name, message=f"{name} was not assessed") for name in missing)
