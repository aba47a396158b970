from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrastcxr.data import drawn as module
from contrastcxr.data.drawn import drawn
from contrastcxr.form import Author, Box, Finding, Reading, Study, View


class Artist:
    """Counts how often it draws."""

    def __init__(self) -> None:
        self.__qualname__ = "artist"
        self.times = 0

    def __call__(self, level: str, *, split: str, seed: int, limit: int | None) -> list[Study]:
        self.times += 1
        finding = Finding(name="Mass", status="present", boxes=(Box(xyxy=(0.1, 0.2, 1 / 3, 2.0)),))
        reading = Reading(study_id="s", author=Author(kind="rule", name="r"), findings=(finding,))
        view = View(view_id="v", locator=f"phantom:{level}/{split}/000000?seed={seed}&view=frontal")
        return [Study(study_id="s", views=(view,), readings=(reading,), age=63.25)] * (limit or 2)


@pytest.fixture(autouse=True)
def _forget() -> None:
    drawn.cache_clear()


def test_a_split_is_drawn_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTRASTCXR_CACHE", raising=False)
    artist = Artist()
    first, again = (drawn(artist, "smoke", split="test", seed=0, limit=None) for _ in range(2))
    assert first is again
    assert artist.times == 1
    drawn(artist, "smoke", split="test", seed=1, limit=None)
    assert artist.times == 2


def test_another_process_reads_what_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path))
    artist = Artist()
    first = drawn(artist, "smoke", split="test", seed=0, limit=None)
    drawn.cache_clear()  # as a new process would find it
    assert drawn(artist, "smoke", split="test", seed=0, limit=None) == first
    assert artist.times == 1


def test_changed_code_draws_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path))
    artist = Artist()
    for version in ("one", "two"):
        monkeypatch.setattr(module, "code_version", lambda version=version: version)
        drawn(artist, "smoke", split="test", seed=0, limit=None)
        drawn.cache_clear()
    assert artist.times == 2
    assert len(list((tmp_path / "studies").iterdir())) == 2


def test_pixels_in_memory_are_not_sent_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from small_corpus import corpus

    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path))
    first = drawn(corpus, "smoke", split="test", seed=0, limit=3)
    drawn.cache_clear()
    again = drawn(corpus, "smoke", split="test", seed=0, limit=3)
    assert [s.study_id for s in again] == [s.study_id for s in first]
    assert all(view.pixels is not None for study in again for view in study.views)
    assert not list(tmp_path.rglob("*.jsonl"))


def test_a_real_phantom_goes_to_disk_and_back_without_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    from contrastcxr.phantom import draw_studies

    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path))
    with np.errstate(all="ignore"):
        first = drawn(draw_studies, "smoke", split="test", seed=0, limit=3)
    drawn.cache_clear()
    assert drawn(draw_studies, "smoke", split="test", seed=0, limit=3) == first
