"""Draws docs/pictures/attention-DECODER.png: one phantom as a trained decoder reads it, sentence by sentence.

    python scripts/attention_pictures.py RUN_OR_CHECKPOINT… [--source phantom:standard/test] [--study ID]

The first tile is the picture with the phantom's own boxes, then comes a tile for each sentence of the report with
the attention of its words, averaged. Colour and scale are those of the reading page: from an even share over all
patches to eight times that share. A checkpoint whose decoder has no attention is named and left out.

With --page each picture is put behind the marker `<!-- picture DECODER -->` of a page, in place of an older one.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw
from tiles import GAP, HEADER, INK, LINE, SIDE, SOFT, TRUTH, encoded, font, frame, grey_tile, lay_over

from contrastcxr.api import load_studies
from contrastcxr.files import atomic_write
from contrastcxr.form import Finding, Map, Reading, Study, View
from contrastcxr.reading.reader import Reader
from contrastcxr.write.overlay import NEARLY_EVEN, SATURATED_SHARE, attention_uri, cells_of, extremes

ROOT = Path(__file__).resolve().parents[1]
SENTENCES, CHARACTERS, LINES = 5, 38, 5
LIMIT = 400


@dataclass(frozen=True)
class Column:
    """One tile per view, and what stands below them."""

    tiles: tuple[Image.Image, ...]
    caption: str
    note: str


def main() -> None:
    arguments = _arguments()
    study = chosen(arguments.source, arguments.study)
    made: dict[str, Path] = {}
    for place in arguments.checkpoints:
        reader = Reader.from_checkpoint(place)
        reading = reader.read(study)
        decoder = reading.provenance["model"]["decoder"]
        if not reading.evidence.attention:
            reason = reading.evidence.unavailable.get("attention", "its report has no sentence")
            print(f"{place}: {reason}; no picture of it", file=sys.stderr)
            continue
        made[decoder] = arguments.out / f"attention-{decoder}.png"
        with atomic_write(made[decoder], "wb") as file:
            file.write(encoded(sheet(reading, study)))
        print(made[decoder])
    if not made:
        raise SystemExit("no decoder with attention among them; nothing was drawn")
    if arguments.page is not None:
        put(made, arguments.page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", help="run folders, checkpoint files or bundled names")
    parser.add_argument("--source", default="phantom:standard/test", help="where the study is taken from")
    parser.add_argument("--study", help="its id; without it the first with two findings that have boxes")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--page", type=Path, help="a Markdown page with markers that show the pictures")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


def put(made: Mapping[str, Path], page: Path) -> None:
    """Show each picture behind its marker of the page."""
    text = page.read_text(encoding="utf-8")
    for decoder, picture in made.items():
        marker = f"<!-- picture {decoder} -->\n"
        if marker not in text:
            raise SystemExit(f"{page}: no line {marker.strip()}; add it where the picture belongs")
        place = Path(os.path.relpath(picture, page.parent)).as_posix()
        shown = f"![one phantom as {decoder} reads it]({place})\n"
        before, after = text.split(marker, 1)
        text = before + marker + shown + re.sub(r"\A!\[.*\n", "", after)
    with atomic_write(page) as file:
        file.write(text)


def chosen(source: str, study_id: str | None) -> Study:
    """The study of that id, or the first that shows two findings with their places."""
    split = "&" if "?" in source else "?"
    studies = load_studies(source if study_id or "limit=" in source else f"{source}{split}limit={LIMIT}")
    for study in studies:
        if study.study_id == study_id or (study_id is None and len({f.name for f in framed(study)}) > 1):
            return study
    raise SystemExit(f"{source}: no study {study_id or 'with two findings that have boxes'} among {len(studies)}")


def framed(study: Study) -> list[Finding]:
    """What the first author of the study calls present, and frames."""
    findings = study.readings[0].findings if study.readings else ()
    return [finding for finding in findings if finding.status == "present" and finding.boxes]


def sheet(reading: Reading, study: Study) -> Image.Image:
    """The picture with its truth, and the attention of each of the first sentences."""
    views = sorted({map_.view for maps in reading.evidence.attention for map_ in maps})
    columns = [_truth(study, views), *_sentences(reading, study, views)]
    width = len(columns) * (SIDE + GAP) + GAP
    height = HEADER + len(views) * (SIDE + GAP) + LINE * (LINES + 2)
    drawn = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(drawn)
    pen.text((GAP, 5), _header(reading), fill=INK, font=font(14))
    bottoms = [_place(drawn, pen, column, left=GAP + n * (SIDE + GAP)) for n, column in enumerate(columns)]
    return drawn.crop((0, 0, width, max(bottoms) + GAP))


def _header(reading: Reading) -> str:
    decoder, full = reading.provenance["model"]["decoder"], f"{SATURATED_SHARE:.0f} times an even share"
    said = f"{decoder} reads {reading.study_id}; full colour is {full}"
    tags = ", ".join(f"{tag.name} {tag.probability:.2f}" for tag in reading.evidence.tags[:4])
    return f"{said}; tags: {tags}" if tags else said


def _place(drawn: Image.Image, pen: ImageDraw.ImageDraw, column: Column, *, left: int) -> int:
    """Draw a column; the height at which it ends."""
    top = HEADER
    for tile in column.tiles:
        drawn.paste(tile, (left, top))
        top += SIDE + GAP
    for line in textwrap.wrap(column.caption, CHARACTERS, max_lines=LINES, placeholder=" …"):
        pen.text((left, top), line, fill=INK, font=font(12))
        top += LINE
    pen.text((left, top + 2), column.note, fill=SOFT, font=font(11))
    return top + LINE + 2


def _truth(study: Study, views: Sequence[int]) -> Column:
    tiles = []
    for index in views:
        tile, scale = grey_tile(study.views[index])
        frame(tile, scale, (b for finding in framed(study) for b in finding.boxes if b.view == index), TRUTH)
        tiles.append(tile)
    names = ", ".join(dict.fromkeys(finding.name for finding in framed(study)))
    return Column(tuple(tiles), f"Truth: {names}", "")


def _sentences(reading: Reading, study: Study, views: Sequence[int]) -> Iterable[Column]:
    pairs = list(zip(reading.report.sentences, reading.evidence.attention, strict=True))
    for number, (text, maps) in enumerate(pairs[:SENTENCES]):
        by_view = {map_.view: map_ for map_ in maps}
        tiles = [_overlaid(study.views[index], by_view.get(index), cells=cells_of(maps)) for index in views]
        rest = len(pairs) - SENTENCES
        more = f" (and {rest} more)" if rest > 0 and number + 1 == SENTENCES else ""
        yield Column(tuple(tiles), text + more, _note(maps))


def _note(maps: Sequence[Map]) -> str:
    low, high = (value * cells_of(maps) for value in extremes(maps))
    shares = f"{low:.1f} to {high:.1f} times an even share"
    return f"{shares}: nearly even" if high < NEARLY_EVEN else shares


def _overlaid(view: View, map_: Map | None, *, cells: int) -> Image.Image:
    tile, scale = grey_tile(view)
    if map_ is not None:
        lay_over(tile, scale, map_, attention_uri(map_, cells=cells))
    return tile


if __name__ == "__main__":
    main()
