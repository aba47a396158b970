"""Word vectors of attributes: repeatable, neighbours in order, words that no report has."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.heads.base import AttributeVectors
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.training.attribute_vectors import _of_vocabulary, attribute_vectors
from contrastcxr.vocab.attribute_words import attribute_list

READER = AttributeReader(attribute_list("phantom-effusion"))
NAMES = READER.attributes.attributes
WIDTH = 12
REPORTS = [
    "There is a small left pleural effusion. The heart is normal.",
    "Small right pleural effusion.",
    "Moderate bilateral effusions. The lungs are clear.",
    "A large left effusion is seen.",
] * 5


@pytest.fixture(scope="module")
def vectors() -> AttributeVectors:
    return attribute_vectors(REPORTS, READER, width=WIDTH, seed=3)


def test_a_seed_gives_the_same_vectors(vectors: AttributeVectors) -> None:
    again = attribute_vectors(REPORTS, READER, width=WIDTH, seed=3)
    other = attribute_vectors(REPORTS, READER, width=WIDTH, seed=4)
    assert torch.equal(again.words, vectors.words)
    assert torch.equal(again.neighbours, vectors.neighbours)
    assert not torch.equal(other.words, vectors.words)


def test_neighbours_are_the_nearest_words_and_never_the_attribute_itself(vectors: AttributeVectors) -> None:
    A = len(NAMES)
    assert vectors.neighbours.shape == (A, A, WIDTH)
    for row, name in enumerate(NAMES):
        own = vectors.words[row].numpy()
        near = vectors.neighbours[row].numpy()
        real = np.abs(near).sum(axis=1) > 0
        alike = near[real] @ own / (np.linalg.norm(near[real], axis=1) * np.linalg.norm(own))
        assert (np.diff(alike) <= 1e-6).all(), name
        assert row not in vectors.neighbour_attribute[row].tolist()


def test_a_vocabulary_is_searched_whole_for_neighbours() -> None:
    rng = np.random.default_rng(5)
    vocabulary = [*NAMES[1:], "of", "the", "and", "lung", "is", "seen", "there", NAMES[0]]
    table = rng.normal(size=(len(vocabulary), WIDTH)) * rng.uniform(0.5, 2.0, size=(len(vocabulary), 1))
    found = _of_vocabulary(vocabulary, table, NAMES)
    for row, name in enumerate(NAMES):
        own = table[vocabulary.index(name)]
        alike = {
            word: float(own @ vector) / math.sqrt(float(own @ own) * float(vector @ vector))
            for word, vector in zip(vocabulary, table, strict=True)
            if word != name
        }
        nearest = sorted(alike, key=lambda word: -alike[word])[: len(NAMES)]
        expected = np.stack([table[vocabulary.index(word)] for word in nearest])
        assert found.neighbours[row].numpy() == pytest.approx(expected, abs=1e-6)
        assert found.neighbour_attribute[row].tolist() == [
            NAMES.index(word) if word in NAMES else -1 for word in nearest
        ]


def test_of_few_reports_words_are_told_apart() -> None:
    found = attribute_vectors(REPORTS, READER, width=200, seed=0).words.numpy()
    units = found / np.linalg.norm(found, axis=1, keepdims=True)
    alike = (units @ units.T)[~np.eye(len(NAMES), dtype=bool)]
    assert alike.mean() < 0.9


def test_neighbours_that_are_attributes_have_their_vectors(vectors: AttributeVectors) -> None:
    known = vectors.neighbour_attribute >= 0
    assert bool(known.any())
    for row, column in known.nonzero().tolist():
        which = int(vectors.neighbour_attribute[row, column])
        assert torch.equal(vectors.neighbours[row, column], vectors.words[which])


def test_an_attribute_that_no_report_has_is_named_and_has_no_vector(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = attribute_vectors(["Small left effusion."] * 3, READER, width=WIDTH, seed=0)
    assert "no training report has right, bilateral, moderate, large, which are not learnt" in caplog.text
    assert not found.words[NAMES.index("right")].any()
    assert bool(found.words[NAMES.index("left")].any())


def test_reports_without_any_attribute_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="none of its words is in any of 2 training reports"):
        attribute_vectors(["The lungs are clear.", ""], READER, width=WIDTH, seed=0)
