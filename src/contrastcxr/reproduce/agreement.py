"""How far the labels that are learnt agree with the boxes that are scored, finding by finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from contrastcxr.data.authors import label_reading

if TYPE_CHECKING:
    from contrastcxr.evaluation.references import References
    from contrastcxr.reproduce.record import Record

Agreement = Mapping[str, Mapping[str, int]]
"""By finding, or by several that are heard as one: studies that are `boxed`, `labelled`, and `both`."""


def agreed(
    references: References, names: Sequence[str], joined: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """Return on how many studies each finding has a box, how many the label table calls it, and how many both.

    A finding that others are heard as has a second line, of any of these labels. Nothing is counted where the
    author of the references is the one of the labels.

    Args:
        references: with the boxes.
        names: of findings that are counted.
        joined: finding: the findings that are heard as it.
    """
    pairs = [(label_reading(s), r) for s, r in zip(references.studies, references.readings, strict=True)]
    seen = [
        (frozenset() if labels is None else labels.present(), frozenset(f.name for f in r.findings if f.boxes))
        for labels, r in pairs
    ]
    if all(labels is None or labels.author == r.author for labels, r in pairs):
        return {}
    found = {}
    for name in names:
        for parts in ((name,), *([tuple(joined[name])] if name in joined else [])):
            boxed = [name in boxes for _, boxes in seen]
            labelled = [bool(labels & set(parts)) for labels, _ in seen]
            both = sum(one and other for one, other in zip(boxed, labelled, strict=True))
            found[" or ".join(parts)] = {"boxed": sum(boxed), "labelled": sum(labelled), "both": both}
    return found


def together(records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Return the sums over records of baselines: of folds, whose studies differ."""
    found: dict[str, dict[str, int]] = {}
    for record in records:
        for name, counts in record.agreement.items():
            known = found.setdefault(name, dict.fromkeys(counts, 0))
            found[name] = {key: known[key] + count for key, count in counts.items()}
    return found
