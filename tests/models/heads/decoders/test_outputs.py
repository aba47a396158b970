"""The named terms of a decoder's loss against plain sums."""

from __future__ import annotations

import math

import pytest
import torch

from contrastcxr.losses.ranking import ranking_hinge
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs, taught_terms
from plain_floats import close, sigmoid

LOG_PROBS = torch.log_softmax(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), dim=-1)
WORDS = torch.tensor([3, 4, 2, 1, 0, 2])
MASK = torch.tensor([[True, True, True], [True, True, False]])
SEEN = torch.tensor([[0.5, 1.5, 1.0], [0.25, 2.0, 9.0]])


def _taught(**parts: object) -> DecoderOutputs:
    return DecoderOutputs(log_probs=LOG_PROBS, words=WORDS, **parts)  # type: ignore[arg-type]


def _means(taught: DecoderOutputs) -> dict[str, torch.Tensor]:
    return {name: mean for name, (mean, _) in taught_terms(taught).items()}


def _bce(logits: list[float], targets: list[float]) -> float:
    """`−Σ t log σ(x) + (1 − t) log σ(−x)`."""
    pairs = zip(logits, targets, strict=True)
    return -sum(t * math.log(sigmoid(x)) + (1 - t) * math.log(sigmoid(-x)) for x, t in pairs)


def test_words_are_averaged_over_words() -> None:
    mean, count = taught_terms(_taught())["word"]
    close(mean, -sum(LOG_PROBS[i, word].item() for i, word in enumerate(WORDS.tolist())) / 6)
    assert count == 6


@pytest.mark.parametrize("name", ["stop", "abnormal"])
def test_sentence_terms_are_sums_over_sentences_beside_the_words(name: str) -> None:
    logits, targets = [0.5, -2.0, 3.0], [0.0, 1.0, 1.0]
    parts = {"stop": (torch.zeros(0), torch.zeros(0)), name: (torch.tensor(logits), torch.tensor(targets))}
    mean, count = taught_terms(_taught(**parts))[name]
    close(mean, _bce(logits, targets) / 6)
    assert count == 6


def test_tags_are_held_against_the_share_of_each_true_tag() -> None:
    log_probs = torch.log_softmax(torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), dim=-1)
    shares = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    terms = _means(_taught(stop=(torch.zeros(1), torch.zeros(1)), tags=(log_probs, shares)))
    close(terms["tag"], -(log_probs[0, 0].item() + log_probs[0, 2].item()) / 2 / 6)


def test_coverage_word_by_word_is_a_mean_over_real_patches_and_studies() -> None:
    """Study 2 has no third patch, whatever stands there."""
    mean, count = taught_terms(_taught(attention={"patches": (SEEN, MASK)}))["coverage"]
    close(mean, ((0.25 + 0.25 + 0.0) / 3 + (0.5625 + 1.0) / 2) / 2)
    assert count == 2


def test_coverage_of_sentences_is_a_sum_over_everything_looked_at_beside_the_words() -> None:
    tags = torch.tensor([[0.0], [3.0]])
    attention = {"patches": (SEEN, MASK), "tags": (tags, torch.ones(2, 1, dtype=torch.bool))}
    terms = _means(_taught(stop=(torch.zeros(1), torch.zeros(1)), attention=attention))
    close(terms["coverage"], (0.25 + 0.25 + 0.0 + 0.5625 + 1.0 + 1.0 + 4.0) / 6)


def test_a_decoder_has_the_terms_of_what_it_says_and_no_others() -> None:
    assert set(taught_terms(_taught())) == {"word"}
    assert set(taught_terms(_taught(stop=(torch.zeros(2), torch.zeros(2))))) == {"word", "stop"}
    scores = torch.tensor([[0.9, 0.2], [0.1, 0.8]])
    ranking = (scores, ~torch.eye(2, dtype=torch.bool))
    assert set(taught_terms(DecoderOutputs(ranking=ranking))) == {"ranking"}
    for negatives in ("hardest", "all"):
        term, _ = taught_terms(DecoderOutputs(ranking=ranking, negatives=negatives))["ranking"]
        assert term == ranking_hinge(*ranking, negatives=negatives)[0]


def test_a_batch_without_a_word_costs_nothing() -> None:
    nothing = DecoderOutputs(
        log_probs=LOG_PROBS[:0],
        words=WORDS[:0],
        stop=(torch.zeros(0), torch.zeros(0)),
        abnormal=(torch.zeros(0),) * 2,
    )
    assert {name: mean.item() for name, mean in _means(nothing).items()} == {
        "word": 0.0,
        "stop": 0.0,
        "abnormal": 0.0,
    }
