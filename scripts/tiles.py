"""Tiles that the pictures of the documents are made of: a view in a square, maps and boxes over it, a PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from contrastcxr.data.pixels import load_pixels
from contrastcxr.form import Box, Map, View

SIDE, GAP, LINE, HEADER = 232, 12, 15, 28
"""Of a tile, between tiles, of a line of text, and of the line above all tiles, in pixels."""
COLOURS = 255
TRUTH, MARKED, INK, SOFT = (240, 180, 0), (70, 200, 255), (20, 24, 28), (96, 106, 116)


def grey_tile(view: View) -> tuple[Image.Image, float]:
    """The view in a square tile, and pixels of the tile per pixel of the view."""
    return tile_of(load_pixels(view))


def tile_of(pixels: np.ndarray) -> tuple[Image.Image, float]:
    """Pixels in [0, 1] in a square tile, and pixels of the tile per pixel of them."""
    scale = SIDE / max(pixels.shape)
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    picture = Image.fromarray((pixels * 255).round().astype("uint8")).resize(size, Image.Resampling.LANCZOS)
    tile = Image.new("RGB", (SIDE, SIDE), "black")
    tile.paste(picture.convert("RGB"))
    return tile, scale


def lay_over(tile: Image.Image, scale: float, map_: Map, uri: str) -> None:
    """Lay the colours of a map, a PNG as a data URI, over the tile where the map lies."""
    content = base64.b64decode(uri.partition(",")[2])
    x1, y1, x2, y2 = (round(value * scale) for value in map_.extent)
    colour = Image.open(io.BytesIO(content)).convert("RGBA").resize((x2 - x1, y2 - y1), Image.Resampling.BILINEAR)
    tile.paste(colour, (x1, y1), colour)


def frame(tile: Image.Image, scale: float, boxes: Iterable[Box], colour: tuple[int, int, int]) -> None:
    """Draw boxes of the view."""
    pen = ImageDraw.Draw(tile)
    for box in boxes:
        pen.rectangle([value * scale for value in box.xyxy], outline=colour, width=2)


def shade(tile: Image.Image, scale: float, rectangles: Iterable[Box], colour: tuple[int, int, int]) -> None:
    """Tint the union of rectangles of the view."""
    cover = Image.new("L", tile.size, 0)
    pen = ImageDraw.Draw(cover)
    for rectangle in rectangles:
        x1, y1, x2, y2 = (value * scale for value in rectangle.xyxy)
        pen.rectangle([x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)], fill=110)
    tile.paste(Image.new("RGB", tile.size, colour), (0, 0), cover)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of the pictures."""
    return ImageFont.load_default(size=size)


def encoded(drawn: Image.Image) -> bytes:
    """A PNG of few colours: fewer bytes, and nothing that an eye would miss."""
    buffer = io.BytesIO()
    drawn.quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
