"""A reader shown the pictures of other patients: what it foresees of the references, and what it then writes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from contrastcxr.evaluation.cached import encoded_for, load_batches
from contrastcxr.evaluation.references import References, system_answers
from contrastcxr.features.batch import Sample
from contrastcxr.features.samples import FromCache
from contrastcxr.form import Reading, Study
from contrastcxr.metrics.bootstrap import Floats
from contrastcxr.metrics.clinical import status_codes
from contrastcxr.metrics.exchange import FORESEEN
from contrastcxr.metrics.table import NO_REPORT, Answer, StudyTable
from contrastcxr.reading.exchange import (
    ExchangedPictures,
    Load,
    exchange_order,
    foresees_words,
    with_report,
    word_losses,
)
from contrastcxr.reading.reader import Reader
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.labeler import label
from contrastcxr.text.sentence_order import in_canonical_order

logger = logging.getLogger(__name__)

NO_READER = "readings are given, and no reader that foresees words or takes other pictures"
NO_WORDS = "the decoder has no probability of a word"
ONE_PATIENT = "more than half of the studies are of one patient, so that not all pictures can be exchanged"


@dataclass(frozen=True, eq=False)
class Exchange:
    """What no search touches, and what comes of exchanged pictures, in the order of the studies.

    Attributes:
        word_losses: `[S, 8]`, see `StudyTable`; None where no word is foreseen.
        answers: what is written from another patient's picture; None where no picture is exchanged.
        notes: why something is None, `word_losses` or `exchange`; which words were to be `foreseen`.
    """

    word_losses: Floats | None = None
    answers: Sequence[Answer] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def none(cls, reason: str) -> Exchange:
        """Return that of a system that is asked nothing, with the reason."""
        return cls(notes=dict.fromkeys(("word_losses", "exchange"), reason))


def exchange_pictures(system: Reader | Sequence[Reading], references: References, *, cache: Path) -> Exchange:
    """Return what a reader foresees of the references, with its own pictures and with exchanged ones.

    References are cut to as many tokens as the reader may write. Each study keeps its indication.

    Args:
        system: a reader, or readings, of which nothing can be asked.
        references: of studies all of whose pictures can be read.
        cache: folder of encoder features, which are there already.
    """
    if not isinstance(system, Reader):
        return Exchange.none(NO_READER)
    if system.system.decoder is None:
        return Exchange.none(NO_REPORT)
    if not references.written:
        return Exchange.none("the references hold no report")
    studies = references.studies
    kept, _ = encoded_for(system, studies, cache=cache)
    own = FromCache(kept, system.max_views)
    order = exchange_order(references.patients)
    losses, notes = None, {}
    if foresees_words(system.system):
        losses = _word_losses(system, references, own)
        notes[FORESEEN] = _foreseen(system)
    else:
        notes["word_losses"] = NO_WORDS
    if order is None:
        notes["exchange"] = ONE_PATIENT
        return Exchange(None if losses is None else np.hstack([losses, np.full_like(losses, np.nan)]), None, notes)
    load = ExchangedPictures(own, studies, order)
    if losses is not None:
        losses = np.hstack([losses, _word_losses(system, references, load)])
    return Exchange(losses, system_answers(_readings(system, studies, load), references), notes)


def _foreseen(reader: Reader) -> str:
    assert reader.tokenizer is not None  # a decoder has a vocabulary
    return f"order:{reader.order}|vocabulary:{reader.tokenizer.digest()}|words:{reader.settings.max_tokens}"


def _word_losses(reader: Reader, references: References, load: Load) -> Floats:
    """Return `[S, 4]` of the studies as they are loaded, their sentences in the order that the reader learnt."""
    reports, tokenizer = [answer.words for answer in references.answers()], reader.tokenizer
    if reader.order == "canonical":
        findings_in = parse if references.parses() else label
        reports = [in_canonical_order(report, findings_in) for report in reports]
    assert tokenizer is not None  # a decoder has a vocabulary
    longest = reader.settings.max_tokens + 1  # BOS is not written

    def with_words(study: Study, index: int) -> Sample:
        return with_report(load(study, index), reports[index], tokenizer, max_tokens=longest)

    batches = load_batches(reader, references.studies, with_words)
    return np.concatenate([word_losses(reader.system, batch) for batch in batches])


def _readings(reader: Reader, studies: Sequence[Study], load: Load) -> list[Reading]:
    readings: list[Reading] = []
    for batch in load_batches(reader, studies, load):
        readings += reader.read_features(batch)
        logger.info(f"read {len(readings):,} of {len(studies):,} studies with other patients' pictures")
    return readings


def with_exchange(table: StudyTable, found: Exchange) -> StudyTable:
    """Return the table of a system with what was found; findings where those of its own reports are known."""
    claimed, notes = None, {**(table.notes or {}), **found.notes}
    if found.answers is not None and table.claimed is not None:
        claimed = status_codes([answer.findings or () for answer in found.answers], table.names)
    elif found.answers is not None:
        notes["exchange"] = notes["findings"]
    return replace(table, word_losses=found.word_losses, claimed_exchanged=claimed, notes=notes)
