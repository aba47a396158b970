"""Which studies a normality pool may be drawn from."""

from __future__ import annotations

from contrastcxr.data.authors import label_reading
from contrastcxr.form import Reading, Study
from contrastcxr.vocab.labels import NO_FINDING, SUPPORT_DEVICES

RADIOLOGISTS = ("rsna",)
"""Authors whose word that a study is not normal outweighs a label table's."""


def is_normal(study: Study) -> bool:
    """True when the study may serve as a normal one.

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
