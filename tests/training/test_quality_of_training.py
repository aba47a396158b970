"""When a run ends, its checkpoint learns what the training pictures look like."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from mini_data import mini_config

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.quality import fit as quality_fit
from contrastcxr.reading.reader import Reader
from contrastcxr.training import quality, run

pytestmark = pytest.mark.usefixtures("mini_data")


def test_too_few_pictures_are_said_and_leave_no_statistics(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="contrastcxr")
    folder = run(mini_config(), out=tmp_path / "run", cache=cache, progress=False)
    assert load_checkpoint(folder.path).quality is None
    assert (
        "picture quality: 16 frontal pictures to train and 8 to validate, 100 of each needed; readings will not "
        "warn of pictures"
    ) in caplog.messages


def test_a_checkpoint_holds_statistics_of_its_training_pictures(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (quality, quality_fit):
        monkeypatch.setattr(module, "MINIMUM", 8)
    folder = run(mini_config(), out=tmp_path / "run", cache=cache, progress=False)
    found = load_checkpoint(folder.path).quality
    assert found is not None
    assert (found.training, found.heldout) == (16, 8)
    assert sum(found.positions.values()) == pytest.approx(1.0)
    assert Reader.from_checkpoint(folder.path).quality is not None
