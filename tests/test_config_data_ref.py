"""The data that a configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrastcxr.config import DataConfig, without_places
from contrastcxr.config.data_ref import data_ref
from contrastcxr.errors import ConfigError


def test_a_data_name_says_source_place_split_and_options() -> None:
    config = DataConfig(source="nih14-cv", root="/data/nih14", fold=2, options={"report": "plain"})
    assert str(data_ref(config, split="train")) == "nih14-cv:/data/nih14/train?report=plain&seed=0&fold=2"
    assert str(data_ref(DataConfig(seed=3), split="test")) == "phantom:standard/test?seed=3"


def test_further_roots_follow_the_root_and_only_known_parameters_are_named() -> None:
    options = {"subset": "findings", "reports": "/txt", "images": "any"}
    config = DataConfig(source="mimic_cxr", root="/jpg", options=options)
    assert str(data_ref(config, split="train")) == "mimic_cxr:/jpg,subset=findings,reports=/txt/train?images=any"
    assert str(data_ref(DataConfig(source="manifest", root="a.jsonl"), split="test")) == "manifest:a.jsonl/test"
    boxes = DataConfig(source="nih14-boxes", root="/nih", fold=1, options={"boxed": 80, "unannotated": 50})
    assert str(data_ref(boxes, split="train")) == "nih14-boxes:/nih/train?boxed=80&unannotated=50&seed=0&fold=1"


def test_a_configuration_that_travels_names_no_folder() -> None:
    config = DataConfig(source="mimic_cxr", root="/jpg", options={"subset": "findings", "reports": "/txt"})
    kept = without_places(config.model_dump())
    assert (kept["root"], kept["options"], kept["source"]) == (None, {"subset": "findings"}, "mimic_cxr")


def test_a_place_for_drawn_studies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"take data\.root away"):
        data_ref(DataConfig(source="phantom:standard", root=str(tmp_path)), split="train")


@pytest.mark.parametrize("source", ["phantom:smoke?seed=3", "phantom:smoke/test", "nih14:/x?limit=3"])
def test_a_source_that_names_a_split_or_parameters_is_refused_and_not_cut(source: str) -> None:
    with pytest.raises(ConfigError, match="names a split or parameters; take them away"):
        data_ref(DataConfig(source=source), split="train")


def test_an_option_of_the_configuration_goes_before_the_same_one_of_the_source() -> None:
    ref = data_ref(DataConfig(source="mimic_cxr:/jpg,unit=image", options={"unit": "study"}), split=None)
    assert str(ref) == "mimic_cxr:/jpg,unit=study"


def test_a_source_without_its_folder_says_so() -> None:
    with pytest.raises(ConfigError, match=r"data\.source 'nih14' needs its folder; set data\.root"):
        data_ref(DataConfig(source="nih14"), split="train")
