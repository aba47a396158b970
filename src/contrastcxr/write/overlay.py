"""Pictures and coarse maps as data URIs, so that a page is one file."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

from contrastcxr.form import Map

ATTENTION = (255, 176, 0)
APART = (230, 97, 0)
ALIKE = (64, 140, 255)
SATURATED_SHARE = 8.0
"""Attention of this many times an even share is drawn at full strength; an even share or less is not drawn."""

_STRONGEST = 0.72
_SMOOTH = 8


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
    return _tint(np.log(times_even) / math.log(SATURATED_SHARE), ATTENTION)


def contrast_uri(map_: Map, *, largest: float) -> str:
    """Return a transparent PNG of a contrast map: one colour apart from the normals, another alike.

    Args:
        map_: cosine of each patch with the difference from the normals.
        largest: magnitude drawn at full strength.
    """
    values = np.array(map_.rows) / max(largest, 1e-6)
    strength = _smooth(np.clip(np.abs(values), 0, 1))
    sign = _smooth(values) > 0
    colour = np.where(sign[..., None], np.array(APART), np.array(ALIKE))  # [h,w,1] -> [h,w,3]
    return _rgba(colour, strength)


def largest_contrast(maps: tuple[Map, ...]) -> float:
    """Return the largest magnitude over the maps of a study, 0 without maps."""
    return max((abs(value) for map_ in maps for row in map_.rows for value in row), default=0.0)


def _tint(strength: np.ndarray, colour: tuple[int, int, int]) -> str:
    smooth = _smooth(np.clip(strength, 0, 1))
    return _rgba(np.broadcast_to(np.array(colour), (*smooth.shape, 3)), smooth)


def _smooth(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    grid = Image.fromarray(values.astype(np.float32), mode="F")
    return np.asarray(grid.resize((width * _SMOOTH, height * _SMOOTH), Image.Resampling.BICUBIC))


def _rgba(colour: np.ndarray, strength: np.ndarray) -> str:
    alpha = np.rint(np.clip(strength, 0, 1) * _STRONGEST * 255)
    picture = Image.fromarray(np.concatenate([colour, alpha[..., None]], axis=-1).astype(np.uint8))
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return _uri(stream.getvalue(), "image/png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
