"""The 13 classes of ChestX-Det (Lian et al. 2021): our name of each, the NIH label it stands beside, and why."""

from __future__ import annotations

from dataclasses import dataclass

from contrastcxr.errors import UnknownNameError


@dataclass(frozen=True)
class DetClass:
    """One class of ChestX-Det.

    Attributes:
        original: as the JSON writes it.
        name: the canonical name; None where the vocabulary has no such finding, and its boxes are left out.
        nih: the label of NIH ChestX-ray14, by its canonical name, that means the same; None where there is none.
        reason: why.
        clouds: the finding that a picture with this class does not deny, although it has no box of it.
    """

    original: str
    name: str | None
    nih: str | None
    reason: str
    clouds: str | None = None


CHESTX_DET = (
    DetClass("Atelectasis", "Atelectasis", "Atelectasis", "the same word"),
    DetClass(
        "Calcification",
        "Calcification",
        None,
        "VinDr-CXR has the class too; NIH has no such label; wider than the phantoms' Granuloma",
    ),
    DetClass("Cardiomegaly", "Cardiomegaly", "Cardiomegaly", "the same word; the box is the heart's"),
    DetClass(
        "Consolidation",
        "Consolidation",
        "Consolidation",
        "the same word; not Pneumonia, which is a diagnosis, nor NIH's Infiltration, which is a wider word",
    ),
    DetClass(
        "Diffuse Nodule",
        None,
        None,
        "no finding of ours: one box goes round a field of many small nodules and is no box of a Nodule",
        clouds="Nodule",
    ),
    DetClass("Effusion", "Pleural Effusion", "Pleural Effusion", "as NIH's Effusion"),
    DetClass("Emphysema", "Emphysema", "Emphysema", "the same word"),
    DetClass("Fibrosis", "Fibrosis", "Fibrosis", "the same word"),
    DetClass("Fracture", "Fracture", None, "CheXpert's name; NIH has no such label"),
    DetClass("Mass", "Mass", "Mass", "the same word"),
    DetClass("Nodule", "Nodule", "Nodule", "the same word"),
    DetClass("Pleural Thickening", "Pleural Thickening", "Pleural Thickening", "as NIH's Pleural_Thickening"),
    DetClass("Pneumothorax", "Pneumothorax", "Pneumothorax", "the same word"),
)
"""In the order of its authors, which is that of the alphabet."""

_BY_ORIGINAL = {one.original: one for one in CHESTX_DET}


def det_class(original: str) -> DetClass:
    """Return the class that the JSON calls so.

    Raises:
        UnknownNameError: no such class; names the nearest.
    """
    if original not in _BY_ORIGINAL:
        raise UnknownNameError("ChestX-Det class", original, _BY_ORIGINAL)
    return _BY_ORIGINAL[original]
