"""Which patients a detector learnt boxes of, so that none of them is among those it is scored on.

A checkpoint and a run record keep a mark of each, not the patient: a hash of the data set's address and the
patient's id there, so that sources of the same pictures agree. An id that is short can be guessed from its mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from contrastcxr.data.authors import boxed_reading
from contrastcxr.data.readers.nih14 import LICENCE as NIH_LICENCE
from contrastcxr.form import Study

NIH_LABELS = "nih14 labels"
NO_ADDRESS = "the user's disk"
"""Where data of a licence without an address are."""
_LENGTH = 12


def boxed_patients(studies: Iterable[Study], names: Collection[str], *, where: str) -> dict[str, str]:
    """Return the patients of studies with a box of one of these findings, by their marks.

    Pictures of RSNA's challenge whose NIH patient is known count as NIH's.

    Args:
        studies: of one source.
        names: of findings.
        where: address of the data set, as its licence has it.
    """
    found = {}
    for study in studies:
        if boxed_reading(study, names) is not None:
            of_nih = study.reading_by(NIH_LABELS) is not None
            patient = study.patient_id or study.study_id
            found[_mark(patient, NIH_LICENCE.where if of_nih else where)] = patient
    return found


def _mark(patient: str, where: str) -> str:
    return hashlib.sha256(f"{where} {patient}".encode()).hexdigest()[:_LENGTH]
