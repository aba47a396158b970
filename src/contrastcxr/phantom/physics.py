"""From attenuation to a displayed picture: Beer-Lambert, scatter, blur, noise, logarithm, sharpening, tone."""

# NumPy's types make Any of a scalar times an array.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np
from scipy import ndimage

from contrastcxr.phantom.grid import DETECTOR_MM, FIELD_MM, Grid
from contrastcxr.phantom.shapes import interpolate
from contrastcxr.phantom.truth import Array, Pose, Technique

COARSE = 64


def signal(attenuation: Array, technique: Technique, *, pitch: float) -> Array:
    """Return the detector signal of the beam: transmitted light plus scatter, blurred by the detector.

    Air is 1.
    """
    total = np.negative(attenuation)
    np.exp(total, out=total)
    scatter = low_pass(total, technique.scatter_mm / pitch)
    scatter *= np.float32(technique.scatter)
    total += scatter
    total += np.float32(0.004)
    sigma = technique.blur_mm / pitch
    return ndimage.gaussian_filter(total, sigma, truncate=2.5) if sigma > 0.25 else total


def expose(attenuation: Array, technique: Technique, pose: Pose, *, pitch: float) -> Array:
    """Return minus the logarithm of the signal, with quantum noise added before the logarithm."""
    light = signal(attenuation, technique, pitch=pitch)
    rng = np.random.default_rng(technique.noise_seed)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    if pose.mirrored:
        noise = noise[:, ::-1]
    quanta = np.float32(technique.photons_per_mm2 * pitch * pitch)
    spread = light / quanta
    np.sqrt(spread, out=spread)
    spread *= noise
    light += spread
    np.maximum(light, np.float32(1e-3), out=light)
    np.log(light, out=light)
    return np.negative(light, out=light)


def low_pass(field: Array, sigma: float) -> Array:
    """Return a wide Gaussian blur computed on a coarse grid (fine detail cannot survive it)."""
    size = field.shape[0]
    factor = max(1, size // COARSE)
    small = field[: size // factor * factor, : size // factor * factor]
    small = small.reshape(size // factor, factor, size // factor, factor).mean((1, 3))
    blurred = ndimage.gaussian_filter(small, max(sigma / factor, 0.3), mode="nearest", truncate=2.5)
    return interpolate(blurred, size)


def sharpen(picture: Array, technique: Technique, *, pitch: float) -> Array:
    """Return the picture after an unsharp mask: what a wide blur leaves out is added again."""
    soft = low_pass(picture, technique.sharpen_mm / pitch)
    detail = np.subtract(picture, soft, out=soft)
    detail *= np.float32(technique.sharpen)
    detail += picture
    return detail


def tone(picture: Array, technique: Technique, grid: Grid) -> Array:
    """Return display values in [0, 1]: window between jittered percentiles of the field, gamma, soft shoulder."""
    edge, step = grid.size // 6, max(1, grid.size // 128)
    inner = picture[edge : grid.size - edge : step, edge : grid.size - edge]
    low, high = np.percentile(inner, [4.0, 97.0])
    span = max(float(high - low), 0.2)
    u = picture - np.float32(low - technique.black * span)
    u /= np.float32((1 + technique.black + technique.white) * span)
    np.clip(u, 0, 1, out=u)
    np.power(u, np.float32(technique.gamma), out=u)
    k = np.float32(technique.shoulder)
    rest = k * u
    rest += 1
    u *= 1 + k
    u /= rest
    return u


def collimate(picture: Array, technique: Technique, grid: Grid, *, mirrored: bool) -> Array:
    """Darken what lies outside the detector and the collimator's leaves."""
    position = (np.arange(grid.size, dtype=np.float32) + 0.5) * grid.pitch - FIELD_MM / 2
    left, right, top, bottom = technique.collimation_mm
    if mirrored:
        left, right = right, left
    half_w, half_h = DETECTOR_MM[0] / 2, DETECTOR_MM[1] / 2
    across = np.minimum(position + half_w - left, half_w - right - position)
    along = np.minimum(position + half_h - top, half_h - bottom - position)
    gate_x = np.clip(across * np.float32(0.7) + 0.5, 0, 1)
    gate_y = np.clip(along * np.float32(0.7) + 0.5, 0, 1)
    picture *= gate_x[None, :]
    picture *= gate_y[:, None]
    return picture
