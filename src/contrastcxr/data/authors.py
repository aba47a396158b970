"""Which of a study's readings carries its labels, and which its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contrastcxr.errors import DatasetError
from contrastcxr.form import Reading, Study
from contrastcxr.vocab.labels import NIH14, PHANTOM

COMPLETE: Mapping[str, tuple[str, ...]] = {"nih14 labels": NIH14, "phantom truth": PHANTOM}
"""Authors who went through a whole list: what they do not mention counts as not there (usual for NIH; ours)."""


def label_reading(study: Study) -> Reading | None:
    """Return the reading whose findings are the study's labels, or None when nobody labelled it.

    An author of `COMPLETE` is believed first, otherwise the first reading with findings.
    """
    for author in COMPLETE:
        reading = study.reading_by(author)
        if reading is not None:
            return reading
    return next((r for r in study.readings if r.findings), None)


def reading_of(study: Study, *, author: str | None) -> Reading:
    """The reading that is learnt: the named author's, or the study's first.

    Raises:
        DatasetError: the study has no such reading.
    """
    reading = study.reading_by(author) if author else next(iter(study.readings), None)
    if reading is None:
        known = ", ".join(sorted({r.author.name for r in study.readings})) or "none"
        raise DatasetError(
            f"study {study.study_id}: expected a reading by '{author or 'anyone'}', found {known}; "
            "set data.author to one of these or choose data with reports"
        )
    return reading


def report_text(reading: Reading, *, sections: Sequence[str]) -> str:
    """The sections of a report that are written, one after another."""
    texts = (getattr(reading.report, section) for section in sections)
    return " ".join(text.strip() for text in texts if text.strip())
