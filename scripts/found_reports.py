"""How often a report is found by its picture: in the space of paper C's loss, and by what its own system knows.

    python scripts/found_reports.py RUN… --data 'phantom:standard?seed=0' --split validation --out found.json

A run was trained with `losses: wcl`. Recall among ten, of each run, over all studies of the split, ties
shared: of reports embedded beside the mean training picture and beside their own (`evaluate --metric retrieval`),
of reports ranked by how likely the probabilities of the run's findings make the findings that they state, of those
ranked by the findings that the picture really has, and by chance. See docs/contrastive-loss.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation.cached import read_cached
from contrastcxr.evaluation.references import References, load_references, system_answers
from contrastcxr.evaluation.retrieval import retrieval_scores
from contrastcxr.files import atomic_write, default_cache
from contrastcxr.metrics.retrieval import expected_hits
from contrastcxr.reading.reader import Reader

AMONG = 10
SMALLEST = 1e-4
"""Probabilities are kept away from 0 and 1 by so much."""


def stated(references: References) -> np.ndarray:
    """Return which findings each report states as present, `[S, L]`."""
    said = [{f.name for f in answer.findings or () if f.status == "present"} for answer in references.answers()]
    return np.array([[name in present for name in references.names] for present in said], dtype=float)


def by_findings(probabilities: np.ndarray, reports: np.ndarray) -> float:
    """Return the recall of reports ranked by the log-likelihood of what they state, `[S, L]` each."""
    sure = probabilities.clip(SMALLEST, 1 - SMALLEST)
    likely = np.log(sure) @ reports.T + np.log1p(-sure) @ (1 - reports).T
    return float(expected_hits(likely, (AMONG,)).mean())


def recall(run: Path, references: References, cache: Path) -> dict[str, float]:
    """Return the recall of one run, by how reports are ranked."""
    reader = Reader.from_checkpoint(run, losses=True)
    found = retrieval_scores(reader, references, cache=cache)
    means = dict(zip(found.names, found.values.mean(axis=0), strict=True))
    readings, _ = read_cached(reader, references.studies, cache=cache)
    known = [answer.probabilities or {} for answer in system_answers(readings, references)]
    probabilities = np.array([[of.get(name, 0.0) for name in references.names] for of in known])
    return {
        "beside_mean_picture": float(means[f"retrieval/image_to_text_{AMONG}"]),
        "beside_own_picture": float(means[f"retrieval/image_to_text_{AMONG}_seen"]),
        "by_probabilities": by_findings(probabilities, stated(references)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every run and write the figures by the name of its folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--cache", type=Path, default=default_cache())
    asked = parser.parse_args(arguments)
    references = load_references(parse_data(asked.data), asked.split, cache=asked.cache)
    own = stated(references)
    bounds = {"by_findings": by_findings(own, own), "chance": min(1.0, AMONG / len(own))}
    runs = {run.name: {**recall(run, references, asked.cache), **bounds} for run in asked.runs}
    for name, figures in runs.items():
        print(name, *(f"{of} {value:.3f}" for of, value in figures.items()))
    kept = {name: {of: round(value, 4) for of, value in figures.items()} for name, figures in runs.items()}
    said = {"data": asked.data, "split": asked.split, "studies": len(own), "among": AMONG, "runs": kept}
    with atomic_write(asked.out) as file:
        file.write(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
