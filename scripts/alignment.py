"""How well an aligner aligns: corners of phantoms whose pose is known, and lungs of pictures that have masks.

    python scripts/alignment.py RUN phantoms --studies 100
    python scripts/alignment.py RUN poses --studies 100
    python scripts/alignment.py RUN lungs --images FOLDER --masks semantic_masks_v7labs_lungs.zip

Each is printed beside what two alignments give that look at no picture: none (`identity`), and the crop of the
canonical chest (`crop`), which is the same for all. `poses` draws each of a tenth of the phantoms in the poses of
ten others, so that what is asked for is the pose and not the person. The results are in docs/alignment.md.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.data.pixels import load_file
from contrastcxr.data.readers.lung_masks import LungMasks
from contrastcxr.data.sources import parse_data
from contrastcxr.data.transforms import resize
from contrastcxr.files import default_cache
from contrastcxr.models.align.aligner import Aligner
from contrastcxr.models.align.canonical import crop_matrix
from contrastcxr.models.align.pose import beyond, pose_matrix, pose_of, warp, within_bounds
from contrastcxr.phantom.grid import pixel_affine
from contrastcxr.phantom.locators import parse_locator, phantom_parameters
from contrastcxr.phantom.outlines import outlines
from contrastcxr.phantom.rendering import render
from contrastcxr.phantom.truth import PhantomParameters
from contrastcxr.store.studies import list_studies

POSES = 10
"""In how many each person is drawn."""
SIDE = 256
"""Pixels that errors are given in, and of masks."""
HALF_WIDTH, HALF_HEIGHT = 140.0, 150.0
"""Of a box in the anatomy, in mm round its origin: its corners tell the pose alone."""
PARAMETERS = ("shift x, % of side", "shift y, % of side", "scale x, %", "scale y, %", "turn, degrees")


def poses_of(aligner: Aligner, pictures: Sequence[NDArray[np.float32]]) -> Tensor:
    """Return the poses `[n, 5]`, the identity where one leaves its bounds."""
    with torch.no_grad():
        poses = torch.cat([aligner.eval()(torch.from_numpy(resize(p, SIDE))[None]) for p in pictures])
    print(f"{int(beyond(poses).sum())} of {len(poses)} poses leave their bounds")
    return within_bounds(poses).double()


def corners(drawn: PhantomParameters) -> dict[str, Tensor]:
    """Return affines `[2, 3]` to the picture's [-1, 1] from those of two boxes, of fixed size and round the lungs.

    Lungs are larger or smaller and more or less full, which alignment makes up for, and which no pose is.
    """
    places = pixel_affine(drawn.pose, size=2)  # a picture of two pixels a side, whose centres are at 0 and 1
    places[:, 2] -= 0.5
    outline = outlines(drawn.patient, drawn.pose.inspiration_ribs)
    dome = (outline.dome_right + outline.dome_left) / 2
    half, middle = (dome - outline.apex) / 2, (dome + outline.apex) / 2
    boxes = {
        "pose": np.diag([HALF_WIDTH, HALF_HEIGHT, 1.0]),
        "lungs": np.array([[drawn.patient.half_width, 0.0, 0.0], [0.0, half, middle], [0.0, 0.0, 1.0]]),
    }
    return {name: torch.from_numpy(places @ box) for name, box in boxes.items()}


def alignments(aligner: Aligner, poses: Tensor) -> dict[str, Tensor]:
    """Return by name the affines `[n, 2, 3]` from an aligned picture to the picture."""
    count = len(poses)
    return {
        "identity": pose_matrix(torch.zeros(count, 5, dtype=torch.float64)),
        "crop": crop_matrix(aligner.crop).expand(count, 2, 3),
        "aligned": pose_matrix(poses),
    }


def applied(matrix: Tensor, points: Tensor) -> Tensor:
    """Return points `[..., k, 2]` moved by `matrix [..., 2, 3]`."""
    return points @ matrix[..., :2].mT + matrix[..., None, :, 2]


def measure_phantoms(aligner: Aligner, *, source: str, studies: int, level: float) -> dict[str, object]:
    """Measure how far corners lie from where aligned pictures have them on average.

    What looks at no picture has one error, whatever it is: only the identity is printed.
    """
    found = read_parameters(source, studies)
    return measure(aligner, found, torch.zeros(len(found), dtype=torch.long), level=level)


def measure_poses(aligner: Aligner, *, source: str, studies: int, level: float) -> dict[str, object]:
    """Measure how far corners lie from where aligned pictures of the same person have them on average.

    Everybody keeps their own breath, which changes lungs.
    """
    found = read_parameters(source, studies)
    people = found[: max(1, studies // POSES)]
    others = [found[(POSES * n + k) % len(found)].pose for n in range(len(people)) for k in range(POSES)]
    turned = [
        replace(person, pose=replace(other, inspiration_ribs=person.pose.inspiration_ribs))
        for person, other in zip((p for p in people for _ in range(POSES)), others, strict=True)
    ]
    return measure(aligner, turned, torch.arange(len(people)).repeat_interleave(POSES), level=level)


def read_parameters(source: str, studies: int) -> list[PhantomParameters]:
    """Return what the first studies of a source of phantoms are drawn from."""
    views = [study.views[0] for study in list_studies(parse_data(source), cache=default_cache())[:studies]]
    return [phantom_parameters(parse_locator(str(view.locator))[0]) for view in views]


def measure(
    aligner: Aligner, found: Sequence[PhantomParameters], group: Tensor, *, level: float
) -> dict[str, object]:
    """Return the errors of phantoms as they are and aligned; a `group [n]` shares the places of corners."""
    boxes = [corners(drawn) for drawn in found]
    ways = alignments(aligner, poses_of(aligner, [render(drawn, size=512).pixels for drawn in found]))
    result: dict[str, object] = {"pictures": len(found)}
    for name in ("identity", "aligned"):
        for box in ("pose", "lungs"):
            truth = torch.stack([each[box] for each in boxes])
            result[f"{name}, {box}"] = corner_errors(ways[name], truth, group, level=level)
    return result


def average_by_group(values: Tensor, group: Tensor) -> Tensor:
    """Return for each of `values [n, ...]` the mean of those of its group."""
    means = torch.stack([values[group == each].mean(0) for each in range(int(group.max()) + 1)])
    return means[group]


def corner_errors(matrices: Tensor, truth: Tensor, group: Tensor, *, level: float) -> dict[str, object]:
    """Return the mean error of the corners, in pixels, and of each parameter, of affines `[n, 2, 3]`."""
    box = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    seen = applied(truth, box)  # [n, 4, 2]
    place = average_by_group(applied(_inverted(matrices), seen), group)  # where aligned pictures have the corners
    apart = (applied(matrices, place) - seen).norm(dim=-1) * SIDE / 2
    return {
        "corner error, pixels": round(float(apart.mean()), 2),
        "interval": interval(apart.mean(1), level=level),
        **parameter_errors(matrices, truth, group),
    }


def parameter_errors(matrices: Tensor, truth: Tensor, group: Tensor) -> dict[str, float]:
    """Return the mean absolute error of each parameter about its own mean: the frame of the chest is nobody's."""
    left = pose_of(_after(_inverted(matrices), truth))  # what is left of the pose once aligned, [n, 5]
    apart = (left - average_by_group(left, group)).abs().mean(0) * torch.tensor([50, 50, 100, 100, 180 / math.pi])
    return dict(zip(PARAMETERS, (round(float(value), 2) for value in apart), strict=True))


