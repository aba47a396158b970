"""Draws docs/pictures/localization-*.png, of phantoms: what Figures 4 to 6 of paper B and Figure 2 of D show.

    python scripts/localization_pictures.py boxes RUN RUN        # Figure 4: what rows mark, beside the truth
    python scripts/localization_pictures.py aligned RUN          # Figure 5: pictures, and as they are aligned
    python scripts/localization_pictures.py difference RUN       # Figure 6: a picture, its negative, ΔM
    python scripts/localization_pictures.py words DETECTOR RUN   # paper D: regions and words that they say

Studies are the first of the test split that show the findings, so that nobody has chosen them by what a model made
of them. Truth is yellow; what is marked is blue.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from tiles import (
    GAP,
    HEADER,
    INK,
    LINE,
    MARKED,
    SIDE,
    TRUTH,
    encoded,
    font,
    frame,
    grey_tile,
    lay_over,
    shade,
    tile_of,
)

from contrastcxr.api import load_studies
from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.transforms import resize
from contrastcxr.files import atomic_write
from contrastcxr.form import Finding, Reading, Study, View
from contrastcxr.models.align.pose import pose_matrix, warp, within_bounds
from contrastcxr.reading.reader import Reader
from contrastcxr.write.overlay import difference_uri

ROOT = Path(__file__).resolve().parents[1]
FINDINGS = (
    *("Cardiomegaly", "Pleural Effusion", "Pneumothorax", "Mass"),
    *("Nodule", "Consolidation", "Atelectasis", "Fibrosis"),
)
"""Columns of the picture of boxes; paper B has NIH's eight, of which phantoms lack Infiltration and Pneumonia."""
OPACITIES = ("Consolidation", "Atelectasis", "Edema", "Mass", "Nodule", "Fibrosis")
"""Columns of the picture of words: what is one finding, Lung Opacity, for paper D."""
SAID = 4
"""Words below a picture at most, the most probable ones."""
DIFFERENT = ("Cardiomegaly", "Pleural Effusion", "Mass", "Consolidation")
PAIRS = 5
LINES = 3

