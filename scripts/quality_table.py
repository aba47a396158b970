"""Measures the quality warnings of a checkpoint: false alarms on valid pictures, and how many bad ones they catch.

python scripts/quality_table.py CHECKPOINT OUT.json --root DATA [--shared FOLDER] [--cache DIR] [--each 2]

Valid pictures are the test split of the checkpoint's data, which neither its statistics nor its limits have seen.
Bad ones are made of some of them (`--each`), and come from other places: drawn laterals, the sample
folders below `--shared` where they are there, photographs that installed packages carry, textures and drawings
made here. The JSON holds counts; the table for docs/quality.md is printed.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from contrastcxr.checkpoint import Checkpoint, load_checkpoint
from contrastcxr.config.data_ref import data_ref
from contrastcxr.data.pixels import load_file, load_pixels
from contrastcxr.data.views import chosen_views
from contrastcxr.errors import ImageError
from contrastcxr.features.pictures import whole_picture
from contrastcxr.files import default_cache
from contrastcxr.models.encoders import Encoder
from contrastcxr.quality.assess import assess, thumbnails
from contrastcxr.quality.fit import cut, fit_reference, tilted
from contrastcxr.quality.measures import MEASURES, PictureMeasures, QualityReference, grey_values
from contrastcxr.store.studies import list_studies

Pixels = np.ndarray
PHOTOGRAPHS = {
    "sklearn": ("china.jpg", "flower.jpg"),
    "matplotlib": ("grace_hopper.jpg",),
    "skimage": ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "retina.jpg", "rocket.jpg"),
}
CROPS = 3


def warped(pixels: Pixels, make: Callable[[torch.Tensor], torch.Tensor]) -> Pixels:
    made: Pixels = make(torch.from_numpy(np.ascontiguousarray(pixels))[None])[0].clamp(0, 1).numpy()
    return made


def tilt(degrees: float, *, black_corners: bool = False) -> Callable[[Pixels], Pixels]:
    return lambda p: warped(p, lambda x: tilted(x, torch.tensor([degrees]), black_corners=black_corners))


def without(left: float, right: float, top: float, bottom: float) -> Callable[[Pixels], Pixels]:
    return lambda p: warped(p, lambda x: cut(x, torch.tensor([[left, right, top, bottom]])))


def collimated(share: float) -> Callable[[Pixels], Pixels]:
    def made(pixels: Pixels) -> Pixels:
        rows, columns = (round(side * share) for side in pixels.shape)
        dark = np.zeros_like(pixels)
        dark[rows:-rows, columns:-columns] = pixels[rows:-rows, columns:-columns]
        return dark

    return made


HARM: Mapping[str, Callable[[Pixels], Pixels]] = {
    "too dark: gamma 2.5": lambda p: p**2.5,
    "too dark: grey values − 0.35": lambda p: np.clip(p - 0.35, 0, 1),
    "too bright: gamma 0.4": lambda p: p**0.4,
    "too bright: grey values + 0.35": lambda p: np.clip(p + 0.35, 0, 1),
    "saturated: grey values × 1.8": lambda p: np.clip(p * 1.8, 0, 1),
    "low contrast: × 0.4": lambda p: 0.5 + (p - 0.5) * 0.4,
    "grey values inverted": lambda p: 1 - p,
    "turned 90° anticlockwise": lambda p: np.rot90(p, 1).copy(),
    "turned 180°": lambda p: np.rot90(p, 2).copy(),
    "turned 270° anticlockwise": lambda p: np.rot90(p, 3).copy(),
    "tilted 15° clockwise, cut to size": tilt(15),
    "tilted 15° anticlockwise, cut to size": tilt(-15),
    "tilted 15°, black corners": tilt(15, black_corners=True),
    "tilted 7°, cut to size": tilt(7),
    "upper 40% cut off": without(0, 0, 0.4, 0),
    "lower 40% cut off": without(0, 0, 0, 0.4),
    "left 40% cut off": without(0.4, 0, 0, 0),
    "right half cut off": without(0, 0.5, 0, 0),
    "20% cut off all round": without(0.2, 0.2, 0.2, 0.2),
    "collimated: black border of 20%": collimated(0.2),
}


@dataclass(frozen=True, eq=False)
class Bench:
    """Measures pictures as the reader would."""

    checkpoint: Checkpoint
    encoder: Encoder

    @torch.no_grad()
    def pictures(self, pixels: Iterable[Pixels]) -> PictureMeasures:
        greys, small, pooled = [], [], []
        for picture in pixels:
            greys.append(grey_values(picture))
            image = whole_picture(self.checkpoint.preprocess, picture)[0][None]
            small.append(thumbnails(image)[0])
            pooled.append(self.encoder(image)[0].mean(0))
        return PictureMeasures(tuple(greys), torch.stack(small), torch.stack(pooled))


def count(reference: QualityReference, pictures: PictureMeasures) -> dict[str, int]:
    """How many pictures each measure warns on, and how many get any warning."""
    rows = [{m.name for m in measured if m.passed} for measured in assess(reference, pictures)]
    found: dict[str, int] = {name: sum(name in row for row in rows) for name in MEASURES}
    return {"n": len(rows), **found, "any": sum(map(bool, rows))}


def views_of(checkpoint: Checkpoint, split: str, root: Path | None, cache: Path, limit: int | None) -> list[Any]:
    data = checkpoint.config.data.model_copy(update={"root": None if root is None else str(root)})
    ref = data_ref(data, split=split).limited(limit)
    return chosen_views(list_studies(ref, cache=cache), max_views=checkpoint.config.data.max_views)


def elsewhere(shared: Path | None, drawn: int, each: int, seed: int) -> Iterator[tuple[str, Iterator[Pixels]]]:
    """Pictures that are not of the model's kind, by name."""
    yield "drawn phantoms, lateral", phantoms("lateral", drawn)
    yield "drawn phantoms, frontal", phantoms("frontal", drawn)
    if shared is not None:
        yield (
            "COVID-19 collection, frontal (other hospitals)",
            covid(shared, ("PA", "AP", "AP Supine"), each),
        )
        yield "COVID-19 collection, lateral", covid(shared, ("L",), 1)
        yield "IU X-ray, frontal", iu(shared, "Frontal")
        yield "IU X-ray, lateral", iu(shared, "Lateral")
    yield f"photographs, {CROPS} grey crops of each of {len(photograph_files())}", photographs(seed)
    yield "textures (1/f noise, as in natural scenes)", textures(drawn, seed)
    yield "line drawings", drawings(drawn, seed)


