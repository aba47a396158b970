"""Finding names: the 14 of CheXpert, of NIH ChestX-ray14 and of the phantoms, further ones, and how they map.

`Finding.name` is always the canonical name: CheXpert's where it has one, else NIH's with spaces.
"""

from __future__ import annotations

import re

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

PNEUMONIAS = {
    "Viral Pneumonia": "Pneumonia",
    "Bacterial Pneumonia": "Pneumonia",
    "Fungal Pneumonia": "Pneumonia",
    "Aspiration Pneumonia": "Pneumonia",
    "Lipoid Pneumonia": "Pneumonia",
    "COVID-19": "Viral Pneumonia",
    "SARS": "Viral Pneumonia",
    "MERS": "Viral Pneumonia",
    "Influenza Pneumonia": "Viral Pneumonia",
    "H1N1 Pneumonia": "Influenza Pneumonia",
    "Varicella Pneumonia": "Viral Pneumonia",
    "Herpes Pneumonia": "Viral Pneumonia",
    "Streptococcus Pneumonia": "Bacterial Pneumonia",
    "Klebsiella Pneumonia": "Bacterial Pneumonia",
    "Legionella Pneumonia": "Bacterial Pneumonia",
    "Mycoplasma Pneumonia": "Bacterial Pneumonia",
    "Chlamydophila Pneumonia": "Bacterial Pneumonia",
    "E. coli Pneumonia": "Bacterial Pneumonia",
    "Nocardia Pneumonia": "Bacterial Pneumonia",
    "Staphylococcus Pneumonia": "Bacterial Pneumonia",
    "MRSA Pneumonia": "Staphylococcus Pneumonia",
    "Pneumocystis Pneumonia": "Fungal Pneumonia",
    "Aspergillosis": "Fungal Pneumonia",
}
"""Causes of pneumonia and what each is a kind of: diagnoses of a patient, which no radiograph shows alone."""

FURTHER = (
    "Aortic Enlargement",
    "Calcification",
    "Chronic Obstructive Pulmonary Disease",
    "Enlarged Pulmonary Artery",
    "Interstitial Lung Disease",
    "Lung Cavity",
    "Lung Cyst",
    "Lung Tumor",
    "Mediastinal Shift",
    "Other Disease",
    "Other Lesion",
    "Tuberculosis",
    "Acute Respiratory Distress Syndrome",
    *PNEUMONIAS,
)
"""Canonical names of findings and diseases that data sets name and that no label set has."""

LABEL_SETS = {"chexpert": CHEXPERT, "nih14": NIH14, "phantom": PHANTOM}
CANONICAL = tuple(dict.fromkeys((*CHEXPERT, *NIH14, *PHANTOM, *FURTHER)))
"""Every canonical name that some label set or source has."""

_FROM_NIH = {"Effusion": "Pleural Effusion", "Pleural_Thickening": "Pleural Thickening"}

_FROM_VINDR = {
    "Aortic enlargement": "Aortic Enlargement",
    "Clavicle fracture": "Fracture",
    "COPD": "Chronic Obstructive Pulmonary Disease",
    "Enlarged PA": "Enlarged Pulmonary Artery",
    "ILD": "Interstitial Lung Disease",
    "Lung cavity": "Lung Cavity",
    "Lung cyst": "Lung Cyst",
    "Lung tumor": "Lung Tumor",
    "Mediastinal shift": "Mediastinal Shift",
    "No finding": "No Finding",
    "Nodule/Mass": "Lung Lesion",
    "Other disease": "Other Disease",
    "Other diseases": "Other Disease",
    "Other lesion": "Other Lesion",
    "Pleural effusion": "Pleural Effusion",
    "Pleural thickening": "Pleural Thickening",
    "Pulmonary fibrosis": "Fibrosis",
    "Rib fracture": "Fracture",
    **{
        name: name
        for name in (
            "Atelectasis",
            "Calcification",
            "Cardiomegaly",
            "Consolidation",
            "Edema",
            "Emphysema",
            "Infiltration",
            "Lung Opacity",
            "Pneumonia",
            "Pneumothorax",
            "Tuberculosis",
        )
    },
}

