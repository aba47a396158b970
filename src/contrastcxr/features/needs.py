"""What heads ask of a study beside its report and its labels, and where it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastcxr.data.authors import reading_of
from contrastcxr.errors import DatasetError
from contrastcxr.features.targets import abnormal_sentences, indexing_terms, indication_ids, tag_targets
from contrastcxr.form import Study
from contrastcxr.models.heads.options import HeadNeeds
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.text.labeler import Labeler
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.vocab.attribute_words import attribute_list


@dataclass(frozen=True, eq=False)
class HeadTargets:
    """Fields of a sample that only some heads ask for."""

    indication_ids: Tensor | None = None  # [T] int64
    abnormal: Tensor | None = None  # [S] bool
    tags: Tensor | None = None  # [L] float
    attributes: Tensor | None = None  # [A] bool
    clusters: Tensor | None = None  # [] int64
    meanings: Tensor | None = None  # [] int64


TERM_STUDIES = 5
"""Training studies that an indexing term must stand with to be a tag (ours)."""

NOTHING_FURTHER = HeadTargets()


@dataclass(frozen=True, eq=False)
class TargetReader:
    """Reads out of a study what the heads of a system ask for.

    Attributes:
        tags: names of the tags that are predicted.
        terms: those of them that are indexing terms of the training studies.
        indication: whether the indication is read.
        labeler: says which sentences are abnormal, where somebody has to know.
        attributes: reads those that a report states, where they are learnt.
        author: whose report that is; None takes the study's first.
    """

    tags: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    indication: bool = False
    labeler: Labeler | None = None
    attributes: AttributeReader | None = None
    author: str | None = None

    @classmethod
    def by(
        cls, needs: HeadNeeds, studies: Sequence[Study], *, terms: Sequence[str] = (), author: str | None = None
    ) -> TargetReader:
        """Return the reader for heads, of training studies that know which indexing terms there are.

        `terms` are those of the run that one starts from, whose outputs stand for them; `author` is whose reports
        are read.

        Raises:
            DatasetError: tags are indexing terms, and no study has one often enough.
        """
        known = (tuple(terms) or _frequent_terms(studies)) if needs.tags == "mesh" else ()
        return cls(
            tags=needs.tag_names(terms=known),
            terms=known,
            indication=needs.indication,
            labeler=Labeler() if needs.sentence_flags else None,
            attributes=None if needs.attributes is None else AttributeReader(attribute_list(needs.attributes)),
            author=author,
        )

    def without_words(self, study: Study) -> HeadTargets:
        """Return the fields of a study's sample that need no vocabulary."""
        return HeadTargets(attributes=self.stated(study))

    def stated(self, study: Study) -> Tensor | None:
        """Return which attributes the report of a study states, `[A]` bool; None where nobody learns any."""
        if self.attributes is None:
            return None
        found = set(self.attributes.stated(reading_of(study, author=self.author).report))
        return torch.tensor([name in found for name in self.attributes.attributes.attributes])

    def of(self, study: Study, *, token_ids: Sequence[int], tokenizer: Tokenizer) -> HeadTargets:
        """Return the fields of a study's sample, whose report is `token_ids`.

        Raises:
            DatasetError: an indication that gives the report away.
        """
        if self.indication:
            check_indication(study)
        return HeadTargets(
            indication_ids=indication_ids(study, tokenizer) if self.indication else None,
            abnormal=abnormal_sentences(token_ids, tokenizer, self.labeler) if self.labeler else None,
            tags=self._tags(study),
            attributes=self.stated(study),
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
