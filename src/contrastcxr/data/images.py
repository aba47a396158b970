"""PNG and JPEG radiographs: 8 or 16 bit, grey or grey kept as colour.

A picture is refused before it is decoded when its header names an absurd size, and afterwards when it is coloured
or constant. The limits are ours: radiographs have sides of about 200 to 6,000 pixels, and those of the NIH, IU and
COVID-19 collections that are kept as colour have three equal channels.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from contrastcxr.data.no_warnings import no_warnings
from contrastcxr.data.sniff import sniff
from contrastcxr.errors import ImageError

MIN_SIDE = 32
MAX_SIDE = 10_000
MAX_PIXELS = 64_000_000
MIN_RANGE = 4 / 255
"""A picture whose darkest and brightest value are closer than this shows nothing."""
COLOUR_SPREAD = 32
"""Difference between a pixel's largest and smallest channel (of 255) from which it counts as coloured."""
COLOUR_SHARE = 0.05
"""Share of coloured pixels from which a picture is a colour picture; arrows and labels stay below."""

_TRANSPOSED = (5, 6, 7, 8)
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError)


def read_image(path: Path) -> np.ndarray:
    """Return the upright picture, `[H, W]` float32 in [0, 1], bright as in the file.

    Sixteen-bit values are divided by the smallest of 2^8 − 1, 2^10 − 1, 2^12 − 1, 2^14 − 1 and 2^16 − 1 that holds
    their maximum, because such files often carry 10 to 14 bits (ours).

    Raises:
        ImageError: not a PNG or JPEG, truncated, too small or large, coloured, or constant.
    """
    with _opened(path) as image:
        of_16_bits = ";16" in _raw_mode(image)  # asked first, since loading forgets it
        upright = ImageOps.exif_transpose(image) if _orientation(image) else image
        grey = _grey(upright, path, of_16_bits=of_16_bits)
    check_picture(grey, str(path))
    return grey


def image_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of the upright picture from its header alone.

    Raises:
        ImageError: not a PNG or JPEG, or a side beyond the limits.
    """
    with _opened(path) as image:
        width, height = image.size
        turned = _orientation(image) in _TRANSPOSED
    return (height, width) if turned else (width, height)


def check_size(width: int, height: int, where: str) -> None:
    """Refuse a picture whose header names a size that no radiograph has, before anything is decoded."""
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(
            f"{where}: {width}×{height} pixels; a radiograph with sides of {MIN_SIDE} to {MAX_SIDE:,} pixels and "
            f"at most {MAX_PIXELS // 1_000_000} megapixels was expected; resample it"
        )


def check_picture(pixels: np.ndarray, where: str) -> None:
    """Refuse decoded pixels `[H, W]` in [0, 1] that are too few, too many, no numbers or (nearly) constant."""
    height, width = pixels.shape
    check_size(width, height, where)
    low, high = float(pixels.min()), float(pixels.max())  # NaN where any pixel is
    if not 0 <= low <= high <= 1:
        raise ImageError(f"{where}: its values make pixels that are no numbers in [0, 1]; export it again")
    if high - low < MIN_RANGE:
        look = "black" if high < MIN_RANGE else "white" if low > 1 - MIN_RANGE else "grey"
        raise ImageError(f"{where}: every pixel is the same {look}; a radiograph was expected; export it again")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open and check the header; errors of decoding inside the block come out as ours."""
    kind = sniff(path)
    if kind not in ("png", "jpeg"):
        raise ImageError(f"{path}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first")
    try:
        with no_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                check_size(*image.size, where=str(path))
                _check_single(image, path)
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{path}: more than {(Image.MAX_IMAGE_PIXELS or 0) // 1_000_000} megapixels; a radiograph of at most "
            f"{MAX_PIXELS // 1_000_000} was expected; resample it"
        ) from error
    except _BROKEN as error:
        raise ImageError(
            f"{path}: the {kind.upper()} is truncated or damaged; copy it again from where it came"
        ) from error


def _orientation(image: Image.Image) -> int | None:
    """Return what EXIF says of the picture's orientation; None where it says nothing, or is damaged."""
    if image.format == "PNG" and "exif" not in image.info:
        image.load()  # EXIF may stand behind the pixels, whose damage is no damage of EXIF
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except _BROKEN:
        return None


def _raw_mode(image: Image.Image) -> str:
    """Return how the pixels stand in the file, before they are loaded."""
    tiles = getattr(image, "tile", ())
    return str(tiles[0].args) if tiles else ""


def _check_single(image: Image.Image, path: Path) -> None:
    frames = getattr(image, "n_frames", 1)
    if image.format == "PNG" and frames > 1:
        raise ImageError(f"{path}: holds {frames} frames; one radiograph a file was expected; save one of them")


def _grey(image: Image.Image, path: Path, *, of_16_bits: bool) -> np.ndarray:
    """Return `[H, W]` float32 in [0, 1]; transparency is black.

    Of several channels of 16 bits Pillow keeps the upper eight bits, which have to be used (`_refuse_low_bits`).
    """
    if image.mode in _SIXTEEN_BIT:
        return _scaled(np.asarray(image))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.float32) / 255
    if of_16_bits:
        _refuse_low_bits(np.asarray(image.getchannel(0)), path)
    if image.mode in ("LA", "La"):
        return _on_black(np.asarray(image.convert("LA")))
    rgba = np.asarray(image.convert("RGBA"))
    _refuse_colour(rgba[..., :3], path)
    return _on_black(np.stack([np.asarray(image.convert("RGB").convert("L")), rgba[..., 3]], axis=-1))


def _on_black(grey_alpha: np.ndarray) -> np.ndarray:
    """Return `[H, W]` from grey and alpha `[H, W, 2]`."""
    grey, alpha = grey_alpha[..., 0].astype(np.float32), grey_alpha[..., 1].astype(np.float32)
    return grey * alpha / (255 * 255)


def _scaled(values: np.ndarray) -> np.ndarray:
    top = int(values.max())
    bits = next((b for b in (8, 10, 12, 14) if top < 1 << b), 16)
    return np.clip(values.astype(np.float32) / ((1 << bits) - 1), 0, 1)


def _refuse_low_bits(upper: np.ndarray, path: Path) -> None:
    """Raise when the upper eight bits `[H, W]` of 16 say that the values have 14 or fewer: most are lost."""
    if int(upper.max()) < 1 << 6:
        raise ImageError(
            f"{path}: its channels of 16 bits hold values of 14 bits or fewer, which cannot be read; save it as "
            "one grey channel of 16 bits"
        )


def _refuse_colour(rgb: np.ndarray, path: Path) -> None:
    """Raise when the picture is truly coloured, judged on every fourth row and column."""
    sample = rgb[::4, ::4].astype(np.int16)
    spread = sample.max(axis=-1) - sample.min(axis=-1)
    share = float((spread > COLOUR_SPREAD).mean())
    if share > COLOUR_SHARE:
        raise ImageError(
            f"{path}: {share:.0%} of its pixels are coloured, as in a photograph; a grey radiograph "
            "was expected; leave it out"
        )
