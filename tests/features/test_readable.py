from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from mini_data import mini_study
from PIL import Image

from contrastcxr.data.pixels import Picture, original
from contrastcxr.errors import OutputError
from contrastcxr.features.readable import all_in, try_pictures
from contrastcxr.form import Study, View


def on_disk(folder: Path, name: str, *, broken: bool = False) -> View:
    path = folder / f"{name}.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
    if broken:
        path.write_bytes(path.read_bytes()[:200])
    return View(view_id=name, locator=str(path), position="PA", width=64, height=64)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_file_is_tried_once_and_a_broken_or_absent_one_is_named(
    tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole, broken = on_disk(tmp_path, "whole"), on_disk(tmp_path, "broken", broken=True)
    absent = whole.model_copy(update={"view_id": "absent", "locator": str(tmp_path / "absent.png")})
    caplog.set_level(logging.INFO, logger="contrastcxr")
    known = tmp_path / "cache" / "readable.txt"
    views = [whole, broken, whole, absent]
    kept, unreadable = try_pictures(views, original, known=known, workers=workers)
    assert len(kept) == 1
    assert sorted(each.view_id for each in unreadable) == ["absent", "broken"]
    assert caplog.messages == ["pictures: 2 files are read once before the first step"]
    study = Study(study_id="s", views=(whole,), readings=())
    assert all_in(study, kept, 1)
    assert not all_in(study.model_copy(update={"views": (broken,)}), kept, 1)
    assert not all_in(study.model_copy(update={"views": (absent,)}), kept, 1)


def test_pictures_in_memory_are_not_tried(tmp_path: Path) -> None:
    known = tmp_path / "readable.txt"
    views = mini_study(0, split="train").views
    kept, unreadable = try_pictures(views, original, known=known, workers=0)
    assert len(kept) == 1
    assert unreadable == []
    assert not known.exists()


def test_a_file_that_was_read_is_not_tried_again_until_it_changes(tmp_path: Path) -> None:
    views = [on_disk(tmp_path, "whole"), on_disk(tmp_path, "other"), on_disk(tmp_path, "broken", broken=True)]
    known = tmp_path / "cache" / "readable.txt"
    opened: list[str] = []

    def counted(view: View) -> Picture:
        opened.append(view.view_id)
        return original(view)

    first = try_pictures(views, counted, known=known, workers=0)
    again = try_pictures(views, counted, known=known, workers=0)
    assert first == again
    assert opened == ["whole", "other", "broken", "broken"]
    on_disk(tmp_path, "other", broken=True)
    kept, unreadable = try_pictures(views, counted, known=known, workers=0)
    assert len(kept) == 1
    assert [each.view_id for each in unreadable] == ["other", "broken"]


def test_a_list_of_read_files_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    known = tmp_path / "cache" / "readable.txt"
    with pytest.raises(OutputError, match="choose another folder with --cache"):
        try_pictures([on_disk(tmp_path, "whole")], original, known=known, workers=0)
