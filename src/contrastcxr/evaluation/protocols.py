"""The two protocols by name, and the words each of them scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from contrastcxr.data.ref import DataRef
from contrastcxr.errors import DatasetError, RequestError, UnknownNameError
from contrastcxr.evaluation.references import load_references, training_split
from contrastcxr.metrics.words import PLAIN, ScoredWords, as_published
from contrastcxr.text.published_words import Style

CORRECTED, AS_PUBLISHED = "corrected", "as-published"

PROTOCOLS: Mapping[str, str] = {
    CORRECTED: "full references, every uncertainty policy and every definition of clinical efficacy side by side",
    AS_PUBLISHED: "references as R2Gen prepares them: its cleaning, rare words unknown, cut to 59 or 99 words",
}
"""How references are prepared, in words; the name is in every signature."""
FOLDS_OF: Mapping[str, str] = {CORRECTED: "folds keep a patient together", AS_PUBLISHED: "folds of images"}
"""How data are parted that can be parted both ways (`grouped`), in words."""
_PROTOCOL_OF: Mapping[str, str] = {"patient": CORRECTED, "image": AS_PUBLISHED}


def in_words(protocol: str, data: DataRef) -> str:
    """Return what a protocol means for this data."""
    return FOLDS_OF[protocol] if _grouping(data) else PROTOCOLS[protocol]


def protocol_of(data: DataRef) -> str:
    """Return the protocol that data are parted by: of image folds `as-published`, else `corrected`."""
    return _PROTOCOL_OF.get(_grouping(data) or "", CORRECTED)


def _grouping(data: DataRef) -> str | None:
    """Return what the folds of the data keep together; None of data that are parted one way only."""
    return data.choice("grouped", ("patient", "image")) if "grouped" in data.kind.params else None


def words_of(protocol: str, data: DataRef, *, author: str | None, cache: Path | None = None) -> ScoredWords:
    """Return the words that a protocol scores on this data.

    Args:
        protocol: of `PROTOCOLS`.
        data: whose training split `as-published` counts words in.
        author: of the references.
        cache: the cache folder.

    Raises:
        UnknownNameError: no such protocol.
        RequestError: the data are parted by the other one.
        DatasetError: `as-published` without training reports.
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    if grouping := _grouping(data):
        if protocol != protocol_of(data):
            raise RequestError(
                f"{data}: grouped={grouping} is protocol {protocol_of(data)}, and {protocol} was asked for; "
                f"use --protocol {protocol_of(data)}, or group by the other"
            )
        return PLAIN  # labels and boxes, no words
    if protocol == CORRECTED:
        return PLAIN
    style: Style = "mimic_cxr" if data.kind.name.startswith("mimic") else "iu_xray"
    training: list[str] = []
    if data.open().splits:
        references = load_references(data, training_split(data), author=author, cache=cache)
        training = [answer.words for answer in references.answers()]
    if not any(training):
        raise DatasetError(
            f"{data}: no training reports; protocol as-published counts their words; use --protocol corrected"
        )
    return as_published(training, style=style)
