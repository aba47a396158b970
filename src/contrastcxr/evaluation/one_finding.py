"""All findings of a list of attributes as one: what a detector of one class, and paper D, are scored by.

References change too, of training studies as well, so that baselines are of the same finding
(`data.authors.as_one`). A system that knows the finding is heard as it is; another one by the maximum over the
findings of the list.
"""

from __future__ import annotations

from collections.abc import Sequence

from contrastcxr.errors import RequestError, listed
from contrastcxr.evaluation.joining import with_joined
from contrastcxr.form import Reading
from contrastcxr.vocab.attribute_words import AttributeList


def heard_as_one(readings: Sequence[Reading], attributes: AttributeList) -> list[Reading]:
    """Return readings of a system with the finding of the list: its own, else the maximum over those of the list.

    Raises:
        RequestError: it says nothing of the finding, and nothing of one of the list.
    """
    every = [finding for reading in readings for finding in reading.findings]
    looked_for = {f.name for f in every if f.probability is not None or f.region or f.peak is not None}
    known = looked_for or {finding.name for finding in every}
    if attributes.finding in known:
        return list(readings)
    parts = [name for name in attributes.boxed if name in known]
    if not parts:
        raise RequestError(
            f"attributes {attributes.name}: the system says nothing of {attributes.finding}, nor of "
            f"{listed(attributes.boxed)}; it knows {listed(sorted(known), none='no finding')}"
        )
    return with_joined(readings, {attributes.finding: parts})
