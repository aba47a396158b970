"""Memory of `data prepare` and of an epoch that streams what it made, over many small synthetic studies.

    nice python benchmarks/prepare.py [--studies 50000] [--out results/prepare]

Draws N pictures of 96×80 pixels, writes a manifest with a report each, prepares it, and goes through one epoch of
training batches (random crops, tokens and finding targets) in random order, in one process and thread.  Its memory
is sampled all the while; the folder with the pictures is removed at the end.  A further figure says what a list of
the same studies takes.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from contrastcxr.data.sources import parse_data
from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.samples import FromPixels, StudySamples, Target, loader, target_of
from contrastcxr.form import Study
from contrastcxr.store.picture_cache import find_pictures
from contrastcxr.store.preparing import prepare_source
from contrastcxr.store.study_lines import MappedStudies, StudyLines
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training.order import epoch_batches

ROOT = Path(__file__).resolve().parents[1]
LABELS = ("Edema", "Cardiomegaly", "Pleural Effusion")
WORDS = ("The heart is enlarged.", "There is mild edema.", "A small effusion is seen.", "The lungs are clear.")
BATCH = 32
LISTED = 5_000
"""Studies of which a list is made, to measure what one takes."""


def memory(kind: str = "VmRSS") -> float:
    """Memory of this process in MB: all that is resident, or (`RssAnon`) without mapped files."""
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{kind}:")) / 1024


@dataclass
class Curve:
    """Samples of the memory, and how far the work had come."""

    phase: str = "start"
    done: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def sample(self) -> None:
        self.samples.append(
            {
                "seconds": round(time.perf_counter() - self.started, 2),
                "phase": self.phase,
                "done": self.done,
                "rss_mb": round(memory(), 1),
                "anonymous_mb": round(memory("RssAnon"), 1),
            }
        )

    @contextmanager
    def every(self, seconds: float) -> Iterator[None]:
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(seconds):
                self.sample()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def of(self, phase: str) -> list[float]:
        return [s["rss_mb"] for s in self.samples if s["phase"] == phase]


def write_studies(folder: Path, count: int) -> Path:
    """Pictures that differ, and a manifest that names them with reports and labels."""
    y, x = np.mgrid[:96, :80].astype(np.float32)
    path = folder / "studies.jsonl"
    with path.open("w") as file:
        for i in range(count):
            picture = 120 + 60 * np.sin(x / (5 + i % 17) + i) + 50 * np.cos(y / (7 + i % 13))
            place = folder / f"{i % 100:02d}"
            place.mkdir(exist_ok=True)
            Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(place / f"{i}.png", compress_level=1)
            line = {
                "study_id": f"s{i:08d}",
                "patient_id": f"p{i // 2:08d}",
                "image": f"{i % 100:02d}/{i}.png",
                "position": "PA",
                "split": "train",
                "findings": f"{WORDS[i % 4]} {WORDS[i // 4 % 4]} Measures {i % 97} mm.",
                "labels": {LABELS[i % 3]: "present", LABELS[(i + 1) % 3]: "absent"},
            }
            file.write(json.dumps(line) + "\n")
    return path


def samples_of(studies: Sequence[Study], root: Path, side: int) -> StudySamples:
    """Training samples whose pixels come from the prepared pictures, as a trained encoder's do."""
    transform = Preprocess(size=side * 7 // 8)
    pictures = find_pictures(root, (v for s in studies for v in s.views), side=transform.train_side)
    assert pictures is not None, "the prepared pictures were not found"
    texts = MappedStudies(studies, lambda study: study.readings[0].report.findings)
    target = partial(_target, tokenizer=Tokenizer.train(texts))
    return StudySamples(studies, MappedStudies(studies, target), FromPixels(transform, 1, 0, pictures))


def _target(study: Study, *, tokenizer: Tokenizer) -> Target:
    written = study.readings[0].report.findings
    return target_of(study, written=written, tokenizer=tokenizer, max_tokens=60, labels=LABELS)


def stream(samples: StudySamples, curve: Curve) -> int:
    """Go through one epoch and return how many pictures came."""
    for batch in loader(samples, epoch_batches(len(samples), batch_size=BATCH, seed=0, epoch=0), pad=0):
        assert batch.images is not None
        curve.done += len(batch)
    return curve.done


def kilobytes_of_a_listed_study(studies: StudyLines) -> float:
    gc.collect()
    before = memory("RssAnon")
    listed = list(studies[:LISTED])
    return round((memory("RssAnon") - before) * 1024 / len(listed), 2)


def run(folder: Path, count: int, side: int, curve: Curve) -> dict[str, Any]:
    """Prepare and stream; return the figures."""
    root, seconds = folder / "cache", {}
    with curve.every(0.5):
        started = time.perf_counter()
        manifest = write_studies(folder, count)
        seconds["drawing"] = time.perf_counter() - started
        curve.phase, started = "prepare", time.perf_counter()
        made = prepare_source(parse_data(f"manifest:{manifest}"), root=root, side=side)
        seconds["prepare"] = time.perf_counter() - started
        curve.phase, started = "find and tokenise", time.perf_counter()
        studies = StudyLines.stored(made.folder / "studies.jsonl")
        samples = samples_of(studies, root, side)
        curve.phase, started = "epoch", time.perf_counter()
        streamed = stream(samples, curve)
        seconds["epoch"] = time.perf_counter() - started
        curve.phase = "end"
    return {
        "studies": made.studies,
        "pictures": made.pictures,
        "streamed": streamed,
        "side": side,
        "cache_mb": round(sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) / 1e6, 1),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "kb_per_listed_study": kilobytes_of_a_listed_study(studies),
    }


def summary(curve: Curve) -> dict[str, dict[str, float]]:
    """Per phase: resident memory at its first sample, after a tenth of them, at the last, and at most, in MB."""
    phases = dict.fromkeys(s["phase"] for s in curve.samples)
    values = {phase: curve.of(phase) for phase in phases}
    return {
        phase: {
            "first_mb": found[0],
            "tenth_mb": found[len(found) // 10],
            "last_mb": found[-1],
            "most_mb": max(found),
        }
        for phase, found in values.items()
    }


def draw(curve: Curve, path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    for phase, colour in (("start", "0.6"), ("prepare", "C0"), ("find and tokenise", "C2"), ("epoch", "C1")):
        found = [s for s in curve.samples if s["phase"] == phase]
        name = {"start": "drawing the pictures"}.get(phase, phase)
        axes.plot([s["seconds"] for s in found], [s["rss_mb"] for s in found], color=colour, label=name)
    axes.set(xlabel="seconds", ylabel="resident memory, MB", ylim=(0, None), title=title)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("contrastcxr").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=50_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument(
        "--folder", type=Path, help="where the pictures go for the time; default a temporary folder"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "results/prepare")
    parser.add_argument("--figure", type=Path, default=ROOT / "docs/images/prepare-memory.png")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    curve = Curve()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = run(Path(folder), arguments.studies, arguments.side, curve)
    figures |= {"memory": summary(curve), "processors": os.cpu_count()}
    draw(curve, arguments.figure, f"{figures['studies']:,} studies, {figures['cache_mb']:,.0f} MB of cache")
    arguments.out.mkdir(parents=True, exist_ok=True)
    thinned = curve.samples[:: max(1, len(curve.samples) // 400)]
    (arguments.out / "memory.json").write_text(json.dumps({**figures, "curve": thinned}, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
