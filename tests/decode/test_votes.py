"""Votes: what is elected, which sample is written, and that neither depends on the order of the samples."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.decode.votes import (
    SampledReport,
    best_supported,
    elect,
    set_f1,
    vote_shares,
    word_f1,
)

NAMES = ("Edema", "Nodule", "Pneumothorax", "Pleural Effusion")


def sample(*findings: str, words: tuple[int, ...] = (), log_prob: float = -1.0) -> SampledReport:
    return SampledReport(frozenset(findings), words, log_prob)


SAMPLES = st.lists(
    st.builds(
        SampledReport,
        st.frozensets(st.sampled_from(NAMES)),
        st.lists(st.integers(3, 6), max_size=5).map(tuple),
        st.floats(-30, 0),
    ),
    min_size=1,
    max_size=8,
)
THRESHOLDS = st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0])


def grams(words: tuple[int, ...]) -> Counter[tuple[int, ...]]:
    return Counter([*((w,) for w in words), *itertools.pairwise(words)])


def plain_choice(samples: list[SampledReport], threshold: float) -> SampledReport:
    """Written from the definition: findings first, then words, then probability, then the first."""
    said = [name for name in NAMES if sum(name in s.findings for s in samples) / len(samples) >= threshold]
    best, best_key = samples[0], None
    for i, one in enumerate(samples):
        both = len(one.findings & set(said))
        total = len(one.findings) + len(said)
        agreement = 1.0 if total == 0 else 2 * both / total
        support = []
        for j, other in enumerate(samples):
            if j != i:
                a, b = grams(one.words), grams(other.words)
                shared, size = sum((a & b).values()), sum(a.values()) + sum(b.values())
                support.append(1.0 if size == 0 else 2 * shared / size)
        key = (agreement, round(sum(support) / max(len(support), 1), 9), one.log_prob)
        if best_key is None or key > best_key:
            best, best_key = one, key
    return best


def test_a_share_counts_the_samples_that_state_a_finding() -> None:
    samples = [sample("Nodule", "Edema"), sample("Nodule"), sample(), sample("Pneumothorax")]
    assert list(vote_shares(samples).items()) == [("Nodule", 0.5), ("Edema", 0.25), ("Pneumothorax", 0.25)]


@pytest.mark.parametrize(("threshold", "wanted"), [(0.25, {"Edema", "Nodule"}), (0.3, {"Nodule"}), (0.6, set())])
def test_a_finding_is_elected_from_the_threshold_on(threshold: float, wanted: set[str]) -> None:
    assert elect({"Nodule": 0.5, "Edema": 0.25}, threshold) == wanted


@pytest.mark.parametrize("samples", range(1, 41))
def test_a_share_that_is_the_threshold_reaches_it(samples: int) -> None:
    """`k / n` and a written decimal of the same value are the same float."""
    for hundredths in range(1, 101):
        if hundredths * samples % 100 == 0:
            assert elect({"Nodule": (hundredths * samples // 100) / samples}, hundredths / 100) == {"Nodule"}


def test_wordings_that_a_beam_would_split_add_up() -> None:
    """Three wordings of one finding against the commonest normal report: the finding is said."""
    normal = [sample(words=(3, 4), log_prob=-1.0)] * 3
    worded = [sample("Nodule", words=(5, word), log_prob=-3.0) for word in (6, 7, 8)]
    assert best_supported([*normal, *worded], 0.3) in (3, 4, 5)
    assert best_supported([*normal, *worded], 0.6) == 0


@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        pytest.param([sample("Edema"), sample("Nodule"), sample("Nodule")], 1, id="findings first"),
        pytest.param(
            [sample(words=(3, 4, 5)), sample(words=(3, 4, 6)), sample(words=(3, 4, 6, 7), log_prob=-0.5)],
            1,
            id="then words",
        ),
        pytest.param(
            [sample(words=(3,), log_prob=-2.0), sample(words=(4,), log_prob=-1.0)], 1, id="then probability"
        ),
        pytest.param([sample(words=(3,)), sample(words=(4,))], 0, id="then the first"),
        pytest.param([sample("Edema", words=(3,))], 0, id="one sample"),
    ],
)
def test_what_decides_among_samples(samples: list[SampledReport], wanted: int) -> None:
    assert best_supported(samples, 0.5) == wanted


@given(SAMPLES, THRESHOLDS)
def test_it_is_the_choice_of_the_definition(samples: list[SampledReport], threshold: float) -> None:
    found, wanted = samples[best_supported(samples, threshold)], plain_choice(samples, threshold)
    assert (found.findings, found.words) == (wanted.findings, wanted.words) or found.log_prob >= wanted.log_prob


@given(SAMPLES, THRESHOLDS, st.randoms(use_true_random=False))
def test_the_order_of_samples_elects_nothing_else(
    samples: list[SampledReport], threshold: float, luck: random.Random
) -> None:
    turned = samples.copy()
    luck.shuffle(turned)
    assert vote_shares(turned) == vote_shares(samples)
    found = [each[best_supported(each, threshold)] for each in (samples, turned)]
    wanted = elect(vote_shares(samples), threshold)
    assert set_f1(found[0].findings, wanted) == set_f1(found[1].findings, wanted)


@given(st.lists(st.integers(3, 9), max_size=8).map(tuple), st.integers(1, 6), THRESHOLDS)
def test_samples_that_are_all_alike_give_that_report(words: tuple[int, ...], count: int, threshold: float) -> None:
    samples = [sample("Nodule", words=words)] * count
    assert samples[best_supported(samples, threshold)].words == words
    assert elect(vote_shares(samples), threshold) == {"Nodule"}


@given(st.lists(st.integers(3, 6), max_size=6), st.lists(st.integers(3, 6), max_size=6))
def test_agreement_in_words_is_symmetric_and_full_with_itself(one: list[int], other: list[int]) -> None:
    a, b = grams(tuple(one)), grams(tuple(other))
    assert word_f1(a, b) == word_f1(b, a)
    assert word_f1(a, a) == 1.0
