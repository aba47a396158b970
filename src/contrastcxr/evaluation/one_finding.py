"""All findings of a list of attributes as one: what a detector of one class, and paper D, are scored by.

References change here, of training studies as well, so that baselines are of the same finding: its boxes are those
of all findings of the list. A system that knows the finding is heard as it is; another one by the maximum over the
findings of the list.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from contrastcxr.errors import RequestError, listed
from contrastcxr.evaluation.joining import with_joined
from contrastcxr.form import Finding, Reading, Status
from contrastcxr.vocab.attribute_words import AttributeList

_RANK: tuple[Status, ...] = ("unmentioned", "absent", "uncertain", "present")


def as_one(reading: Reading, attributes: AttributeList) -> Reading:
    """Return a reading of a reference author with the finding of the list alone."""
    return reading.model_copy(update={"findings": one_finding(reading.findings, attributes.boxed, attributes)})


def one_finding(
    findings: Sequence[Finding], parts: Collection[str], attributes: AttributeList
) -> tuple[Finding, ...]:
    """Return the finding of the list, with the boxes of its parts and the most that is said of any; or nothing."""
    found = [finding for finding in findings if finding.name in parts]
    if not found:
        return ()
    boxes = tuple(dict.fromkeys(box for part in found for box in part.boxes))
    status = max((part.status for part in found), key=_RANK.index)
    return (Finding(name=attributes.finding, status=status, boxes=boxes),)


def heard_as_one(readings: Sequence[Reading], attributes: AttributeList) -> list[Reading]:
    """Return readings of a system with the finding of the list: its own, else the maximum over those of the list.

    Raises:
        RequestError: it says nothing of the finding, and nothing of one of the list.
    """
    known = {finding.name for reading in readings for finding in reading.findings}
    if attributes.finding in known:
        return list(readings)
    parts = [name for name in attributes.boxed if name in known]
    if not parts:
        raise RequestError(
            f"attributes {attributes.name}: the system says nothing of {attributes.finding}, nor of "
            f"{listed(attributes.boxed)}; it knows {listed(sorted(known), none='no finding')}"
        )
    return with_joined(readings, {attributes.finding: parts})