def _inverted(matrix: Tensor) -> Tensor:
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat([linear, -linear @ matrix[..., 2:]], dim=-1)


def _after(outer: Tensor, inner: Tensor) -> Tensor:
    return torch.cat([outer[..., :2] @ inner[..., :2], outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], dim=-1)


def measure_lungs(aligner: Aligner, *, images: Path, masks: Path, level: float) -> dict[str, object]:
    """Measure how much each picture's lungs overlap with the mean mask of all, as they are and aligned."""
    pictures, found = zip(*_with_masks(images, LungMasks(masks)), strict=True)
    stack = torch.from_numpy(np.stack(found)).double()[:, None]  # [n, 1, SIDE, SIDE]
    result: dict[str, object] = {"pictures": len(found)}
    ways = alignments(aligner, poses_of(aligner, pictures))
    # What is cut off cannot miss the mean mask: with the crop undone the frame is that of the pictures themselves.
    ways["aligned, uncropped"] = _after(ways["aligned"], _inverted(ways["crop"]))
    for name, matrices in ways.items():
        moved = warp(stack, matrices)[:, 0] > 0.5
        mean = moved.double().mean(0) > 0.5
        overlap = (moved & mean).sum((1, 2)) / (moved | mean).sum((1, 2)).clamp_min(1)
        kept_share = moved.sum((1, 2)) * torch.linalg.det(matrices[..., :2]) / (stack[:, 0] > 0.5).sum((1, 2))
        result[name] = {
            "IoU with the mean mask": round(float(overlap.mean()), 4),
            "interval": interval(overlap, level=level),
            "share of the lungs inside": round(float(kept_share.clamp(max=1).mean()), 3),
        }
    return result


def _with_masks(images: Path, masks: LungMasks) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    for path in sorted(p for p in images.rglob("*") if p.name in masks):
        mask = masks.mask(path.name, size=(SIDE, SIDE))
        if mask is not None and mask.any():
            yield load_file(path), mask.astype(np.float64)


def interval(values: Tensor, *, level: float, draws: int = 1000) -> list[float]:
    """Return the bootstrap interval of a mean over pictures."""
    rng = np.random.default_rng(0)
    each = values.numpy()
    means = each[rng.integers(0, len(each), (draws, len(each)))].mean(1)
    return [round(float(v), 4) for v in np.quantile(means, [(1 - level) / 2, (1 + level) / 2])]


def main() -> None:
    """Print one of the three measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder or checkpoint of an aligner, or of a system with one")
    parser.add_argument("what", choices=("phantoms", "poses", "lungs"))
    parser.add_argument("--data", default="phantom:standard/test?seed=1", help="phantoms to measure")
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--images", type=Path, help="folder of radiographs")
    parser.add_argument("--masks", type=Path, help="archive or folder of their lung masks")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals")
    asked = parser.parse_args()
    aligner = load_checkpoint(asked.run).aligner()
    if aligner is None:
        parser.error(f"{asked.run}: its system aligns nothing; give the run of an aligner")
    if asked.what == "phantoms":
        result = measure_phantoms(aligner, source=asked.data, studies=asked.studies, level=asked.level)
    elif asked.what == "poses":
        result = measure_poses(aligner, source=asked.data, studies=asked.studies, level=asked.level)
    elif asked.images is None or asked.masks is None:
        parser.error("lungs need --images and --masks")
    else:
        result = measure_lungs(aligner, images=asked.images, masks=asked.masks, level=asked.level)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
