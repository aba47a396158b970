"""The data parts of the published settings list real layouts: what would be trained on, without training."""

from __future__ import annotations

from pathlib import Path

from iu_files import write_kaggle, write_r2gen
from mimic_files import write_mimic

from contrastcxr.config import SystemConfig, load_config
from contrastcxr.config.data_ref import data_ref
from contrastcxr.data.authors import is_normal, reading_of, report_text
from contrastcxr.form import Study
from contrastcxr.store.studies import list_studies

PAPER = Path(__file__).resolve().parents[2] / "configs" / "paper"


def listed(config: SystemConfig, split: str, cache: Path) -> list[Study]:
    return list_studies(data_ref(config.data, split=split), cache=cache)


def texts(config: SystemConfig, studies: list[Study]) -> list[str]:
    return [report_text(reading_of(s, author=config.data.author), sections=config.text.sections) for s in studies]


def test_iu_nic_lists_two_views_and_the_findings_of_r2gens_split(tmp_path: Path) -> None:
    root = write_kaggle(write_r2gen(tmp_path / "iu"))
    for path in (root / "images" / "images_normalized").iterdir():
        path.unlink()
    config = load_config(PAPER / "iu.yaml", overrides=["decoder.kind=nic", f"data.root={root}"])
    train = listed(config, "train", tmp_path)
    assert [(s.study_id, len(s.views)) for s in train] == [("CXR1_1_IM-0001", 2)]
    assert texts(config, train) == ["Clear lungs. No XXXX."]
    assert [is_normal(s) for s in train] == [True]
    assert texts(config, listed(config, "test", tmp_path)) == ["Small left effusion of 1.2 cm."]


def test_mimic_transformer_lists_one_image_a_sample_with_a_findings_section(tmp_path: Path) -> None:
    root = write_mimic(tmp_path / "jpg", texts=tmp_path / "txt")
    folders = [f"data.root={root}", f"data.options.reports={tmp_path / 'txt'}"]
    config = load_config(PAPER / "mimic.yaml", overrides=["decoder.kind=transformer", *folders])
    train = listed(config, "train", tmp_path)
    assert [s.study_id for s in train] == ["aaaa1111", "aaaa2222", "cccc1111"]
    assert all(texts(config, train))
    assert listed(config, "validation", tmp_path) == []
    assert len(listed(config, "test", tmp_path)) == 1
