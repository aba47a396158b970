"""Draws docs/images/phantoms.jpg: 24 phantoms with captions; lesions are framed.

python scripts/phantom_sheet.py [--out docs/images/phantoms.jpg]
"""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from contrastcxr.files import atomic_write
from contrastcxr.phantom import PhantomParameters, render, sample
from contrastcxr.phantom.measure import calibrate
from contrastcxr.phantom.outlines import outlines
from contrastcxr.phantom.placing import Place, place_device
from contrastcxr.vocab.labels import PHANTOM

ROOT = Path(__file__).resolve().parents[1]
TILE, CAPTION, COLUMNS, LIMIT = 300, 22, 6, 600_000
LOOKALIKES = (
    "nipple",
    "skin fold",
    "costal calcification",
    "azygos fissure",
    "prominent hilum",
    "leads",
)


def tiles() -> Iterator[tuple[str, PhantomParameters]]:
    """Caption and parameters of each of the 24."""
    yield "normal", healthy(0)
    for name in PHANTOM:
        parameters = visible(name)
        yield caption(parameters), parameters
    yield "support device: pacemaker", with_device(3)
    for kind in LOOKALIKES:
        yield f"look-alike: {kind}", lookalike(kind)
    yield "look-alike: scoliosis", crooked()
    yield "look-alike: poor inspiration", shallow()


def healthy(start: int) -> PhantomParameters:
    drawn = (sample(s, level="standard", normal=True) for s in range(start, start + 200))
    return next(p for p in drawn if not p.lookalikes and not p.lesions)


def visible(name: str) -> PhantomParameters:
    """A study with this finding only, clearly reported."""
    start = 400 + 100 * PHANTOM.index(name)
    drawn = (sample(s, level="standard", findings=(name,)) for s in range(start, start + 100))
    return next(p for p in drawn if p.lesions[0].visible and p.pose.scale < 1.2 and not p.lookalikes)


def with_device(start: int) -> PhantomParameters:
    for seed in range(start, start + 200):
        bare = sample(seed, normal=True)
        outline = outlines(bare.patient, bare.pose.inspiration_ribs)
        device = place_device(Place(np.random.default_rng(seed), bare.patient, outline, (1.5, 3.0)))
        if device[0].zone == "right ventricle" and not bare.lookalikes and bare.normal:
            return calibrate(dataclasses.replace(bare, lesions=tuple(device)))
    raise LookupError("no pacemaker among 200 studies")


def lookalike(kind: str) -> PhantomParameters:
    drawn = (sample(s, level="standard", normal=True) for s in range(2000))
    return next(p for p in drawn if not p.lesions and {x.kind for x in p.lookalikes} == {kind})


def crooked() -> PhantomParameters:
    bare = healthy(300)
    return dataclasses.replace(bare, patient=dataclasses.replace(bare.patient, spine_curve=11.0))


def shallow() -> PhantomParameters:
    bare = healthy(500)
    return dataclasses.replace(bare, pose=dataclasses.replace(bare.pose, inspiration_ribs=7.0))


def caption(parameters: PhantomParameters) -> str:
    lesion = parameters.lesions[0]
    side = "both sides" if len(parameters.lesions) > 1 else lesion.side
    size = f"{lesion.size_mm:.0f} mm" if lesion.size_mm else None
    return ", ".join(str(v) for v in (lesion.name, side, lesion.zone, size or lesion.severity) if v)


def draw(parameters: PhantomParameters, text: str) -> Image.Image:
    drawn = render(parameters, size=2 * TILE)
    picture = Image.fromarray((drawn.pixels * 255).round().astype(np.uint8)).resize(
        (TILE, TILE), Image.Resampling.LANCZOS
    )
    tile = Image.new("RGB", (TILE, TILE + CAPTION), "white")
    tile.paste(picture.convert("RGB"))
    pen = ImageDraw.Draw(tile)
    for box in drawn.boxes.values():
        pen.rectangle([v / 2 for v in box], outline=(240, 180, 0))
    pen.text((4, TILE + 4), text, fill="black", font=ImageFont.load_default(size=12))
    return tile


def encoded(sheet: Image.Image) -> bytes:
    """JPEG of at most `LIMIT` bytes."""
    for quality in (85, 78, 70, 60, 50):
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= LIMIT:
            break
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "phantoms.jpg")
    arguments = parser.parse_args()
    drawn = [draw(parameters, text) for text, parameters in tiles()]
    rows = -(-len(drawn) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + CAPTION)), "white")
    for k, tile in enumerate(drawn):
        sheet.paste(tile, (k % COLUMNS * TILE, k // COLUMNS * (TILE + CAPTION)))
    with atomic_write(arguments.out, "wb") as file:
        file.write(encoded(sheet))
    print(f"{len(drawn)} phantoms in {arguments.out}")


if __name__ == "__main__":
    main()
