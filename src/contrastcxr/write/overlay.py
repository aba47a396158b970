"""Pictures and coarse maps as data URIs, so that a page is one file."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from contrastcxr.form import Map

Colour = tuple[int, int, int]

ATTENTION: Colour = (255, 176, 0)
APART: Colour = (230, 97, 0)
ALIKE: Colour = (64, 140, 255)
SEEN: Colour = (20, 205, 180)
SATURATED_SHARE = 8.0
"""Attention of this many times an even share is drawn at full strength; an even share or less is not drawn."""
NEARLY_EVEN = 2.0
"""Attention that nowhere reaches this many times an even share points at no place (ours)."""
FULL_CONTRAST = 0.7
"""Cosine drawn at full strength: one scale for every page, so that weak contrast looks weak (ours)."""
NEARLY_FLAT = 0.1
"""A contrast map whose cosines differ by less is the same everywhere (ours)."""

FULL_DIFFERENCE = 4.0
"""Times the average difference that is drawn at full strength; the average or less is not drawn (ours)."""

FULL_MAP = 1.0
"""Strength drawn in full in the map of a finding: one scale for every page and finding (ours)."""

_STRONGEST = 0.62
_SMOOTH = 16
_LARGEST = 512
"""Pixels along a side of a map beyond which it is smoothed less: its own cells are fine enough."""


def picture_uri(pixels: np.ndarray, *, max_side: int = 1024, quality: int = 88) -> str:
    """Return a grey JPEG of `pixels [H, W]` in [0, 1], reduced to at most `max_side`, as a data URI."""
    picture = Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return _uri(stream.getvalue(), "image/jpeg")


def attention_uri(map_: Map, *, cells: int) -> str:
    """Return a transparent PNG of attention, strong where a patch gets more than an even share.

    Args:
        map_: attention weights of one view.
        cells: patches that share the attention, those of the study's other views included.
    """
    weights = np.array(map_.rows)
    times_even = np.maximum(weights * cells, 1.0)
    strength = _smooth(np.log(times_even) / math.log(SATURATED_SHARE))
    return _tinted(np.clip(strength, 0, 1), above=ATTENTION, below=ATTENTION)


def contrast_uri(map_: Map) -> str:
    """Return a transparent PNG of a contrast map: one colour apart from the normals, another alike.

    Args:
        map_: cosine of each patch with the difference from the normals.
    """
    values = _smooth(np.array(map_.rows) / FULL_CONTRAST)
    return _tinted(np.clip(values, -1, 1), above=APART, below=ALIKE)


def difference_uri(map_: Map) -> str:
    """Return a transparent PNG of a difference from a negative, strong where a place weighs more than the average.

    Args:
        map_: weights of mean 1 over the view.
    """
    values = _smooth((np.array(map_.rows) - 1.0) / (FULL_DIFFERENCE - 1.0))
    return _tinted(np.clip(values, 0, 1), above=APART, below=APART)


def finding_map_uri(map_: Map) -> str:
    """Return a transparent PNG of a finding's map, strong where a localizer sees the finding.

    Args:
        map_: in [0, 1]; what lies outside is drawn like the nearer end.
    """
    values = _smooth(np.array(map_.rows) / FULL_MAP)
    return _tinted(np.clip(values, 0, 1), above=SEEN, below=SEEN)


def placed(map_: Map, src: str) -> dict[str, str | float]:
    """Return where the picture of a map lies, in pixels of the original view."""
    x1, y1, x2, y2 = map_.extent
    return {"src": src, "x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1}


def cells_of(maps: Sequence[Map]) -> int:
    """Return how many patches share one attention: those of all its views."""
    return sum(len(map_.rows) * len(map_.rows[0]) for map_ in maps)


def extremes(maps: Sequence[Map]) -> tuple[float, float]:
    """Return the least and the greatest value over some maps; (0, 0) without any."""
    values = [value for map_ in maps for row in map_.rows for value in row]
    return (min(values), max(values)) if values else (0.0, 0.0)


def _smooth(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    grid = Image.fromarray(values.astype(np.float32), mode="F")
    times = max(1, min(_SMOOTH, _LARGEST // max(height, width)))
    return np.asarray(grid.resize((width * times, height * times), Image.Resampling.BILINEAR))


def _tinted(values: np.ndarray, *, above: Colour, below: Colour) -> str:
    """Return a PNG of `values [h, w]` in [-1, 1].

    The sign chooses the colour, and the magnitude how much of it covers.
    """
    level = np.rint(values * 127).astype(int) + 128  # 1 … 255, 128 shows nothing
    picture = Image.fromarray(level.astype(np.uint8)).convert("P")
    picture.putpalette([part for i in range(256) for part in (above if i >= 128 else below)])
    cover = bytes(round(abs(i - 128) / 128 * _STRONGEST * 255) for i in range(256))
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True, transparency=cover)
    return _uri(stream.getvalue(), "image/png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
