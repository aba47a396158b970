"""What a checkpoint says of what it was made of: data, weights, boxes, each with its terms."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from contrastcxr.checkpoint import Checkpoint, SourceNote
from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import BOX_TERMS, box_authors
from contrastcxr.data.ref import DataRef
from contrastcxr.form import Study
from contrastcxr.models.align.aligner import Aligner
from contrastcxr.models.encoders import Encoder
from contrastcxr.training.bank import TrainingBank

logger = logging.getLogger(__name__)

FEW = 20
"""Pictures of whose mean, when they are fewer, it is said that it shows them (ours)."""


def source_notes(
    ref: DataRef, encoder: Encoder, *, pictures: Sequence[str] = (), made_on: Sequence[SourceNote] = ()
) -> tuple[SourceNote, ...]:
    """Return the data set, the encoder's weights and what an aligner was trained on, with their terms.

    Pictures of the data set that the checkpoint holds, such as the thumbnails of a bank (ours), have a note of
    their own, and where the terms forbid to pass pictures on, a warning says that the checkpoint must stay here.

    Args:
        ref: the data set.
        encoder: of the system.
        pictures: what the checkpoint holds of its pictures, in words.
        made_on: notes of the checkpoints that it is made of or starts from, and of whose boxes taught it.
    """
    source = ref.open()
    terms = source.licence
    allowed = terms.redistributable and terms.contains_pictures
    kept = [
        SourceNote(
            name=f"{source.name}, {held} in this file",
            licence=terms.terms,
            redistributable=allowed,
            contains_text=False,
            contains_pictures=True,
        )
        for held in pictures
    ]
    for held in () if allowed else pictures:
        logger.warning(
            f"data.source {source.name}: the checkpoint will hold {held}, which may not be passed on, so neither "
            "may the checkpoint; to share it, train on nih14 or phantoms, leave out the bank (contrast.bank.kind: "
            "zeros) or average more normals (align.canonical.images)"
        )
    own = SourceNote(
        name=source.name,
        licence=terms.terms,
        redistributable=terms.redistributable,
        contains_text=terms.contains_text,
        contains_pictures=terms.contains_pictures,
    )
    weights = SourceNote(
        name=f"encoder {encoder.name}",
        licence=encoder.weights_note,
        redistributable=True,
        contains_text=False,
        contains_pictures=False,
    )
    return tuple(dict.fromkeys((own, weights, *kept, *made_on)))


def pictures_in(bank: TrainingBank | None, aligner: Aligner | None) -> list[str]:
    """Return in words what a checkpoint holds of pictures of the data set that it is trained on."""
    few = aligner is not None and aligner.trained_here and aligner.images < FEW
    return [
        *(["thumbnails of its negatives"] if bank is not None and bank.bank.has_pictures else []),
        *([f"the mean of {aligner.images} of its normals"] if aligner is not None and few else []),
    ]


def notes_of(start: Checkpoint | None) -> tuple[SourceNote, ...]:
    """Return what the run that this one starts from was made of; nothing where there is none."""
    return () if start is None else start.sources


def box_notes(config: SystemConfig, train: Sequence[Study]) -> Iterator[SourceNote]:
    """Yield a note of each author whose boxes teach a localizer and whose terms are not those of the pictures."""
    taught = config.needs.taught_boxes
    for author in () if taught is None else box_authors(train, taught.findings or config.needs.study_names):
        if author in BOX_TERMS:
            yield SourceNote(
                name=f"boxes of {author}",
                licence=BOX_TERMS[author],
                redistributable=False,
                contains_text=False,
                contains_pictures=False,
            )
