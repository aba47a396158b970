"""How many masses of unseen phantoms a model marks: the acceptance of the bundled checkpoint `phantom`.

    python scripts/marked_masses.py MODEL [--out FILE] [--cache DIR]

Reads the first 50 validation studies with a boxed mass of level `standard` and prints on how many the marked
region has an IoU of at least .3 with the boxes. A draw has about 20 of them, so draws are taken one after the
other from seed 1 on, the one that the model chose its epoch on. Test studies are not looked at.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from contrastcxr.api import load_studies
from contrastcxr.form import Finding, Study
from contrastcxr.metrics.localization import Overlap
from contrastcxr.reading.reader import Reader

DRAW = "phantom:standard/validation?seed={}"
FIRST_SEED = 1
FINDING = "Mass"
STUDIES = 50
RIGHT = 0.3
"""IoU of region and boxes from which a mass is marked."""
WANTED = 0.5
"""Share of the masses that a model must mark."""


@dataclass(frozen=True)
class Marked:
    """What was found.

    Attributes:
        finding: whose boxes were compared with the marks.
        draws: data names of the studies, in the order in which they were taken.
        studies: how many had a box.
        marked: on how many of them the IoU was `right` or more.
        right: that IoU.
        wanted: the share that is asked for.
        mean_iou: over all of them.
        first_draw: (marked, studies) of the first draw alone.
    """

    finding: str
    draws: tuple[str, ...]
    studies: int
    marked: int
    right: float
    wanted: float
    mean_iou: float
    first_draw: tuple[int, int]

    @property
    def share(self) -> float:
        """Return the share of the studies on which it was marked."""
        return self.marked / self.studies

    @property
    def accepted(self) -> bool:
        """Return whether that is enough."""
        return self.share >= self.wanted


def finding_of(findings: Iterable[Finding]) -> Finding | None:
    """Return the one that is asked about, if there is any."""
    return next((f for f in findings if f.name == FINDING), None)


def boxed_studies(cache: Path | None) -> Iterator[tuple[str, Study, Finding]]:
    """Yield the studies with a box of the finding and what is true of it, draw by draw, without end."""
    for seed in itertools.count(FIRST_SEED):
        draw = DRAW.format(seed)
        for study in load_studies(draw, cache=cache):
            truth = finding_of(study.readings[0].findings)
            if truth is not None and truth.boxes:
                yield draw, study, truth


def measure(model: str | Path, *, studies: int = STUDIES, cache: Path | None = None) -> Marked:
    """Return how many of the first so many boxed studies a model marks."""
    reader = Reader.from_checkpoint(model)
    found: list[tuple[str, float]] = []
    for draw, study, truth in itertools.islice(boxed_studies(cache), studies):
        read = finding_of(reader.read(study).findings)
        found.append((draw, Overlap.of(read.region if read is not None else (), truth.boxes).iou))
    right = [(draw, iou >= RIGHT) for draw, iou in found]
    first = [hit for draw, hit in right if draw == DRAW.format(FIRST_SEED)]
    return Marked(
        finding=FINDING,
        draws=tuple(dict.fromkeys(draw for draw, _ in found)),
        studies=len(found),
        marked=sum(hit for _, hit in right),
        right=RIGHT,
        wanted=WANTED,
        mean_iou=round(sum(iou for _, iou in found) / len(found), 4),
        first_draw=(sum(first), len(first)),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a run folder, a checkpoint or the name of a bundled model")
    parser.add_argument("--out", type=Path, help="file for the figures, JSON")
    parser.add_argument("--cache", type=Path, help="folder where drawn studies are kept")
    args = parser.parse_args()
    found = measure(args.model, cache=args.cache)
    if args.out is not None:
        args.out.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    print(
        f"{found.finding}: IoU of {found.right} or more on {found.marked} of {found.studies} ({found.share:.2f})"
    )
    return 0 if found.accepted else 1


if __name__ == "__main__":
    raise SystemExit(main())
