"""A lateral is predicted only where the picture is sure of it, and marked as predicted."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from contrastcxr import phantom
from contrastcxr.data.images import read_image
from contrastcxr.data.lateral import looks_lateral, thumbnail
from contrastcxr.data.pixels import with_pixels
from contrastcxr.data.readers.paths import studies_from_paths
from contrastcxr.quality.flags import view_flags


def drawn(seed: int, view: str) -> np.ndarray:
    return phantom.render(phantom.sample(seed), size=64, view=view).pixels


def test_drawn_laterals_are_told_from_drawn_frontals() -> None:
    seeds = range(910_000, 910_008)
    assert [looks_lateral(drawn(seed, "lateral")) for seed in seeds] == [True] * 8
    assert [looks_lateral(drawn(seed, "frontal")) for seed in seeds] == [False] * 8


def test_a_lateral_may_face_either_way() -> None:
    assert looks_lateral(drawn(910_001, "lateral")[:, ::-1])


def test_a_thumbnail_is_the_means_of_blocks_whatever_the_exposure() -> None:
    pixels = np.random.default_rng(3).random((33, 50))
    edges = [[n * length // 16 for n in range(16)] + [length] for length in pixels.shape]
    means = np.array(
        [
            [pixels[a:b, c:d].mean() for c, d in zip(edges[1], edges[1][1:], strict=False)]
            for a, b in zip(edges[0], edges[0][1:], strict=False)
        ]
    ).ravel()
    np.testing.assert_allclose(thumbnail(pixels), (means - means.mean()) / means.std(), atol=1e-4)
    np.testing.assert_allclose(thumbnail(0.3 * pixels + 0.2), thumbnail(pixels), atol=1e-4)


@pytest.mark.parametrize(
    ("view", "position", "source"), [("lateral", "LATERAL", "predicted"), ("frontal", "unknown", "stated")]
)
def test_a_picture_without_a_view_is_called_a_lateral_or_stays_unknown(
    png: Callable[..., Path], view: str, position: str, source: str
) -> None:
    (study,), _ = studies_from_paths([png(array=(drawn(910_002, view) * 255).astype(np.uint8))])
    read, _ = with_pixels(study)
    assert read is not None
    assert (read.views[0].position, read.views[0].position_source) == (position, source)
    words = "LATERAL is a guess from the picture" if view == "lateral" else "projection not stated"
    assert any(words in flag.message for flag in view_flags(read, [0]) if flag.kind == "orientation")


def test_a_stated_view_is_believed_whatever_it_looks_like(dicom: Callable[..., Path]) -> None:
    stored = (drawn(910_003, "lateral") * 4095).astype(np.uint16)
    (study,), _ = studies_from_paths([dicom(stored=stored, ViewPosition="PA")])
    read, _ = with_pixels(study)
    assert read is not None
    assert (read.views[0].position, read.views[0].position_source) == ("PA", "stated")


@pytest.mark.data
def test_real_laterals_of_another_collection_are_mostly_found_and_real_frontals_are_not(shared_data: Path) -> None:
    folder = shared_data / "covid_chestxray"
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        views = {row["filename"]: row["view"] for row in csv.DictReader(file)}
    there = [path for path in sorted((folder / "images").iterdir()) if path.name in views]
    laterals = [read_image(path) for path in there if views[path.name] == "L"]
    frontals = [read_image(path) for path in there if views[path.name] == "PA"][:40]
    assert np.mean([looks_lateral(pixels) for pixels in laterals]) > 0.5
    assert np.mean([looks_lateral(pixels) for pixels in frontals]) < 0.05
