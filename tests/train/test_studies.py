from __future__ import annotations

from pathlib import Path

import pytest
from mini_data import mini_study

from contrastcxr.form import Study
from contrastcxr.train import studies as module
from contrastcxr.train.studies import phantom_files, studies_of

NAME = "phantom:smoke/train?seed=0"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that studies were drawn for."""
    names: list[str] = []

    def load(name: str) -> list[Study]:
        names.append(name)
        view = {"pixels": None, "locator": "phantom:smoke/train/000001?seed=0&view=frontal"}
        study = mini_study(1, split="train")
        return [study.model_copy(update={"views": (study.views[0].model_copy(update=view),)})]

    monkeypatch.setattr(module, "load_studies", load)
    return names


def test_drawn_studies_are_measured_once_and_come_back_equal(asked: list[str], cache: Path) -> None:
    said: list[str] = []
    first = studies_of(NAME, root=cache, say=said.append)
    again = studies_of(NAME, root=cache, say=said.append)
    assert asked == [NAME]
    assert [s.model_dump(by_alias=True) for s in again] == [s.model_dump(by_alias=True) for s in first]
    assert said == [f"{NAME}: measuring the studies, once"]


def test_studies_are_drawn_again_when_a_file_that_draws_them_changes(
    asked: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies_of(NAME, root=cache)
    monkeypatch.setattr(module, "phantom_files", lambda: "changed")
    studies_of(NAME, root=cache)
    assert asked == [NAME, NAME]


def test_a_damaged_file_is_drawn_again(asked: list[str], cache: Path) -> None:
    studies_of(NAME, root=cache)
    [path] = (cache / "studies").iterdir()
    path.write_text("[{")
    assert len(studies_of(NAME, root=cache)) == 1
    assert asked == [NAME, NAME]


def test_studies_from_files_are_not_kept(asked: list[str], cache: Path) -> None:
    studies_of("manifest:/data/studies.jsonl", root=cache)
    assert asked == ["manifest:/data/studies.jsonl"]
    assert not cache.exists()


def test_the_hash_over_the_phantom_files_is_one_word() -> None:
    assert phantom_files() == phantom_files.__wrapped__()
    assert phantom_files().isalnum()
