from __future__ import annotations

from pathlib import Path

import pytest

from contrastcxr.data.recognise import recognised
from contrastcxr.data.sources import SOURCES


def test_a_sign_is_of_one_source() -> None:
    signs = [sign for kind in SOURCES.values() for sign in kind.signs]
    assert len(set(signs)) == len(signs)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Data_Entry_2017_v2020.csv", "nih14"),
        ("indiana_reports.csv", "iu_xray"),
        ("mimic-cxr-2.0.0-metadata.csv.gz", "mimic_cxr"),
        ("valid.csv", "chexpert"),
        ("metadata.csv", "covid"),
        ("stage_2_train_labels.csv", "rsna"),
        ("annotations/annotations_train.csv", "vindr"),
    ],
)
def test_a_folder_is_known_by_the_tables_of_its_layout(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    assert recognised(tmp_path) == (f"{name}:{tmp_path}",)


def test_a_folder_with_a_manifest_is_that_too_and_any_other_folder_is_nothing(tmp_path: Path) -> None:
    assert recognised(tmp_path) == ()
    (tmp_path / "studies.jsonl").touch()
    assert recognised(tmp_path) == (f"manifest:{tmp_path / 'studies.jsonl'}",)
