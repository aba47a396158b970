"""From the heat of a localizer to what a reading marks: a region, its components as boxes, and the highest place.

A region is rectangles whose union is meant; they may overlap.  Coordinates are those of `heat`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contrastcxr.data.transforms import Affine, invert, map_box, map_boxes, map_points
from contrastcxr.form import Attribute, Box, Point
from contrastcxr.metrics.detection import components
from contrastcxr.reading.evidence import PatchGrid
from contrastcxr.reading.heat import (
    Rectangle,
    blocks,
    cells_region,
    components_above,
    peak,
    wang_region,
)

if TYPE_CHECKING:
    from contrastcxr.models.heads.base import Marking

RASTER = 512
"""Places along the longer side of an original on which a rotated region is drawn, so that edges of originals
of up to 1,024 pixels move by at most one (ours)."""

KEPT_SHARE, KEPT_OVERLAP, KEPT_MOST = 0.5, 0.3, 3
"""Of the regions that are marked: weight in shares of the heaviest, overlap of any two, number."""

_DECIMALS = 2
_SCORE_DECIMALS = 4
_STRAIGHT = 1e-6
"""Radians below which an affine does not rotate: a few thousandths of a pixel."""


@dataclass(frozen=True, eq=False)
class RegionWords:
    """Words for the regions of one study, as in `AttributeAnswer`."""

    names: tuple[str, ...]
    probabilities: np.ndarray  # [A]
    attention: np.ndarray  # [R, A]


@dataclass(frozen=True, eq=False)
class StudyRegions:
    """The regions of one study that a localizer chooses from for one finding, as in `RegionMarks`."""

    boxes: np.ndarray  # [R, 4]
    weights: np.ndarray  # [R]
    views: np.ndarray  # [R]
    words: RegionWords | None = None


@dataclass(frozen=True)
class MarkedPlaces:
    """What a localizer marks of one finding, in pixels of the original views.

    Attributes:
        region: rectangles whose union is marked; what is scored.
        boxes: bounding boxes of the region's components, for people.
        peak: the highest place; None where the heat is the same everywhere.
        height: the heat there, before it is scaled; compares the views of a study.
        attributes: words for the boxes.
    """

    region: tuple[Box, ...] = ()
    boxes: tuple[Box, ...] = ()
    peak: Point | None = None
    height: float = -math.inf
    attributes: tuple[Attribute, ...] = ()


def wang_marks(
    heat: np.ndarray,
    *,
    view: int,
    affine: Affine,
    size: int,
    cuts: Sequence[float],
    shape: tuple[int, int] | None = None,
) -> MarkedPlaces:
    """Return what Wang et al. 2017 mark of one finding in one view.

    Args:
        heat: `[rows, columns]`, of any scale.
        view: index into the study's views.
        affine: `[2, 3]`, model pixels to original pixels.
        size: side of the model's picture.
        cuts: of 255.
        shape: (H, W) of the original; None where the model's picture covers all of it.
    """
    return _placed(
        wang_region(heat, (size, size), cuts=cuts),
        peak(heat, (size, size)),
        float(np.max(heat)),
        view=view,
        affine=affine,
        shape=shape or covered(affine, size),
    )


def cell_marks(
    heat: np.ndarray,
    *,
    view: int,
    affine: Affine,
    size: int,
    shape: tuple[int, int] | None = None,
    cut: float = 0.5,
) -> MarkedPlaces:
    """Return the cells of one view whose heat is above the cut, and the highest of them all (paper B §3.3).

    Args are those of `wang_marks`, but for the cut, which is in units of the heat.
    """
    rows, columns = heat.shape
    place = peak(heat, heat.shape)
    return _placed(
        cells_region(heat > cut, (size, size)),
        None if place is None else (place[0] * size / columns, place[1] * size / rows),
        float(np.max(heat)),
        view=view,
        affine=affine,
        shape=shape or covered(affine, size),
    )


def marks_of(
    heat: Mapping[str, np.ndarray],
    places: Sequence[PatchGrid],
    affines: np.ndarray,
    *,
    size: int,
    cuts: Sequence[float],
    marking: Marking,
) -> dict[str, MarkedPlaces]:
    """Return what is marked of each finding in all views of a study.

    Args:
        heat: `[V n]` of each finding, over the cells of all views.
        places: where the cells of each real view lie.
        affines: `[V, 2, 3]`, model pixels to original pixels; those of padded views come last.
        size: side of the model's picture.
        cuts: see `FindingMaps`.
        marking: of what they are heights.
    """
    views = list(zip(places, affines, strict=False))  # padded views have no place
    return {
        name: view_marks(
            [ViewHeat(at.cells(values), at.view, affine, at.shape) for at, affine in views],
            size=size,
            cuts=cuts,
            marking=marking,
        )
        for name, values in heat.items()
    }


@dataclass(frozen=True, eq=False)
class ViewHeat:
    """Heat of one finding over one view.

    Attributes:
        heat: `[rows, columns]`, of any scale.
        view: index into the study's views.
        affine: `[2, 3]`, model pixels to original pixels.
        shape: (H, W) of the original; None where the model's picture covers all of it.
    """

    heat: np.ndarray
    view: int
    affine: Affine
    shape: tuple[int, int] | None


def view_marks(views: Sequence[ViewHeat], *, size: int, cuts: Sequence[float], marking: Marking) -> MarkedPlaces:
    """Return what is marked of one finding in the views of a study; the rest is as of `marks_of`."""
    if marking == "regions":
        return component_marks(views, size=size, cut=cuts[0])
    marked = partial(cell_marks, cut=cuts[0]) if marking == "cells" else partial(wang_marks, cuts=cuts)
    return together([marked(v.heat, view=v.view, affine=v.affine, size=size, shape=v.shape) for v in views])


def component_marks(views: Sequence[ViewHeat], *, size: int, cut: float) -> MarkedPlaces:
    """Return the chosen ones of the components above a cut, each of which weighs its mean heat.

    Heat is in the range of its view, and they are chosen over all views together (`chosen_regions`). The peak is
    the highest place, as in `wang_marks`, and not the middle of the first.

    Args:
        views: of a study.
        size: side of the model's picture.
        cut: of 255 of a view's range.
    """
    found = [components_above(view.heat, (size, size), cut=cut) for view in views]
    if not found:
        return MarkedPlaces()
    highest = together([_placed_peak(view, size) for view in views])
    regions = StudyRegions(
        np.concatenate([boxes for boxes, _ in found]),
        np.concatenate([weights for _, weights in found]),
        np.repeat(np.arange(len(found)), [len(weights) for _, weights in found]),
    )
    chosen = region_marks(
        regions,
        view_index=[view.view for view in views],
        affines=np.stack([view.affine for view in views]),
        size=size,
        shapes=[view.shape for view in views],
    )
    return replace(chosen, peak=highest.peak, height=highest.height)


def _placed_peak(view: ViewHeat, size: int) -> MarkedPlaces:
    """Return the highest place of a view, and no region."""
    return _placed(
        (),
        peak(view.heat, (size, size)),
        float(np.max(view.heat)),
        view=view.view,
        affine=view.affine,
        shape=view.shape or covered(view.affine, size),
    )


def chosen_regions(boxes: np.ndarray, weights: np.ndarray, views: np.ndarray) -> NDArray[np.int64]:
    """Return which regions are marked, the heaviest first: one rule for every localizer that weighs some (ours).

    Those that weigh at least half of the heaviest, no two of one view with an IoU above .3, three at most.

    Args:
        boxes: `[R, 4]`.
        weights: `[R]`; 0 where there is no region.
        views: `[R]`, which view each is in.
    """
    import torch
    from torchvision.ops import batched_nms

    heavy = np.flatnonzero((weights > 0) & (weights >= KEPT_SHARE * weights.max(initial=0.0)))
    of_heavy = (torch.from_numpy(each[heavy]) for each in (boxes, weights, views))
    kept: NDArray[np.int64] = heavy[batched_nms(*of_heavy, KEPT_OVERLAP).numpy()[:KEPT_MOST]]
    return kept


def region_marks(
    regions: StudyRegions,
    *,
    view_index: Sequence[int],
    affines: np.ndarray,
    size: int,
    shapes: Sequence[tuple[int, int] | None] = (),
) -> MarkedPlaces:
    """Return what is marked of one finding by a localizer that weighs regions: the chosen ones, heaviest first.

    The score of a box is its weight in shares of the heaviest. A region that is drawn on the original in pieces
    has none.

    Args:
        regions: of a study, in pixels of the model's pictures, with their words if they have any.
        view_index: which view of the study each of the V is.
        affines: `[V, 2, 3]`, model pixels to original pixels.
        size: side of the model's picture.
        shapes: (H, W) of the originals; none where the model's pictures cover all of them.
    """
    region: list[Box] = []
    bounds: list[Box] = []
    placed: list[int] = []
    for place in chosen_regions(regions.boxes, regions.weights, regions.views).tolist():
        at = int(regions.views[place])
        shape = (shapes[at] if shapes else None) or covered(affines[at], size)
        corners = _rectangle(regions.boxes[place, :2], regions.boxes[place, 2:])
        pieces = in_original([corners], affines[at], shape)
        if not pieces:
            continue
        score = float(regions.weights[place] / regions.weights.max())
        whole = np.array(pieces)
        bound = _rectangle(whole[:, :2].min(axis=0), whole[:, 2:].max(axis=0))
        shown = score if len(pieces) == 1 else None
        region += [Box(view=view_index[at], xyxy=piece, score=shown) for piece in pieces]
        bounds.append(Box(view=view_index[at], xyxy=bound, score=score))
        placed.append(place)
    if not bounds:
        return MarkedPlaces(attributes=_attributes(regions.words, placed))
    x1, y1, x2, y2 = bounds[0].xyxy
    peak_there = Point(view=bounds[0].view, xy=((x1 + x2) / 2, (y1 + y2) / 2))
    height = float(regions.weights.max())
    return MarkedPlaces(tuple(region), tuple(bounds), peak_there, height, _attributes(regions.words, placed))


def _attributes(words: RegionWords | None, places: Sequence[int]) -> tuple[Attribute, ...]:
    """Return the words of a study, with how much of each stands in the regions at these places."""
    if words is None:
        return ()
    shares = np.round(words.attention[list(places)].T.astype(np.float64), _SCORE_DECIMALS)  # [A, chosen]
    return tuple(
        Attribute(name=name, probability=round(float(p), _SCORE_DECIMALS), weights=tuple(of.tolist()))
        for name, p, of in zip(words.names, words.probabilities, shares, strict=True)
    )


def _placed(
    region: Sequence[Rectangle],
    place: tuple[float, float] | None,
    height: float,
    *,
    view: int,
    affine: Affine,
    shape: tuple[int, int],
) -> MarkedPlaces:
    """Return a region and the highest place, both in model pixels, as parts of a reading."""
    found = in_original(region, affine, shape)
    return MarkedPlaces(
        region=tuple(Box(view=view, xyxy=each) for each in found),
        boxes=tuple(Box(view=view, xyxy=each) for each in components(found)),
        peak=None if place is None else Point(view=view, xy=_point(place, affine, shape)),
        height=-math.inf if place is None else height,
    )


def together(views: Sequence[MarkedPlaces]) -> MarkedPlaces:
    """Return the marks of all views of a study as one; the peak is that of the view with the highest heat."""
    highest = max(views, key=lambda each: each.height, default=MarkedPlaces())
    return MarkedPlaces(
        region=tuple(box for each in views for box in each.region),
        boxes=tuple(box for each in views for box in each.boxes),
        peak=highest.peak,
        height=highest.height,
    )


def in_original(region: Sequence[Rectangle], affine: Affine, shape: tuple[int, int]) -> tuple[Rectangle, ...]:
    """Return rectangles of the model's picture in pixels of the original, without what lies outside of it.

    Where the picture was rotated, the union of them is drawn on a raster of the original: each place takes what
    the model's picture has at its centre, so that an edge moves by half a place at most (ours).

    Args:
        region: in pixels of the model's picture.
        affine: `[2, 3]`, model pixels to original pixels.
        shape: (H, W) of the original.
    """
    if not _straight(affine):
        return _drawn(region, affine, shape)
    if not region:
        return ()
    mapped = np.round(map_boxes(affine, np.array(region)), _DECIMALS)
    clipped = mapped.clip(0.0, (shape[1], shape[0], shape[1], shape[0]))
    return tuple(_rectangle(each[:2], each[2:]) for each in clipped if (each[:2] < each[2:]).all())


def _straight(affine: Affine) -> bool:
    linear = np.abs(affine[:, :2])
    return bool(max(linear[0, 1], linear[1, 0]) <= _STRAIGHT * min(linear[0, 0], linear[1, 1]))


def _drawn(region: Sequence[Rectangle], affine: Affine, shape: tuple[int, int]) -> tuple[Rectangle, ...]:
    step = max(*shape, RASTER) / RASTER
    rows, columns = (max(round(side / step), 1) for side in shape)
    tall, wide = shape[0] / rows, shape[1] / columns
    if not region:
        return ()
    places = map_boxes(affine, np.array(region)) / (wide, tall, wide, tall)
    low = np.floor(places[:, :2]).clip(0, (columns, rows)).astype(int)
    high = np.ceil(places[:, 2:]).clip(0, (columns, rows)).astype(int)
    left, top = low.min(axis=0).tolist()
    right, bottom = high.max(axis=0).tolist()
    x, y = (np.arange(left, right) + 0.5) * wide, (np.arange(top, bottom)[:, None] + 0.5) * tall
    # where each place lies in the model's picture
    u, v = (row[0] * x + row[1] * y + row[2] for row in invert(affine))
    mask = np.zeros(u.shape, dtype=bool)
    for (x1, y1, x2, y2), (first, above), (last, below) in zip(region, low.tolist(), high.tolist(), strict=True):
        window = slice(above - top, below - top), slice(first - left, last - left)
        mask[window] |= (u[window] >= x1) & (u[window] < x2) & (v[window] >= y1) & (v[window] < y2)
    pieces = np.array(blocks(mask)).reshape(-1, 4) + np.array((left, top, left, top))
    drawn = np.round(pieces * (wide, tall, wide, tall), _DECIMALS)
    return tuple(_rectangle(each[:2], each[2:]) for each in drawn)


def covered(affine: Affine, size: int) -> tuple[int, int]:
    """Return the (H, W) of an original that the model's picture covers exactly."""
    _, _, width, height = map_box(affine, (0.0, 0.0, float(size), float(size)))
    return round(height), round(width)


def _rectangle(first: Sequence[float] | np.ndarray, last: Sequence[float] | np.ndarray) -> Rectangle:
    return float(first[0]), float(first[1]), float(last[0]), float(last[1])


def _point(place: tuple[float, float], affine: Affine, shape: tuple[int, int]) -> tuple[float, float]:
    (mapped,) = map_points(affine, np.array([place]))
    x, y = np.clip(np.round(mapped, _DECIMALS), 0.0, (shape[1], shape[0]))
    return float(x), float(y)
