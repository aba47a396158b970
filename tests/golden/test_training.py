"""One small epoch takes the steps that were recorded.

On one machine the losses are equal to the bit (`record.py`). Other processors round differently, and Adam divides
by what is nearly nothing in its first steps: with AVX off (`ATEN_CPU_CAPABILITY=default`) losses moved by up to
8e-5 of their size, and a score that goes by rank by less than 1e-3.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from golden import training
from golden.alike import differences
from golden.command import recorded

LOSS_SHARE, SCORE_UNIT = 4e-4, 0.01


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms are drawn and encoded once for all runs."""
    return tmp_path_factory.mktemp("cache")


def losses(run: dict[str, Any]) -> list[Any]:
    return [[epoch["train"], epoch["validation"]["loss"]] for epoch in run["epochs"]]


def test_what_is_trained_is_what_was_recorded() -> None:
    assert recorded("training").keys() == training.RUNS.keys()


@pytest.mark.parametrize("name", training.RUNS)
def test_an_epoch_has_the_losses_that_were_recorded(name: str, cache: Path, tmp_path: Path) -> None:
    found, wanted = training.train(name, tmp_path / "run", cache), recorded("training")[name]
    assert found["files"] == wanted["files"]
    assert not list(differences(found["record"], wanted["record"], rel=1e-6))
    assert not list(differences(losses(found), losses(wanted), rel=LOSS_SHARE))
    assert not list(differences(found["epochs"], wanted["epochs"], rel=LOSS_SHARE, least=SCORE_UNIT))
