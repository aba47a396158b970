"""A checkpoint, pictures good and bad, and the command run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.cli.main import run
from tiny_system import save_tiny, smooth


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `contrastcxr ARGUMENTS…`."""

    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ran(status, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


def save_picture(path: Path, seed: int = 0) -> Path:
    pixels = smooth(np.random.default_rng(seed), 120, 100)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two radiographs."""
    for seed, name in enumerate(("first", "second")):
        save_picture(tmp_path / "in" / f"{name}.png", seed)
    return tmp_path / "in"
