"""Reading a split through the cache of encoder features, so that many systems share one pass over the pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from contrastcxr.data.views import chosen_views
from contrastcxr.errors import RequestError
from contrastcxr.features.batch import Batch, collate
from contrastcxr.features.cache import FeatureCache, encode_views
from contrastcxr.features.needs import check_indication
from contrastcxr.features.readable import all_in
from contrastcxr.features.samples import FromCache
from contrastcxr.form import Reading, Study
from contrastcxr.reading.exchange import Load
from contrastcxr.reading.reader import Reader
from contrastcxr.store.workers import ahead

logger = logging.getLogger(__name__)

READ_BATCH = 32


def read_cached(reader: Reader, studies: Sequence[Study], *, cache: Path) -> tuple[list[Reading], list[str]]:
    """Read studies through the feature cache; also the line of each study that could not be read.

    Raises:
        RequestError: the system has no encoder of its own.
        DatasetError: the system reads an indication, and one is the impression that it is to write.
    """
    if reader.system.encoder is None:
        raise RequestError("this system has no encoder of its own; evaluate its readings instead (--readings)")
    if reader.system.reads_indication:
        for study in studies:
            check_indication(study)
    kept, failures = encoded_for(reader, studies, cache=cache)
    readable = [study for study in studies if all_in(study, kept, reader.max_views)]
    readings: list[Reading] = []
    for batch in cached_batches(reader, readable, kept):
        readings += reader.read_features(batch)
        logger.info(f"read {len(readings):,} of {len(readable):,} studies")
    return readings, failures


def cached_batches(reader: Reader, studies: Sequence[Study], kept: FeatureCache) -> Iterator[Batch]:
    """Yield batches of the kept features of the studies, as the reader's system takes them.

    A batch also holds all else that the system reads of a study.
    """
    yield from load_batches(reader, studies, FromCache(kept, reader.max_views))


def load_batches(reader: Reader, studies: Sequence[Study], load: Load) -> Iterator[Batch]:
    """Yield batches of the samples that `load` gives of each study and its place."""

    def made(start: int) -> Batch:
        part = enumerate(studies[start : start + READ_BATCH], start)
        batch = collate([reader.with_inputs(study, load(study, place)) for place, study in part], pad=reader.pad)
        return batch.pin_memory() if reader.device.type == "cuda" else batch

    yield from ahead(made, range(0, len(studies), READ_BATCH), device=reader.device.type)


def encoded_for(reader: Reader, studies: Sequence[Study], *, cache: Path) -> tuple[FeatureCache, list[str]]:
    """Return what the reader's system sees of the studies' views, and a line for each unreadable view.

    Features that the cache lacks are made; for a bank also those that an earlier version kept without a thumbnail.
    """
    system = reader.system
    assert system.encoder is not None  # checkpoints hold their encoder
    kept, unreadable = encode_views(
        chosen_views(studies, max_views=reader.max_views),
        encoder=system.encoder,
        preprocess=reader.preprocess,
        root=cache,
        with_thumbnails=system.bank is not None,
        aligner=system.aligner,
    )
    return kept, [f"{view.view_id}: {view.message}" for view in unreadable]
