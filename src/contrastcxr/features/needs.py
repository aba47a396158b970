"""What a decoder asks of the data beside reports, and where it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastcxr.assemble import tag_names
from contrastcxr.config import (
    CoAttentionConfig,
    CvseConfig,
    DecoderConfig,
    HlstmDualConfig,
    MultiAttentionConfig,
)
from contrastcxr.errors import DatasetError
from contrastcxr.features.targets import abnormal_sentences, indexing_terms, indication_ids, tag_targets
from contrastcxr.form import Study
from contrastcxr.text.labeler import Labeler
from contrastcxr.text.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class HeadTargets:
    """Fields of a sample that only some decoders ask for."""

    indication_ids: Tensor | None = None  # [T] int64
    abnormal: Tensor | None = None  # [S] bool
    tags: Tensor | None = None  # [L] float


TERM_STUDIES = 5
"""Training studies that an indexing term must stand with to be a tag (ours)."""

NOTHING_FURTHER = HeadTargets()


@dataclass(frozen=True, eq=False)
class HeadNeeds:
    """What goes into the samples of a decoder.

    Attributes:
        tags: names of the tags it predicts.
        terms: those of them that are indexing terms of the training studies.
        indication: whether it reads the indication.
        labeler: says which sentences are abnormal, for a decoder that has to know.
    """

    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    indication: bool = False
    labeler: Labeler | None = None

    @classmethod
    def by(cls, decoder: DecoderConfig, studies: Sequence[Study], *, terms: Sequence[str] = ()) -> HeadNeeds:
        """Return what this decoder asks for, of training studies that know which indexing terms there are.

        `terms` are those of the run that one starts from, whose outputs stand for them.

        Raises:
            DatasetError: tags are indexing terms, and no study has one often enough.
        """
        if isinstance(decoder, CoAttentionConfig):
            known: tuple[str, ...] = ()
            if decoder.tags == "mesh":
                known = tuple(terms) or _frequent_terms(studies)
            return cls(tags=tag_names(decoder, terms=known), terms=known)
        if isinstance(decoder, MultiAttentionConfig):
            return cls(indication=decoder.background == "indication")
        return cls(labeler=Labeler() if isinstance(decoder, HlstmDualConfig | CvseConfig) else None)

    def of(self, study: Study, *, token_ids: Sequence[int], tokenizer: Tokenizer) -> HeadTargets:
        """Return the fields of a study's sample.

        Raises:
            DatasetError: an indication that gives the report away.
        """
        if self.indication:
            check_indication(study)
        return HeadTargets(
            indication_ids=indication_ids(study, tokenizer) if self.indication else None,
            abnormal=abnormal_sentences(token_ids, tokenizer, self.labeler) if self.labeler else None,
            tags=self._tags(study),
        )

    def _tags(self, study: Study) -> Tensor | None:
        if self.terms:
            own = indexing_terms(study)
            return torch.tensor([float(term in own) for term in self.terms])
        return tag_targets(study, self.tags) if self.tags else None

    def texts(self, studies: Sequence[Study]) -> list[str]:
        """Return the texts beside the reports whose words the vocabulary needs."""
        return [study.indication for study in studies if study.indication] if self.indication else []


def _frequent_terms(studies: Sequence[Study]) -> tuple[str, ...]:
    counts = Counter(term for study in studies for term in indexing_terms(study))
    terms = tuple(sorted(term for term, count in counts.items() if count >= TERM_STUDIES))
    if not terms:
        raise DatasetError(
            f"decoder.tags mesh: no indexing term stands with {TERM_STUDIES} training studies; choose data with "
            "MeSH terms (docs/data.md), or labels for tags"
        )
    return terms


def check_indication(study: Study) -> None:
    """Refuse an indication that is the impression: a slide of paper A's talk shows such a study.

    Raises:
        DatasetError: it is.
    """
    told = " ".join(study.indication.lower().split())
    for reading in study.readings:
        if told and told == " ".join(reading.report.impression.lower().split()):
            raise DatasetError(
                f"study {study.study_id}: the indication is the impression word for word ('{told[:60]}'), so the "
                "decoder would be told the answer; correct it, or set decoder.background: none"
            )
