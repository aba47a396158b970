"""Finding names: the 14 of CheXpert, the 14 of NIH ChestX-ray14, the 14 of the phantoms, and how they map.

`Finding.name` is always the canonical name: CheXpert's where it has one, else NIH's with spaces.
"""

from __future__ import annotations

from contrastcxr.errors import UnknownNameError

NO_FINDING = "No Finding"
SUPPORT_DEVICES = "Support Devices"

CHEXPERT = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)

NIH14 = (
    "Atelectasis",
    "Cardiomegaly",
    "Pleural Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural Thickening",
    "Hernia",
)

PHANTOM = (
    "Cardiomegaly",
    "Pleural Effusion",
    "Pneumothorax",
    "Nodule",
    "Mass",
    "Consolidation",
    "Atelectasis",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural Thickening",
    "Fracture",
    "Granuloma",
    "Hernia",
)

LABEL_SETS = {"chexpert": CHEXPERT, "nih14": NIH14, "phantom": PHANTOM}

_FROM_NIH = {"Effusion": "Pleural Effusion", "Pleural_Thickening": "Pleural Thickening"}

_TO_CHEXPERT = {
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Granuloma": "Lung Lesion",
    "Infiltration": "Lung Opacity",
    "Fibrosis": "Lung Opacity",
    "Pleural Thickening": "Pleural Other",
}


def from_nih(name: str) -> str:
    """Canonical name of a label as the NIH tables write it (`Effusion` is `Pleural Effusion`)."""
    canonical = _FROM_NIH.get(name, name)
    if canonical not in NIH14 and canonical != NO_FINDING:
        raise UnknownNameError("NIH finding", name, (*NIH14, *_FROM_NIH, NO_FINDING))
    return canonical


def to_chexpert(name: str) -> str | None:
    """CheXpert's name for a canonical finding, or None where CheXpert has none (Emphysema, Hernia)."""
    return _TO_CHEXPERT.get(name, name if name in CHEXPERT else None)


def label_set(name: str) -> tuple[str, ...]:
    """The findings of a named label set, in the order of a finding head's outputs."""
    if name not in LABEL_SETS:
        raise UnknownNameError("label set", name, LABEL_SETS)
    return LABEL_SETS[name]
