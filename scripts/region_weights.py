"""What the localizer of paper D weighs: whether the regions that weigh most lie on the boxes of the finding.

    python scripts/region_weights.py RUN… --data 'phantom:standard?seed=1' --split validation --out weights.json

A run is that of a `cross_attention` localizer or of its control `alpha: scores`, which weighs the same regions by
the scores of their detector. Of the studies with a box of the finding whose report states a word it measures, of
each run, the mean over studies of what `MEASURES` names; of several views of a study the first that enters, with
its own regions alone. Nothing is chosen by it; see docs/cross-attention.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torchvision.ops import box_iou

from contrastcxr.data.sources import parse_data
from contrastcxr.data.transforms import map_boxes
from contrastcxr.evaluation.cached import cached_batches, encoded_for
from contrastcxr.evaluation.references import studies_of
from contrastcxr.files import atomic_write, default_cache
from contrastcxr.form import Study
from contrastcxr.models.heads.localizers.options import CrossAttentionOptions
from contrastcxr.reading.reader import Reader
from contrastcxr.reading.regions import StudyRegions
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.vocab.attribute_words import AttributeList, attribute_list

ON, OFF = 0.5, 0.1
"""IoU with a box of the finding from which a region lies on it, and below which it does not."""
MEASURES = {
    "weigh": "how many regions weigh, exp of the entropy of their weights",
    "on": "share of the weight on regions that lie on a box",
    "regions_on": "share of the regions that lie on a box, which is what equal weights have",
    "off": "share of the weight on regions that touch no box, or hardly",
    "first_on": "share of studies whose first region lies on a box",
    "word_on": "share of the stated words, each by its attention b, on regions that lie on a box",
}


def boxes_of(study: Study, attributes: AttributeList, view: int) -> np.ndarray:
    """Return the boxes of the list's findings in a view, `[K, 4]` in its pixels."""
    findings = (finding for reading in study.readings for finding in reading.findings or ())
    boxes = (box for finding in findings if finding.name in attributes.boxed for box in finding.boxes or ())
    return np.array([box.xyxy for box in boxes if box.view == view], dtype=float).reshape(-1, 4)


def measured(regions: StudyRegions, overlap: np.ndarray, stated: Sequence[str]) -> dict[str, float]:
    """Return the measures of one study, by name.

    Args:
        regions: with their weights, which sum to 1.
        overlap: `[R]`, the best IoU of each with a box of the finding.
        stated: words of the report.
    """
    weights = regions.weights[regions.weights > 0]
    found = {
        "weigh": float(np.exp(-(weights * np.log(weights)).sum())),
        "on": float(regions.weights[overlap >= ON].sum()),
        "regions_on": float((overlap >= ON).mean()),
        "off": float(regions.weights[overlap < OFF].sum()),
        "first_on": float(overlap[regions.weights.argmax()] >= ON),
    }
    if regions.words is not None:
        chosen = [regions.words.names.index(word) for word in stated]
        found["word_on"] = float(regions.words.attention[overlap >= ON][:, chosen].sum(axis=0).mean())
    return found


def in_view(regions: StudyRegions, place: int) -> StudyRegions:
    """Return the regions of one of the views that entered, their weights in shares of its own.

    How much of a word stands in each stays as it is, with the axes of the paper a share of all regions looked at.
    """
    here = (regions.views == place) & (regions.weights > 0)
    words = regions.words and replace(regions.words, attention=regions.words.attention[here])
    weights = regions.weights[here]
    return StudyRegions(regions.boxes[here], weights / weights.sum(), regions.views[here], words)


def attributes_of(reader: Reader, run: Path) -> AttributeList:
    """Return the list of words of a run's localizer, or end where it weighs no regions."""
    localizer = reader.system.localizer
    options = None if localizer is None else localizer.options
    if not isinstance(options, CrossAttentionOptions):
        raise SystemExit(
            f"{run}: no localizer that weighs regions by words; give the run of one with "
            "localizer.kind: cross_attention"
        )
    return attribute_list(options.attributes)


def of_studies(
    reader: Reader, attributes: AttributeList, studies: Sequence[Study], cache: Path
) -> Iterator[dict[str, float]]:
    """Yield the measures of every study with a stated word and, in its first view that enters, box and region."""
    kept, _ = encoded_for(reader, studies, cache=cache)
    words, done = AttributeReader(attributes), 0
    for batch in cached_batches(reader, studies, kept):
        here = studies[done : (done := done + len(batch))]
        for row, (study, found) in enumerate(zip(here, reader.regions(batch), strict=True)):
            stated = words.stated(study.readings[0].report)
            wanted = boxes_of(study, attributes, view=batch.view_index[row][0])
            regions = in_view(found[attributes.finding], 0)
            if stated and len(wanted) and len(regions.weights):
                own = torch.from_numpy(map_boxes(batch.affines[row, 0].numpy(), regions.boxes))
                overlap = box_iou(own.double(), torch.from_numpy(wanted)).amax(dim=1)
                yield measured(regions, overlap.numpy(), stated)


def means(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each measure over the studies, and their number."""
    names = [name for name in MEASURES if found and name in found[0]]
    return {**{name: round(float(np.mean([each[name] for each in found])), 4) for name in names}, "n": len(found)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every run and write the means by the name of its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--cache", type=Path, default=default_cache())
    asked = parser.parse_args(arguments)
    studies = studies_of(parse_data(asked.data), asked.split, cache=asked.cache)
    found: dict[str, dict[str, float]] = {}
    for run in asked.runs:
        reader = Reader.from_checkpoint(run)
        found[run.name] = means([*of_studies(reader, attributes_of(reader, run), studies, asked.cache)])
        print(run.name, *(f"{name} {value}" for name, value in found[run.name].items()))
    with atomic_write(asked.out) as file:
        file.write(json.dumps({"data": asked.data, "split": asked.split, "runs": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