Tile = tuple[Image.Image, str]
"""A picture, and what stands below it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(DRAWN))
    parser.add_argument("runs", nargs="+", help="run folders or checkpoint files")
    parser.add_argument(
        "--source", default="phantom:standard/test?seed=1&limit=120", help="where studies are from"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    arguments = parser.parse_args()
    studies = load_studies(arguments.source)
    readers = [Reader.from_checkpoint(run) for run in arguments.runs]
    path = arguments.out / f"localization-{arguments.what}.png"
    with atomic_write(path, "wb") as file:
        file.write(encoded(sheet(*DRAWN[arguments.what](readers, studies))))
    print(path)


def first_with(studies: Sequence[Study], names: Iterable[str]) -> Iterator[tuple[Study, Finding]]:
    """For each finding the first study whose truth frames it."""
    for name in names:
        shown = ((study, _framed(study, name)) for study in studies)
        yield next((study, finding) for study, finding in shown if finding is not None)


def _framed(study: Study, name: str) -> Finding | None:
    found = study.readings[0].finding(name)
    return found if found is not None and any(box.view == 0 for box in found.boxes) else None


def boxes(readers: Sequence[Reader], studies: Sequence[Study]) -> tuple[str, list[list[Tile]]]:
    """A row of tiles for each reader: what it marks for the finding that each study was chosen by."""
    return _read_by(readers, list(first_with(studies, FINDINGS)), _marked, "places")


def _read_by(
    readers: Sequence[Reader],
    chosen: Sequence[tuple[Study, Finding]],
    tile: Callable[[Study, Finding, Reading], Tile],
    marked: str,
) -> tuple[str, list[list[Tile]]]:
    rows = []
    for reader in readers:
        readings = reader.read_batch([study for study, _ in chosen], evidence=False)
        rows.append([tile(*pair, reading) for pair, reading in zip(chosen, readings, strict=True)])
    names = " / ".join(reader.author.name for reader in readers)
    return f"{names}, row by row: marked {marked} blue, boxes of the truth yellow", rows


def _marked(study: Study, truth: Finding, reading: Reading) -> Tile:
    tile, scale = grey_tile(study.views[0])
    found = reading.finding(truth.name)
    shade(tile, scale, () if found is None else (box for box in found.region if box.view == 0), MARKED)
    frame(tile, scale, (box for box in truth.boxes if box.view == 0), TRUTH)
    said = "" if found is None or found.probability is None else f", probability {found.probability:.2f}"
    return tile, f"{truth.name}{said}"


def words(readers: Sequence[Reader], studies: Sequence[Study]) -> tuple[str, list[list[Tile]]]:
    """A row of tiles for each reader: the regions that it marks, and the words that it says of them."""
    return _read_by(readers, list(first_with(studies, OPACITIES)), _worded, "regions")


def _worded(study: Study, truth: Finding, reading: Reading) -> Tile:
    tile, scale = grey_tile(study.views[0])
    (found,) = reading.findings
    opaque = (study.readings[0].finding(name) for name in OPACITIES)
    frame(tile, scale, (box for box in found.region if box.view == 0), MARKED)
    frame(tile, scale, (box for each in opaque if each for box in each.boxes if box.view == 0), TRUTH)
    if not found.attributes:
        return tile, f"truth: {' '.join(filter(None, (truth.side, truth.zone, truth.name.lower())))}"
    likely = sorted(found.attributes, key=lambda word: -word.probability)[:SAID]
    return tile, ", ".join(f"{word.name} {word.probability:.2f}" for word in likely)


def aligned(readers: Sequence[Reader], studies: Sequence[Study]) -> tuple[str, list[list[Tile]]]:
    """The first frontal pictures above, as the aligner moves them below, and the canonical chest beside them."""
    (reader,) = readers
    views = [study.views[0] for study in studies[:PAIRS]]
    aligner = reader.system.aligner
    if aligner is None:
        raise SystemExit(f"{reader.author.name}: no aligner; give the run of a system that has one")
    side = reader.preprocess.size
    pictures = torch.stack([torch.from_numpy(resize(load_pixels(view), side)) for view in views])[:, None].float()
    with torch.no_grad():
        moved = warp(pictures, pose_matrix(within_bounds(aligner.eval()(pictures[:, 0]))))
    above = [(grey_tile(view)[0], study.study_id) for view, study in zip(views, studies, strict=False)]
    below = [(tile_of(picture[0].clamp(0, 1).numpy())[0], "aligned") for picture in moved]
    chest: np.ndarray = aligner.canonical.float().clamp(0, 1).cpu().numpy().squeeze()
    return "pictures, and below as the aligner moves them", [
        [*above, (tile_of(chest)[0], "canonical chest")],
        below,
    ]


def difference(readers: Sequence[Reader], studies: Sequence[Study]) -> tuple[str, list[list[Tile]]]:
    """The picture with the box of the truth, what it was compared with, and ΔM over the picture."""
    (reader,) = readers
    chosen = list(first_with(studies, DIFFERENT))
    readings = reader.read_batch([study for study, _ in chosen])
    columns = [_compared(*pair, reading) for pair, reading in zip(chosen, readings, strict=True)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return f"{reader.author.name}: a picture, the one it is compared with, and their difference map", rows


def _compared(study: Study, truth: Finding, reading: Reading) -> tuple[Tile, Tile, Tile]:
    tile, scale = grey_tile(study.views[0])
    over = tile.copy()
    frame(tile, scale, (box for box in truth.boxes if box.view == 0), TRUTH)
    negative = reading.evidence.negatives[0]
    other = grey_tile(View(view_id=negative.image_id, locator=negative.locator))[0]
    map_ = reading.evidence.difference[0]
    lay_over(over, scale, map_, difference_uri(map_))
    frame(over, scale, (box for box in truth.boxes if box.view == 0), TRUTH)
    return (
        (tile, truth.name),
        (other, f"cosine {negative.similarity:.3f}"),
        (over, _inside(map_.rows, truth, map_.extent)),
    )


def _inside(rows: Sequence[Sequence[float]], truth: Finding, extent: tuple[float, float, float, float]) -> str:
    """In words how much the places inside of the boxes weigh, where 1 is the mean of all."""
    values = np.asarray(rows)
    x1, y1, x2, y2 = extent
    x = x1 + (np.arange(values.shape[1]) + 0.5) * (x2 - x1) / values.shape[1]
    y = y1 + (np.arange(values.shape[0]) + 0.5) * (y2 - y1) / values.shape[0]
    inside = np.zeros(values.shape, dtype=bool)
    for left, top, right, bottom in (box.xyxy for box in truth.boxes if box.view == 0):
        inside |= ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None]
    return f"difference inside the box {values[inside].mean():.2f}" if inside.any() else "box smaller than a cell"


DRAWN = {"boxes": boxes, "aligned": aligned, "difference": difference, "words": words}


def sheet(title: str, rows: Sequence[Sequence[Tile]]) -> Image.Image:
    """All tiles, row by row, each with its words below it, and the title above."""
    width = max(len(row) for row in rows) * (SIDE + GAP) + GAP
    height = HEADER + len(rows) * (SIDE + LINES * LINE + GAP)
    drawn = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(drawn)
    pen.text((GAP, 5), title, fill=INK, font=font(14))
    for number, row in enumerate(rows):
        top = HEADER + number * (SIDE + LINES * LINE + GAP)
        for place, (tile, caption) in enumerate(row):
            left = GAP + place * (SIDE + GAP)
            drawn.paste(tile, (left, top))
            for line, text in enumerate(textwrap.wrap(caption, 36, max_lines=LINES)):
                pen.text((left, top + SIDE + 2 + line * LINE), text, fill=INK, font=font(12))
    return drawn


if __name__ == "__main__":
    main()
