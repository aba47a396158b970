"""The two protocols by name, and the words each of them scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from contrastcxr.data.ref import DataRef
from contrastcxr.errors import DatasetError, UnknownNameError
from contrastcxr.evaluation.references import load_references, training_split
from contrastcxr.metrics.words import PLAIN, ScoredWords, as_published
from contrastcxr.text.published_words import Style

CORRECTED, AS_PUBLISHED = "corrected", "as-published"

PROTOCOLS: Mapping[str, str] = {
    CORRECTED: "full references, every uncertainty policy and every definition of clinical efficacy side by side",
    AS_PUBLISHED: "references as R2Gen prepares them: its cleaning, rare words unknown, cut to 59 or 99 words",
}
"""How references are prepared, in words; the name is in every signature."""


def words_of(protocol: str, data: DataRef, *, author: str | None, cache: Path | None = None) -> ScoredWords:
    """Return the words that a protocol scores on this data.

    Args:
        protocol: of `PROTOCOLS`.
        data: whose training split `as-published` counts words in.
        author: of the references.
        cache: the cache folder.

    Raises:
        UnknownNameError: no such protocol.
        DatasetError: `as-published` without training reports.
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
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
