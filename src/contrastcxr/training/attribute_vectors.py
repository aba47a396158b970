"""Word vectors of attributes, and of the words nearest to them, from the training reports (paper D)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch

from contrastcxr.errors import IncompatibleError, listed
from contrastcxr.models.heads.base import AttributeVectors
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.training.word_vectors import EPOCHS, skip_gram

logger = logging.getLogger(__name__)

WORDS_READ = 1_500_000
"""Words that skip-gram reads at least; fewer reports are read so much oftener (ours). Of a hundred sentences read
twenty times all vectors still point one way (cosines of .998), and no triplet tells a word from its nearest."""


def attribute_vectors(
    reports: Sequence[str], reader: AttributeReader, *, width: int, seed: int
) -> AttributeVectors:
    """Return vectors by skip-gram (word2vec) of the reports' sentences, forms of an attribute as one word.

    As many neighbours are kept as there are attributes, so that one of them is none of a study's.

    Raises:
        MissingExtraError: gensim is not installed.
        IncompatibleError: no report has any of the attributes.
    """
    sentences = [sentence for report in reports for sentence in reader.words(report)]
    names = reader.attributes.attributes
    found = {word for sentence in sentences for word in sentence}
    unknown = [name for name in names if name not in found]
    if len(unknown) == len(names):
        raise IncompatibleError(
            f"localizer.attributes {reader.attributes.name}: none of its words is in any of {len(reports):,} "
            "training reports; choose another list, or data whose reports have these words"
        )
    if unknown:
        logger.warning(f"localizer.attributes: no training report has {listed(unknown)}, which are not learnt")
    often = math.ceil(WORDS_READ / (EPOCHS * sum(map(len, sentences))))
    vectors = skip_gram(sentences * often, width=width, seed=seed, why="word vectors of attributes")
    return _of_vocabulary(list(vectors), np.stack(list(vectors.values())).astype(np.float64), names)


def _of_vocabulary(vocabulary: Sequence[str], vectors: np.ndarray, names: Sequence[str]) -> AttributeVectors:
    """Return the vectors of the attributes and their neighbours among the words of a vocabulary `[n, d]`."""
    A, width = len(names), vectors.shape[1]
    place = {word: row for row, word in enumerate(vocabulary)}
    number = np.array([names.index(word) if word in names else -1 for word in vocabulary])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    words, neighbours = np.zeros((A, width)), np.zeros((A, A, width))
    which = np.full((A, A), -1)
    for row, name in enumerate(names):
        if name not in place:
            continue
        words[row] = vectors[place[name]]
        order = [n for n in np.argsort(-(units @ units[place[name]]), kind="stable") if n != place[name]]
        kept = order[:A]
        neighbours[row, : len(kept)] = vectors[kept]
        which[row, : len(kept)] = number[kept]
    return AttributeVectors(
        torch.from_numpy(words).float(), torch.from_numpy(neighbours).float(), torch.from_numpy(which)
    )
