from __future__ import annotations

import pytest

from contrastcxr.errors import UnknownNameError
from contrastcxr.vocab import labels


@pytest.mark.parametrize("name", labels.LABEL_SETS)
def test_each_label_set_has_fourteen_different_findings(name: str) -> None:
    assert len(set(labels.label_set(name))) == 14


def test_nih_names_become_canonical() -> None:
    assert labels.from_nih("Effusion") == "Pleural Effusion"
    assert labels.from_nih("Pleural_Thickening") == "Pleural Thickening"
    assert labels.from_nih("No Finding") == labels.NO_FINDING


def test_an_unknown_nih_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Effusion"):
        labels.from_nih("Efusion")


@pytest.mark.parametrize(
    ("name", "chexpert"), [("Mass", "Lung Lesion"), ("Edema", "Edema"), ("Emphysema", None), ("Hernia", None)]
)
def test_canonical_names_map_to_chexpert_where_it_has_one(name: str, chexpert: str | None) -> None:
    assert labels.to_chexpert(name) == chexpert


def test_an_unknown_label_set_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nih14'"):
        labels.label_set("nih4")


def test_vindr_names_become_canonical() -> None:
    assert labels.from_vindr("Nodule/Mass") == "Lung Lesion"
    assert labels.from_vindr("Rib fracture") == labels.from_vindr("Clavicle fracture") == "Fracture"
    with pytest.raises(UnknownNameError, match="did you mean 'Cardiomegaly'"):
        labels.from_vindr("Cardiomegalie")


def test_a_pneumonia_is_everything_it_is_a_kind_of() -> None:
    assert labels.kinds_of(labels.from_covid("H1N1")) == (
        "Pneumonia",
        "Viral Pneumonia",
        "Influenza Pneumonia",
        "H1N1 Pneumonia",
    )
    assert labels.kinds_of("Edema") == ("Edema",)
    assert {labels.to_chexpert(name) for name in labels.PNEUMONIAS} == {"Pneumonia"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Pneumothorax", "Pneumothorax"),
        (" pneumonia ", "Pneumonia"),
        ("PLEURAL_EFFUSION", "Pleural Effusion"),
        ("effusion", "Pleural Effusion"),
        ("Pleural-Thickening", "Pleural Thickening"),
        ("nodule/mass", "Lung Lesion"),
        ("infiltrate", "Infiltration"),
        ("covid-19", "COVID-19"),
        ("No finding", labels.NO_FINDING),
    ],
)
def test_a_finding_is_known_however_it_is_spelt(written: str, name: str) -> None:
    assert labels.from_any(written) == name


@pytest.mark.parametrize("name", labels.CANONICAL)
def test_a_canonical_name_stands_for_itself(name: str) -> None:
    assert labels.from_any(name) == labels.from_any(name.upper().replace(" ", "_")) == name


def test_what_is_no_finding_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown finding 'Pnuemonia'; did you mean 'Pneumonia'"):
        labels.from_any("Pnuemonia")