def phantoms(view: str, drawn: int) -> Iterator[Pixels]:
    from contrastcxr.phantom import render_locator

    names = (f"phantom:standard/test/{i:06d}?seed=0&view={view}" for i in range(drawn))
    return (np.asarray(render_locator(name), np.float32) for name in names)


def table_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def covid(shared: Path, views: Sequence[str], each: int) -> Iterator[Pixels]:
    folder = shared / "covid_chestxray"
    rows = [r for r in table_rows(folder / "metadata.csv") if r["view"] in views and r["modality"] == "X-ray"]
    return readable(folder / "images" / r["filename"] for r in rows[::each])


def iu(shared: Path, projection: str) -> Iterator[Pixels]:
    folder = shared / "iu_xray"
    named = {
        r["filename"] for r in table_rows(folder / "indiana_projections.csv") if r["projection"] == projection
    }
    there = sorted((folder / "images").glob("*.png"))
    return readable(
        p for p in there if any(name.replace(".dcm", "") in p.name.replace(".dcm", "") for name in named)
    )


def readable(paths: Iterable[Path]) -> Iterator[Pixels]:
    for path in paths:
        try:
            yield load_file(path)
        except ImageError as error:
            print(f"left out: {error}")


def photograph_files() -> list[Path]:
    """Those of the photographs in installed packages that are there."""
    found = []
    for package, names in PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
        found += [] if folder is None else [path for name in names for path in folder.rglob(name)]
    return found


def photographs(seed: int) -> Iterator[Pixels]:
    """Square crops, grey."""
    rng = np.random.default_rng(seed)
    for path in photograph_files():
        grey = np.asarray(Image.open(path).convert("L"), np.float32) / 255
        for _ in range(CROPS):
            side = int(rng.integers(min(grey.shape) // 2, min(grey.shape)))
            top, left = (int(rng.integers(length - side + 1)) for length in grey.shape)
            yield grey[top : top + side, left : left + side]


def textures(drawn: int, seed: int) -> Iterator[Pixels]:
    rng = np.random.default_rng(seed)
    side = 512
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]).clip(1 / side)
    for _ in range(drawn):
        power = rng.uniform(1.0, 2.0)
        noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / radius**power)
        yield ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def drawings(drawn: int, seed: int) -> Iterator[Pixels]:
    rng = np.random.default_rng(seed)
    for _ in range(drawn):
        page = Image.new("L", (512, 512), 255)
        pen = ImageDraw.Draw(page)
        for _ in range(int(rng.integers(5, 30))):
            ends = [int(v) for v in rng.integers(0, 512, 4)]
            box = [*map(min, ends[:2], ends[2:]), *map(max, ends[:2], ends[2:])]
            if rng.random() < 0.5:
                pen.line(ends, fill=0, width=int(rng.integers(1, 8)))
            else:
                pen.ellipse(box, outline=0, width=int(rng.integers(1, 8)))
        yield np.asarray(page, np.float32) / 255


