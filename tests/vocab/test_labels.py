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
