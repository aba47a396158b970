"""The sentence library of a retrieval decoder, from the training reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from contrastcxr.errors import DatasetError
from contrastcxr.features.targets import names_abnormality, sentence_ids
from contrastcxr.models.heads.library import SentenceLibrary
from contrastcxr.text.labeler import Labeler
from contrastcxr.text.tokenizer import Tokenizer

ALIKE = 0.95
"""Cosine of TF-IDF from which two sentences are one (ours)."""

GROUPS = 30
"""Groups of like sentences, of each of which a report says one at most (ours)."""

SOURCES = 3
"""Studies that a sentence remembers it comes from."""


@dataclass(eq=False)
class _Said:
    """One sentence and who says it."""

    count: int = 0
    studies: list[str] = field(default_factory=list)

    def by(self, study: str) -> None:
        self.count += 1
        if len(self.studies) < SOURCES:
            self.studies.append(study)


def make_library(
    reports: Sequence[tuple[str, Sequence[int]]], *, tokenizer: Tokenizer, size: int, seed: int
) -> SentenceLibrary:
    """Return the abnormal sentences of training reports, near-duplicates merged, in groups.

    A sentence is abnormal when the labeler finds anything present or uncertain in it; one with a word outside the
    vocabulary is left out, since it could not be shown as it was written. The most frequent ones stay; of two
    that are alike the more frequent does. Groups are K-Means over TF-IDF of words and pairs of words (ours).

    Args:
        reports: study id and token ids `bos … eos` of each training report.
        tokenizer: of the token ids.
        size: how many sentences, the most frequent ones.
        seed: of the grouping.

    Raises:
        DatasetError: no training report has an abnormal sentence of known words.
    """
    said = _abnormal(reports, tokenizer)
    if not said:
        raise DatasetError(
            "no training report has an abnormal sentence of known words, so there is nothing to retrieve; lower "
            "text.min_count, or choose data with findings"
        )
    most = [ids for ids, _ in Counter({ids: entry.count for ids, entry in said.items()}).most_common(size)]
    vectors = _tf_idf([tokenizer.decode(ids) for ids in most])
    kept = _distinct(vectors)
    groups = _groups(vectors[kept], count=min(GROUPS, len(kept)), seed=seed)
    sentences = [most[i] for i in kept]
    pad, bos = tokenizer.special.pad, tokenizer.special.bos
    rows = [torch.tensor([bos, *ids]) for ids in sentences]
    return SentenceLibrary(
        torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad),
        torch.tensor([len(ids) for ids in sentences]),
        torch.from_numpy(groups.astype(np.int64)),
        sources=[said[ids].studies for ids in sentences],
        counts=[said[ids].count for ids in sentences],
    )


def _abnormal(reports: Sequence[tuple[str, Sequence[int]]], tokenizer: Tokenizer) -> dict[tuple[int, ...], _Said]:
    labeler, known = Labeler(), dict[tuple[int, ...], bool]()
    end, unknown = tokenizer.id_of("."), tokenizer.special.unk
    said: dict[tuple[int, ...], _Said] = {}
    for study, token_ids in reports:
        for ids in sentence_ids(token_ids, tokenizer):
            if ids[-1] != end or unknown in ids:
                continue  # cut in the middle, or not to be shown as the study has it
            if ids not in known:
                known[ids] = names_abnormality(tokenizer.decode(ids), labeler)
            if known[ids]:
                said.setdefault(ids, _Said()).by(study)
    return said


def _tf_idf(sentences: Sequence[str]) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors: np.ndarray = (
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+").fit_transform(sentences).toarray()
    )
    return vectors


def _distinct(vectors: np.ndarray) -> list[int]:
    """Return the rows that are like no earlier kept one; vectors have unit length."""
    kept: list[int] = []
    for row in range(len(vectors)):
        if not kept or float((vectors[kept] @ vectors[row]).max()) < ALIKE:
            kept.append(row)
    return kept


def _groups(vectors: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    groups: np.ndarray = KMeans(count, n_init=4, random_state=seed).fit_predict(vectors)
    return groups
