"""Every damaged input is read, or refused in one line of ours: a few hundred here, 10,000 in `make slow`."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.readers.paths import studies_from_paths
from fuzz.found import FOUND
from fuzz.objects import Tree
from fuzz.targets import KINDS, Recipe, try_out

WORKER = Path(__file__).with_name("worker.py")
SHORT = {
    "headers": 50,
    "objects": 80,
    "streams": 40,
    "batches": 15,
    "manifests": 40,
    "tables": 60,
    "sources": 40,
    "annotations": 30,
    "readings": 30,
    "checkpoints": 20,
}
SEEDS = (1, 2, 3, 4, 5)


@pytest.mark.parametrize("kind", sorted(SHORT))
def test_some_damaged_inputs_are_read_or_refused(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(
        max_examples=SHORT[kind],
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(KINDS[kind].recipes)
    def each(recipe: Recipe) -> None:
        try_out(kind, recipe, tmp_path_factory.mktemp("input"))

    each()


@pytest.mark.parametrize(("kind", "recipe"), FOUND, ids=lambda value: value if isinstance(value, str) else "")
def test_what_once_came_through_is_refused(kind: str, recipe: Recipe, tmp_path: Path) -> None:
    try_out(kind, recipe, tmp_path)


@pytest.mark.parametrize("said", [None, 0, 1, 2])
@pytest.mark.parametrize("syntax", [0, 1, 2])
def test_an_object_is_the_same_picture_however_it_is_written(
    syntax: int, said: int | None, tmp_path: Path
) -> None:
    plain = _pixels(Tree(()), tmp_path)
    for preamble, meta, packed in itertools.product((True, False), repeat=3):
        for name in ("input.dcm", "input"):
            written = Tree((), syntax, said, preamble, meta, packed, name=name)
            np.testing.assert_array_equal(_pixels(written, tmp_path), plain, err_msg=repr(written))


def _pixels(tree: Tree, folder: Path) -> np.ndarray:
    (study,), failures = studies_from_paths([tree.write(folder)])
    assert failures == []
    return load_pixels(study.views[0])


def test_there_are_ten_thousand_inputs() -> None:
    assert sum(kind.inputs for kind in KINDS.values()) == 10_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory and processor time are limited as on Linux")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ten_thousand_damaged_inputs_within_limits(kind: str, seed: int, tmp_path: Path) -> None:
    inputs = KINDS[kind].inputs // len(SEEDS)
    done = subprocess.run(
        [sys.executable, str(WORKER), kind, str(inputs), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
    )
    last = tmp_path / "last-recipe.txt"
    told = last.read_text() if last.exists() else "no input was tried"
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-4000:]}\nlast input: {told}"
