"""Pictures found by reports and reports by pictures, in the space of a contrastive loss (paper C)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastcxr.errors import RequestError
from contrastcxr.evaluation.cached import encoded_for, load_batches
from contrastcxr.evaluation.references import References
from contrastcxr.features.batch import Batch, Sample
from contrastcxr.features.extraction import batch_features, batch_targets, raw_features
from contrastcxr.features.samples import FromCache
from contrastcxr.form import Position, Study
from contrastcxr.losses.base import Space, SystemLoss
from contrastcxr.metrics.learned.ask import LearnedScores
from contrastcxr.metrics.retrieval import RETRIEVAL_SCORES, expected_hits
from contrastcxr.reading.exchange import with_report
from contrastcxr.reading.reader import Reader


def retrieval_scores(system: object, references: References, *, cache: Path) -> LearnedScores:
    """Return for each study whether its report is found by its picture, and the other way round.

    A decoder's states of a forced report have seen the picture that it attends to, so that a report would be found
    by its own picture whatever the space is like: reports are embedded beside the mean training picture. Those
    embedded beside their own picture stand next to it. All pairs are of the studies that are scored.

    Args:
        system: a reader, whose system has a space.
        references: of studies all of whose pictures can be read.
        cache: folder of encoder features.

    Raises:
        RequestError: as `check_retrieval`.
    """
    space = check_retrieval(system, references)
    assert isinstance(system, Reader)
    pictures, blind, seeing = (
        torch.cat(each) for each in zip(*embedded(system, space, references, cache), strict=True)
    )
    similar = [(pictures @ reports.T).double().cpu().numpy() for reports in (blind, seeing)]
    hits = np.hstack([expected_hits(each) for table in similar for each in (table, table.T)])
    signature = f"gallery:{len(pictures)}|reports beside:the mean training picture"
    return LearnedScores(tuple(RETRIEVAL_SCORES), hits, {"retrieval": signature})


def has_space(reader: Reader) -> bool:
    """Return whether a reader was opened with a loss in whose space pictures and reports meet."""
    return _found(reader) is not None


def _found(reader: Reader) -> Space | None:
    losses = [loss for loss in reader.system.losses.values() if isinstance(loss, SystemLoss)]
    return next((loss.space for loss in losses if loss.space is not None), None)


def check_retrieval(system: object, references: References) -> Space:
    """Return the space of a system, or refuse to look for one before anything is read.

    Raises:
        RequestError: the system has no such space, its run has not ended, it finds negatives by the picture
            itself, or the references hold no reports.
    """
    found = _found(system) if isinstance(system, Reader) else None
    if found is None:
        raise RequestError(
            "--metric retrieval: the system has no space in which pictures and reports meet; give the run of one "
            "that was trained with losses wcl"
        )
    assert isinstance(system, Reader)
    if not bool(found.mean_picture.any()):
        raise RequestError("--metric retrieval: the checkpoint holds no mean training picture; end its run first")
    if system.system.bank is not None:
        raise RequestError(
            "--metric retrieval: the system finds what it compares a study with by its own picture, so that no "
            "report is embedded without; give a system without contrast.bank"
        )
    if not references.written:
        raise RequestError("--metric retrieval: the references hold no report; score data whose studies have some")
    return found


def embedded(
    reader: Reader, space: Space, references: References, cache: Path
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield of each batch `[B, w]` of the pictures, the reports beside the mean picture, and beside their own."""
    kept, _ = encoded_for(reader, references.studies, cache=cache)
    load, tokenizer = FromCache(kept, reader.max_views), reader.tokenizer
    assert tokenizer is not None  # a decoder has a vocabulary
    reports = [answer.words for answer in references.answers()]
    longest = reader.settings.max_tokens + 1  # BOS is not written

    def with_words(study: Study, index: int) -> Sample:
        return with_report(load(study, index), reports[index], tokenizer, max_tokens=longest)

    for batch in load_batches(reader, references.studies, with_words):
        here = batch.to(reader.device)
        yield _of_batch(reader, space, here)


@torch.no_grad()
def _of_batch(reader: Reader, space: Space, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    system = reader.system
    decoder = system.decoder
    assert decoder is not None  # a space is of a decoder's states
    raw, targets = raw_features(system, batch), batch_targets(batch)
    own = decoder.states(batch_features(system, batch, raw=raw), targets)
    mean = space.mean_picture.to(raw).expand_as(raw)  # [n, C] -> [B, V, n, C]
    strangers = replace(batch, **_of_nobody(batch))
    blind = decoder.states(batch_features(system, strangers, raw=mean), targets)
    assert own is not None  # `check_pairs` refuses a loss on states that are not there
    assert blind is not None
    return space.pictures(own), space.reports(blind), space.reports(own)


def _of_nobody(batch: Batch) -> dict[str, Any]:
    """Return the fields of a batch that say something of a picture, as they are where nothing is known of it."""
    positions: tuple[Position, ...] = ("unknown",)
    return {
        "patient_ids": (None,) * len(batch),
        "positions": tuple(positions * len(views) for views in batch.positions),
        "poses": None,
    }
