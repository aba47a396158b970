"""From heat over a grid to rectangles in pixels of the model's picture, and the highest place.

Coordinates are continuous, as in `data.transforms`: pixel `i` covers `[i, i + 1)` and its centre is `i + 0.5`;
cells share a picture evenly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Rectangle = tuple[float, float, float, float]
"""`[x1, y1, x2, y2]` in pixels of a picture: the model's, until `regions.in_original` maps it."""

_EIGHT = np.ones((3, 3), dtype=bool)
_TIE = 1e-6


def wang_region(heat: np.ndarray, shape: tuple[int, int], *, cuts: Sequence[float]) -> tuple[Rectangle, ...]:
    """Return the bounding boxes of the 8-connected components above each cut, in pixels of the model's picture.

    The heat is upsampled bilinearly to `shape` and scaled from its least and greatest value to [0, 255] (Wang et
    al. 2017).  Heat that is the same everywhere, or not a number somewhere, marks nothing.

    Args:
        heat: `[rows, columns]`, of any scale.
        shape: (H, W) of the model's picture.
        cuts: of 255; a pixel is above one, not at it.
    """
    scaled = _in_range(heat, shape)
    if scaled is None:
        return ()
    return tuple(box for cut in cuts for box in _bounding_boxes(ndimage.label(scaled > cut, _EIGHT)[0]))


def components_above(
    heat: np.ndarray, shape: tuple[int, int], *, cut: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the boxes `[R, 4]` of `wang_region` above one cut, and the mean scaled heat of each component, `[R]`.

    The means are in [0, 1]: what `regions.chosen_regions` weighs the boxes by.
    """
    scaled = _in_range(heat, shape)
    if scaled is None:
        return np.zeros((0, 4)), np.zeros(0)
    labels, count = ndimage.label(scaled > cut, _EIGHT)
    means = ndimage.mean(scaled, labels, range(1, count + 1)) if count else ()
    return np.reshape(_bounding_boxes(labels), (-1, 4)).astype(np.float64), np.asarray(means, np.float64) / 255


def _in_range(heat: np.ndarray, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return heat upsampled to `shape` and scaled to [0, 255]; None where it marks nothing."""
    if not _varies(heat):
        return None
    picture = upsampled(heat, shape)
    low, high = float(picture.min()), float(picture.max())
    if low == high:  # a fine grid that varies only between the pixels
        return None
    return (picture - low) * (255 / (high - low))


def cells_region(mask: np.ndarray, shape: tuple[int, int]) -> tuple[Rectangle, ...]:
    """Return marked cells as few rectangles that do not overlap, in pixels of the model's picture.

    Runs along a row are joined with equal runs of the rows right below.

    Args:
        mask: `[rows, columns]` bool.
        shape: (H, W) of the model's picture, which the cells share evenly.
    """
    rows, columns = mask.shape
    y, x = shape[0] / rows, shape[1] / columns
    return tuple((x * x1, y * y1, x * x2, y * y2) for x1, y1, x2, y2 in blocks(mask))


def peak(heat: np.ndarray, shape: tuple[int, int]) -> tuple[float, float] | None:
    """Return the highest place (x, y) of the upsampled heat, in pixels of the model's picture.

    It is the centre of a pixel; of several connected ones that are equally high, the one nearest their middle.
    None where the heat is the same everywhere.
    """
    if not _varies(heat):
        return None
    picture = upsampled(heat, shape)
    labels, _ = ndimage.label(picture >= picture.max() - _TIE * np.ptp(picture), _EIGHT)
    places = np.argwhere(labels == labels.flat[picture.argmax()])  # [n,2], row and column
    row, column = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return float(column) + 0.5, float(row) + 0.5


def upsampled(heat: np.ndarray, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return `heat [rows, columns]` as `[H, W]`: linear between the centres of cells, level beyond the last."""
    if heat.shape == shape:
        return heat.astype(np.float64)
    rows, columns = (_weights(cells, side) for cells, side in zip(heat.shape, shape, strict=True))
    picture: NDArray[np.float64] = rows @ heat.astype(np.float64) @ columns.T  # [H,r] [r,c] [c,W] -> [H,W]
    return picture


def _varies(heat: np.ndarray) -> bool:
    return bool(np.isfinite(heat).all() and np.ptp(heat) > 0)


def _weights(cells: int, side: int) -> NDArray[np.float64]:
    """Return `[side, cells]`: how much of each cell a pixel takes along one axis."""
    places = np.clip((np.arange(side) + 0.5) * cells / side - 0.5, 0, cells - 1)
    apart: NDArray[np.float64] = np.abs(places[:, None] - np.arange(cells))  # [side,1] and [cells] -> [side,cells]
    return (1 - apart).clip(0)


def _bounding_boxes(labels: np.ndarray) -> list[Rectangle]:
    """Return the box of each component, in the order of the labels."""
    return [
        (float(x.start), float(y.start), float(x.stop), float(y.stop)) for y, x in ndimage.find_objects(labels)
    ]


def blocks(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Return `(x1, y1, x2, y2)` in cells, from the top: each a run of marked cells, over the rows that have it."""
    closed: list[tuple[int, int, int, int]] = []
    open_since: dict[tuple[int, int], int] = {}
    for y, runs in enumerate([*_runs(mask), []]):
        for x1, x2 in [run for run in open_since if run not in runs]:
            closed.append((x1, open_since.pop((x1, x2)), x2, y))
        for run in runs:
            open_since.setdefault(run, y)
    return closed


def _runs(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return for each row the first marked cell of each run, and the first behind it."""
    padded = np.pad(np.asarray(mask, dtype=bool), ((0, 0), (1, 1)))
    rows, steps = np.nonzero(padded[:, 1:] != padded[:, :-1])  # where runs begin and end, in turn
    found: list[list[tuple[int, int]]] = [[] for _ in mask]
    for row, start, stop in zip(rows[::2].tolist(), steps[::2].tolist(), steps[1::2].tolist(), strict=True):
        found[row].append((start, stop))
    return found