_FROM_COVID = {
    "ARDS": "Acute Respiratory Distress Syndrome",
    "Aspiration": "Aspiration Pneumonia",
    "Bacterial": "Bacterial Pneumonia",
    "Chlamydophila": "Chlamydophila Pneumonia",
    "E.Coli": "E. coli Pneumonia",
    "Fungal": "Fungal Pneumonia",
    "H1N1": "H1N1 Pneumonia",
    "Herpes": "Herpes Pneumonia",
    "Influenza": "Influenza Pneumonia",
    "Klebsiella": "Klebsiella Pneumonia",
    "Legionella": "Legionella Pneumonia",
    "Lipoid": "Lipoid Pneumonia",
    "MERS-CoV": "MERS",
    "MRSA": "MRSA Pneumonia",
    "Mycoplasma": "Mycoplasma Pneumonia",
    "Mycoplasma Bacterial Pneumonia": "Mycoplasma Pneumonia",
    "Nocardia": "Nocardia Pneumonia",
    "Pneumocystis": "Pneumocystis Pneumonia",
    "Staphylococcus": "Staphylococcus Pneumonia",
    "Streptococcus": "Streptococcus Pneumonia",
    "Varicella": "Varicella Pneumonia",
    "Viral": "Viral Pneumonia",
    **{
        name: name
        for name in ("Aspergillosis", "COVID-19", "MERS", "Pneumonia", "SARS", "Tuberculosis", NO_FINDING)
    },
}

_TO_CHEXPERT = {
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Granuloma": "Lung Lesion",
    "Infiltration": "Lung Opacity",
    "Fibrosis": "Lung Opacity",
    "Pleural Thickening": "Pleural Other",
    "Interstitial Lung Disease": "Lung Opacity",
    "Lung Tumor": "Lung Lesion",
    **dict.fromkeys(PNEUMONIAS, "Pneumonia"),
}


def from_nih(name: str) -> str:
    """Return the canonical name of a label as the NIH tables write it (`Effusion` is `Pleural Effusion`)."""
    canonical = _FROM_NIH.get(name, name)
    if canonical not in NIH14 and canonical != NO_FINDING:
        raise UnknownNameError("NIH finding", name, (*NIH14, *_FROM_NIH, NO_FINDING))
    return canonical


def from_vindr(name: str) -> str:
    """Return the canonical name of a class as the VinDr-CXR tables write it.

    For instance, `Nodule/Mass` is CheXpert's `Lung Lesion`.
    """
    if name not in _FROM_VINDR:
        raise UnknownNameError("VinDr-CXR class", name, _FROM_VINDR)
    return _FROM_VINDR[name]


def from_covid(name: str) -> str:
    """Return the canonical name of one word of the COVID-19 collection's findings.

    For instance, `Viral` is `Viral Pneumonia`.
    """
    if name not in _FROM_COVID:
        raise UnknownNameError("finding of the COVID-19 collection", name, _FROM_COVID)
    return _FROM_COVID[name]


def from_any(name: str) -> str:
    """Return the canonical name of a finding as whoever drew boxes wrote it.

    It is one of `CANONICAL`, or a word of NIH or VinDr-CXR, in any case and with spaces, underscores or hyphens.

    >>> from_any("pleural_effusion"), from_any("Nodule/Mass")
    ('Pleural Effusion', 'Lung Lesion')
    """
    if _spelt(name) not in _FROM_ANY:
        raise UnknownNameError("finding", name, CANONICAL)
    return _FROM_ANY[_spelt(name)]


def _spelt(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip()


_FROM_ANY = {
    _spelt(original): canonical
    for names in (
        _FROM_VINDR,
        _FROM_NIH,
        {"Infiltrate": "Infiltration"},
        dict(zip(CANONICAL, CANONICAL, strict=True)),
    )
    for original, canonical in names.items()
}


def kinds_of(name: str) -> tuple[str, ...]:
    """Return the name after everything it is a kind of: COVID-19 is a viral pneumonia, which is a pneumonia."""
    return (*kinds_of(PNEUMONIAS[name]), name) if name in PNEUMONIAS else (name,)


def to_chexpert(name: str) -> str | None:
    """Return CheXpert's name for a canonical finding, or None where CheXpert has none (Emphysema, Hernia)."""
    return _TO_CHEXPERT.get(name, name if name in CHEXPERT else None)


def label_set(name: str) -> tuple[str, ...]:
    """Return the findings of a named label set, in the order of a finding head's outputs."""
    if name not in LABEL_SETS:
        raise UnknownNameError("label set", name, LABEL_SETS)
    return LABEL_SETS[name]