def cross_fitted(bench: Bench, root: Path, cache: Path) -> dict[str, int]:
    """Counts on the test pictures of five folds, each with statistics and limits of the other ones."""
    total: dict[str, int] = {}
    measured: dict[str, tuple[PictureMeasures, int]] = {}
    config = bench.checkpoint.config
    for fold in range(5):
        data = config.data.model_copy(update={"fold": fold, "root": str(root)})
        parts = {s: list_studies(data_ref(data, split=s), cache=cache) for s in ("train", "validation", "test")}
        if not measured:
            every = [study.views[0] for part in parts.values() for study in part]
            whole = bench.pictures(load_pixels(view) for view in every)
            measured = {view.view_id: (whole, i) for i, view in enumerate(every)}
        chosen = {s: whole[[measured[study.views[0].view_id][1] for study in part]] for s, part in parts.items()}
        positions = [study.views[0].position for study in parts["train"]]
        reference = fit_reference(chosen["train"], chosen["validation"], positions=positions)
        assert reference is not None
        for name, value in count(reference, chosen["test"]).items():
            total[name] = total.get(name, 0) + value
    return total


def milliseconds(bench: Bench, reference: QualityReference, pixels: Sequence[Pixels]) -> dict[str, float]:
    """Medians over single pictures: what the measures add, and what encoding takes."""
    added, encoding = [], []
    for picture in pixels:
        image = whole_picture(bench.checkpoint.preprocess, picture)[0][None]
        start = time.perf_counter()
        with torch.no_grad():
            pooled = bench.encoder(image)[0].mean(0)
        middle = time.perf_counter()
        assess(reference, PictureMeasures((grey_values(picture),), thumbnails(image), pooled[None]))
        added.append(time.perf_counter() - middle)
        encoding.append(middle - start)
    return {"measures": float(np.median(added)) * 1e3, "encoder": float(np.median(encoding)) * 1e3}


def table(counts: Mapping[str, Mapping[str, int]]) -> str:
    names = [*MEASURES, "any"]
    lines = [f"| pictures | n | {' | '.join(names)} |", f"|---|{'---:|' * (len(names) + 1)}"]
    for title, found in counts.items():
        cells = [f"{100 * found[name] / found['n']:.0f}" if found[name] else "·" for name in names]
        lines.append(f"| {title} | {found['n']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("contrastcxr").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--drawn", type=int, default=60, help="phantoms, textures and drawings, of each kind")
    parser.add_argument("--limit", type=int, help="valid pictures")
    parser.add_argument("--folds", action="store_true", help="false alarms over five folds too (nih14-cv)")
    a = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(a.checkpoint)
    reference, encoder = checkpoint.quality, checkpoint.build().encoder
    assert reference is not None
    assert encoder is not None
    bench = Bench(checkpoint, encoder)
    valid = [load_pixels(v) for v in views_of(checkpoint, "test", a.root, a.cache, a.limit)]
    counts = {"valid, held out": count(reference, bench.pictures(valid))}
    if a.folds:
        counts["valid, five folds"] = cross_fitted(bench, a.root, a.cache)
    print(table(counts), flush=True)
    for title, harm in HARM.items():
        counts[title] = count(reference, bench.pictures(harm(p) for p in islice(valid, 0, None, a.each)))
        print(title, counts[title], flush=True)
    for title, pixels in elsewhere(a.shared, a.drawn, a.each, seed=0):
        counts[title] = count(reference, bench.pictures(pixels))
        print(title, counts[title], flush=True)
    cost = milliseconds(bench, reference, valid[:50])
    said = {"model": checkpoint.config.name, "reference": reference.metadata(), "counts": counts, "ms": cost}
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(counts))
    print(cost)


if __name__ == "__main__":
    main()
