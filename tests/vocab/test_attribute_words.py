"""The lists of attributes: their sizes, their forms, and the names that others have for their findings."""

from __future__ import annotations

import pytest

from contrastcxr.errors import UnknownNameError
from contrastcxr.vocab.attribute_words import attribute_list, attribute_lists
from contrastcxr.vocab.labels import CHEXPERT, label_set

PNEUMONIA = attribute_list("pneumonia")


def test_paper_d_has_22_keywords() -> None:
    assert len(PNEUMONIA.attributes) == 22
    assert len(PNEUMONIA.locations) == 12


@pytest.mark.parametrize("name", sorted(attribute_lists()))
def test_a_list_speaks_of_findings_that_labeler_and_boxes_know(name: str) -> None:
    attributes = attribute_list(name)
    known = {finding for names in ("phantom", "nih14", "chexpert") for finding in label_set(names)}
    assert attributes.mentioned <= set(CHEXPERT)
    assert set(attributes.boxed) <= known
    assert attributes.locations < set(attributes.attributes)
    assert all(attribute.islower() and attribute in forms for attribute, forms in attributes.forms.items())


@pytest.mark.parametrize(
    ("form", "attributes"),
    [("bibasilar", ("bilateral", "basilar")), ("lingular", ("left", "lingula")), ("opacities", ("opacity",))],
)
def test_a_form_gives_all_that_it_says(form: str, attributes: tuple[str, ...]) -> None:
    assert PNEUMONIA.by_form[form] == attributes


def test_an_unknown_list_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pneumonia'"):
        attribute_list("pneumoni")
