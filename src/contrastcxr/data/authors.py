"""Which of a study's readings carries its labels, which its report, and whether they call it normal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from contrastcxr.errors import DatasetError, listed
from contrastcxr.form import Finding, Reading, Status, Study
from contrastcxr.vocab.attribute_words import AttributeList
from contrastcxr.vocab.labels import NIH14, NO_FINDING, PHANTOM, SUPPORT_DEVICES

COMPLETE: Mapping[str, tuple[str, ...]] = {"nih14 labels": NIH14, "phantom truth": PHANTOM}
"""Authors who went through a whole list: what they do not mention counts as not there (usual for NIH; ours)."""

RADIOLOGISTS = ("rsna",)
"""Authors whose word that a study is not normal outweighs a label table's."""

_RANK: tuple[Status, ...] = ("unmentioned", "absent", "uncertain", "present")


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
    """Return the reading that is learnt: the named author's, or the study's first.

    Raises:
        DatasetError: the study has no such reading.
    """
    reading = study.reading_by(author) if author else next(iter(study.readings), None)
    if reading is None:
        known = listed(sorted({r.author.name for r in study.readings}), near=author or "")
        raise DatasetError(
            f"study {study.study_id}: expected a reading by '{author or 'anyone'}', found {known}; "
            "set data.author to one of these or choose data with reports"
        )
    return reading


BOX_TERMS: Mapping[str, str] = {"rsna": "boxes under the non-commercial terms of RSNA's challenge"}
"""By author, the terms of boxes that forbid to pass on what has learnt them."""


def box_authors(studies: Iterable[Study], names: Collection[str]) -> tuple[str, ...]:
    """Return the names of the authors whose boxes of these findings teach, in the order of the studies."""
    found = (boxed_reading(study, names) for study in studies)
    return tuple(dict.fromkeys(reading.author.name for reading in found if reading is not None))


def boxed_reading(study: Study, names: Collection[str]) -> Reading | None:
    """Return the reading that says where these findings are, or None where nobody drew a box of one.

    The reading with the labels is believed first; of NIH's pictures it has none, and other authors drew boxes.
    """
    readings = [reading for reading in (label_reading(study), *study.readings) if reading is not None]
    return next((r for r in readings if any(f.boxes and f.name in names for f in r.findings)), None)


def as_one(reading: Reading, attributes: AttributeList) -> Reading:
    """Return a reading with the finding of a list of attributes alone: all findings of the list as one."""
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


def knows_places(study: Study, names: Collection[str]) -> bool:
    """Return whether it is known where these findings are on a study: somebody boxed one, or none is there.

    A study with one of them that nobody boxed says neither.
    """
    if boxed_reading(study, names) is not None:
        return True
    reading = label_reading(study)
    if reading is None:
        return False
    there = [f for f in reading.findings if f.status in ("present", "uncertain") and f.name in names]
    return not there and (reading.author.name in COMPLETE or is_normal(study))


def report_text(reading: Reading, *, sections: Sequence[str]) -> str:
    """Return the sections of a report that are written, one after another."""
    texts = (getattr(reading.report, section) for section in sections)
    return " ".join(text.strip() for text in texts if text.strip())


def is_normal(study: Study) -> bool:
    """Return True when the study may serve as a normal one.

    Nothing but support devices may be present or uncertain, and No Finding must be stated, save on phantoms, whose
    truth lists every lesion. NIH images whose RSNA class is known and not Normal are left out (ours).
    """
    if any(_denies(study.reading_by(name)) for name in RADIOLOGISTS):
        return False
    reading = label_reading(study)
    if reading is None or _abnormal(reading):
        return False
    stated = reading.finding(NO_FINDING)
    return stated.status == "present" if stated else reading.author.name == "phantom truth"


def _denies(reading: Reading | None) -> bool:
    stated = reading.finding(NO_FINDING) if reading else None
    return stated is not None and stated.status != "present"


def _abnormal(reading: Reading) -> bool:
    harmless = (NO_FINDING, SUPPORT_DEVICES)
    return any(f.status in ("present", "uncertain") and f.name not in harmless for f in reading.findings)
