"""How often a report is found by its picture: in the space of paper C's loss, and by what its own system knows.

    python scripts/found_reports.py RUN… --data 'phantom:standard?seed=0' --split validation --out found.json

A run was trained with `losses: wcl`. Recall among ten, of each run, over all studies of the split, ties
shared: of reports embedded beside the mean training picture and beside their own (`evaluate --metric retrieval`),
of those beside the mean picture by new heads that were fitted on such (and not on states that have seen the own
picture) for as many epochs, of reports ranked by how likely the probabilities of the run's findings make what they
state, of those ranked by the findings that the picture really has, and by chance. See docs/contrastive-loss.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation.cached import read_cached
from contrastcxr.evaluation.references import References, load_references, system_answers
from contrastcxr.evaluation.retrieval import check_retrieval, embedded, retrieval_scores
from contrastcxr.files import atomic_write, default_cache
from contrastcxr.losses.base import Space, States, StateWidths
from contrastcxr.losses.weak_contrast import WeakContrast, mean_patches, mean_words, weak_contrast
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


@dataclass
class Means:
    """In place of a space the means that its heads are fed."""

    mean_picture: Tensor

    def pictures(self, states: States) -> Tensor:
        """Return the mean patch of each study, `[B, C]`."""
        return mean_patches(states.patches.float(), states)

    def reports(self, states: States) -> Tensor:
        """Return the mean state of each report's words, `[B, h]`."""
        return mean_words(states.words.float(), states)


def pooled_states(reader: Reader, space: Space, references: References, cache: Path) -> tuple[Tensor, Tensor]:
    """Return the means of all pictures and of all reports beside the mean picture, `[S, C]` and `[S, h]`."""
    pictures, reports, _ = zip(*embedded(reader, Means(space.mean_picture), references, cache), strict=True)
    return torch.cat(pictures), torch.cat(reports)


def by_fitted_heads(
    reader: Reader, config: SystemConfig, training: References, references: References, cache: Path
) -> float:
    """Return the recall of heads fitted on training reports beside the mean picture, as long as the run lasted.

    Their loss is the run's with α = 1, which needs no clusters.
    """
    space, train = check_retrieval(reader, references), config.train
    assert isinstance(space, WeakContrast)
    (pictures, reports), scored = (pooled_states(reader, space, of, cache) for of in (training, references))
    torch.manual_seed(train.seed)
    heads = WeakContrast(StateWidths(pictures.shape[1], reports.shape[1]), space.options)
    optimizer = torch.optim.Adam(heads.parameters(), lr=train.optimizer.lr)
    B = train.batch_size
    for _ in range(train.epochs):
        for batch in torch.randperm(len(pictures)).split(B)[: len(pictures) // B]:
            near = F.normalize(heads.of_pictures(pictures[batch]), dim=-1)
            said = F.normalize(heads.of_reports(reports[batch]), dim=-1)
            own = torch.arange(B)
            losses = weak_contrast(near, said, own, own=own, alpha=1.0, temperature=space.options.divisor)
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
    with torch.no_grad():
        near = F.normalize(heads.of_pictures(scored[0]), dim=-1)
        similar = near @ F.normalize(heads.of_reports(scored[1]), dim=-1).T
    return float(expected_hits(similar.double().numpy(), (AMONG,)).mean())


def recall(run: Path, references: References, training: References, cache: Path) -> dict[str, float]:
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
        "by_fitted_heads": by_fitted_heads(reader, load_checkpoint(run).config, training, references, cache),
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
    references, training = (
        load_references(parse_data(asked.data), split, cache=asked.cache) for split in (asked.split, "train")
    )
    own = stated(references)
    bounds = {"by_findings": by_findings(own, own), "chance": min(1.0, AMONG / len(own))}
    runs = {run.name: {**recall(run, references, training, asked.cache), **bounds} for run in asked.runs}
    for name, figures in runs.items():
        print(name, *(f"{of} {value:.3f}" for of, value in figures.items()))
    kept = {name: {of: round(value, 4) for of, value in figures.items()} for name, figures in runs.items()}
    said = {"data": asked.data, "split": asked.split, "studies": len(own), "among": AMONG, "runs": kept}
    with atomic_write(asked.out) as file:
        file.write(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
