"""Weak labels of the training reports: their clusters, and which of them say the same (paper C)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import reading_of, report_text
from contrastcxr.data.ref import DataRef
from contrastcxr.errors import DatasetError, IncompatibleError, listed
from contrastcxr.features.samples import Target
from contrastcxr.form import Study
from contrastcxr.losses.options import ClusterOptions
from contrastcxr.training.report_clusters import ReportClusters, asserted
from contrastcxr.training.report_texts import written_text
from contrastcxr.training.report_vectors import Embedding

logger = logging.getLogger(__name__)

FOLDER = "clusters"
MADE = 2
"""Version of how clusters are made: another one makes them anew."""


def training_clusters(config: SystemConfig, studies: Sequence[Study], *, cache: Path) -> ReportClusters | None:
    """Return the clusters of the training reports, made once and kept in the cache; None where no loss needs them.

    Raises:
        DatasetError: fewer reports than clusters, a file of clusters of other reports, or two studies of one id.
        CheckpointError: no weights of the embedding, or others than expected.
        MissingExtraError: a package is not installed.
    """
    options = next((loss.weak_labels for loss in config.losses if loss.weak_labels is not None), None)
    if options is None:
        return None
    reports = {study.study_id: written_text(study, config) for study in studies}
    if len(reports) < len(studies):
        raise DatasetError(f"{len(studies) - len(reports)} training studies have the id of another one")
    check_batches(config, len(studies))
    found = _given(options, reports) or _kept(options, reports, seed=config.train.seed, cache=cache)
    found.warn()
    expected = (config.train.batch_size - 1) / found.k
    if expected < 1:
        logger.warning(
            f"losses wcl: a batch of {config.train.batch_size} has {expected:.2f} other reports of a study's "
            f"cluster on average ({found.k} clusters), so α rarely counts; "
            "raise train.batch_size, or lower clusters.k"
        )
    return found


def check_batches(config: SystemConfig, studies: int) -> None:
    """Refuse fewer studies than a batch: its reports would be too few, and processes could not share it equally.

    Raises:
        IncompatibleError: there are fewer.
    """
    if studies < config.train.batch_size:
        raise IncompatibleError(
            f"train.batch_size {config.train.batch_size} with losses wcl and {studies:,} training studies: they "
            "make no whole batch; lower it, or take more studies"
        )


def _given(options: ClusterOptions, reports: Mapping[str, str]) -> ReportClusters | None:
    if options.file is None:
        return None
    found = ReportClusters.read(options.file)
    found.check(reports, options.file)
    return found


def _kept(options: ClusterOptions, reports: Mapping[str, str], *, seed: int, cache: Path) -> ReportClusters:
    """Return clusters that were made of these reports before, or make them."""
    made = (MADE, options.k, options.embedding, _weights_key(options.weights), seed)
    key = hashlib.blake2b(f"{ReportClusters.fingerprint_of(reports)} {made}".encode(), digest_size=12).hexdigest()
    file = cache / FOLDER / f"{key}.json"
    if file.is_file():
        return ReportClusters.read(file)
    logger.info(f"clusters: {options.k} of {len(reports):,} training reports by {options.embedding}")
    found = ReportClusters.of(
        reports,
        k=options.k,
        embedding=options.embedding,
        weights=options.weights,
        seed=seed,
        allow_pickle=options.allow_pickle,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    found.write(file)
    return found


def _weights_key(weights: str | None) -> list[tuple[str, int, int]]:
    """Return name, size and time of the files in a folder of weights, or of the file."""
    if weights is None:
        return []
    place = Path(weights)
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return [(file.name, (found := file.stat()).st_size, found.st_mtime_ns) for file in files if file.is_file()]


def cluster_source(
    data: DataRef,
    *,
    k: int,
    embedding: Embedding,
    weights: str | Path | None,
    sections: Sequence[str],
    author: str | None,
    seed: int,
    allow_pickle: bool,
) -> ReportClusters:
    """Return clusters of the reports of a source's split, by default that of training.

    Raises:
        DatasetError: no study has a report, or fewer differ than there are clusters.
    """
    source = data.open()
    split = data.split or ("train" if "train" in source.splits else None)
    reports = {
        study.study_id: report_text(reading_of(study, author=author), sections=sections)
        for study in source.stream(split)
        if study.readings
    }
    if not any(text.strip() for text in reports.values()):
        raise DatasetError(f"{data}: no study has a report in {listed(sections)}; choose data with reports")
    found = ReportClusters.of(
        reports, k=k, embedding=embedding, weights=weights, seed=seed, allow_pickle=allow_pickle
    )
    found.warn()
    return found


def with_weak_labels(
    targets: Sequence[Target], studies: Sequence[Study], clusters: ReportClusters, config: SystemConfig
) -> list[Target]:
    """Return targets of training studies with the cluster of each report and, where a loss asks, its meaning."""
    meanings = None
    if any(loss.needs_meanings for loss in config.losses):
        meanings = _meanings([written_text(study, config) for study in studies])
    found = []
    for place, (study, target) in enumerate(zip(studies, targets, strict=True)):
        further = replace(
            target.further,
            clusters=torch.tensor(clusters.numbers[study.study_id]),
            meanings=None if meanings is None else torch.tensor(meanings[place]),
        )
        found.append(replace(target, further=further))
    return found


def _meanings(texts: Sequence[str]) -> list[int]:
    """Return a number for each report, equal where the labeler's present and uncertain findings are, and say so.

    What a report denies says nothing apart from another that does not speak of it.
    """
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    found = [numbers.setdefault(asserted(text), len(numbers)) for text in texts]
    counts = torch.bincount(torch.tensor(found)).double()
    pairs = len(found) * (len(found) - 1)
    same = float((counts * (counts - 1)).sum()) / max(pairs, 1)
    logger.info(f"losses wcl: {same:.1%} of the pairs of training reports state the same and are no negatives")
    return found
