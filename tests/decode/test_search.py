"""The one search against a plain one, and what it owes its batch."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from toy_decoder import BOS, EOS, PAD, ToyDecoder, ToyState, plain_beam_search

from contrastcxr.decode.search import generate
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.heads.writing import GeneratedReports, StepResult

STUDIES = torch.arange(8)


def _search(decoder: ToyDecoder, studies: Tensor = STUDIES, **settings: Any) -> GeneratedReports:
    chosen = GenerationSettings(**{"max_tokens": 9, **settings})
    return generate(decoder, studies, bos=BOS, eos=EOS, pad=PAD, settings=chosen)


def _words(found: GeneratedReports, row: int) -> tuple[int, ...]:
    return tuple(found.token_ids[row, : found.lengths[row]].tolist())


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"length_penalty": 1.0},
        {"length_penalty": 0.6, "min_tokens": 3},
        {"block_trigrams": True, "max_tokens": 14},
        {"min_tokens": 8},
    ],
    ids=lambda options: ",".join(options) or "plain",
)
@pytest.mark.parametrize("ending", [0.0, 0.7], ids=["open", "ending"])
def test_it_finds_what_a_plain_search_finds(beams: int, options: dict[str, Any], ending: float) -> None:
    decoder = ToyDecoder(ending=ending, vocabulary=5 if "block_trigrams" in options else 7)
    settings = GenerationSettings(**{"beams": beams, "max_tokens": 9, **options})
    found = generate(decoder, STUDIES, bos=BOS, eos=EOS, pad=PAD, settings=settings)
    for row in range(len(STUDIES)):
        expected = plain_beam_search(decoder, row, settings, beams=beams)
        assert _words(found, row) == expected.words
        assert math.isclose(found.log_probs[row].item(), expected.score, abs_tol=1e-4)
        assert found.ended[row].item() == expected.ended


def test_enough_beams_find_the_most_probable_of_all_reports() -> None:
    decoder = ToyDecoder(vocabulary=5)
    found = _search(decoder, beams=200, max_tokens=4)
    for row in range(3):
        every = [()] + [w for n in (1, 2, 3) for w in itertools.product((3, 4), repeat=n)]
        scores = {words: _score(decoder, row, (*words, EOS)) for words in every}
        scores |= {w: _score(decoder, row, w) for w in itertools.product((3, 4), repeat=4)}
        assert _words(found, row) == max(scores, key=scores.__getitem__)


def _score(decoder: ToyDecoder, study: int, tokens: tuple[int, ...]) -> float:
    return sum(
        decoder.log_probs(study, (BOS, *tokens[:place]))[token].item() for place, token in enumerate(tokens)
    )


def test_greedy_takes_the_most_probable_word_each_time() -> None:
    decoder = ToyDecoder()
    found = _search(decoder, method="greedy")
    for row in range(len(STUDIES)):
        words: tuple[int, ...] = ()
        while len(words) < 9:
            answers = decoder.log_probs(row, (BOS, *words))
            answers[[PAD, BOS]] = -math.inf
            if (token := int(answers.argmax())) == EOS:
                break
            words = (*words, token)
        assert _words(found, row) == words


def test_the_log_probability_is_that_of_words_and_end() -> None:
    decoder = ToyDecoder(ending=0.7)
    found = _search(decoder, length_penalty=1.0)
    for row in range(len(STUDIES)):
        tokens = (*_words(found, row), *([EOS] if found.ended[row] else []))
        assert math.isclose(found.log_probs[row].item(), _score(decoder, row, tokens), abs_tol=1e-4)


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_attention_belongs_to_the_words_of_the_chosen_beam(method: str) -> None:
    decoder = ToyDecoder(ending=0.5)
    found = _search(decoder, method=method, beams=4, length_penalty=1.0)
    assert found.attention is not None
    assert found.attention.shape[:2] == found.token_ids.shape
    for row in range(len(STUDIES)):
        words = _words(found, row)
        for place in range(len(words)):
            expected = decoder.attention(row, (BOS, *words[:place]))
            torch.testing.assert_close(found.attention[row, place], expected)
        assert found.attention[row, len(words) :].eq(0).all()


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_order_and_size_of_the_batch_change_nothing(method: str) -> None:
    decoder = ToyDecoder(ending=0.3)
    together = _search(decoder, method=method)
    shuffled = _search(decoder, STUDIES.flip(0), method=method)
    for row in range(len(STUDIES)):
        alone = _search(decoder, STUDIES[row : row + 1], method=method)
        assert _words(together, row) == _words(alone, 0) == _words(shuffled, len(STUDIES) - 1 - row)


def test_a_finished_study_costs_the_decoder_nothing() -> None:
    decoder = ToyDecoder(ending=0.9)
    found = _search(decoder, beams=3, max_tokens=30)
    per_step = [Counter(rows) for rows in decoder.asked]
    assert found.ended.all()
    assert all(max(rows.values()) <= 3 for rows in per_step)
    last = {study: max(step for step, rows in enumerate(per_step) if study in rows) for study in range(8)}
    assert len(set(last.values())) > 1
    for study, step in last.items():
        assert all(study in rows for rows in per_step[: step + 1])  # it never comes back
    assert len(per_step) < 30


def test_a_finished_beam_costs_the_decoder_nothing() -> None:
    """Study 0 ends one of its two beams at the second step: one row is asked at the third, not two."""

    class Scripted(ToyDecoder):
        def log_probs(self, study: int, prefix: tuple[int, ...]) -> Tensor:
            probabilities = {
                (BOS,): {3: 0.6, 4: 0.4},
                (BOS, 3): {5: 0.8, 3: 0.2},
                (BOS, 4): {EOS: 0.9, 3: 0.1},
            }.get(prefix, {EOS: 0.9, 3: 0.1})
            return torch.tensor([math.log(probabilities.get(token, 1e-9 + study)) for token in range(7)])

    decoder = Scripted()
    found = _search(decoder, torch.tensor([0]), beams=2)
    assert [len(rows) for rows in decoder.asked] == [1, 2, 1]
    assert _words(found, 0) == (3, 5)


def test_padding_and_bos_are_never_chosen_and_others_on_demand() -> None:
    found = generate(
        ToyDecoder(vocabulary=6, sharpness=4.0),
        STUDIES,
        bos=BOS,
        eos=EOS,
        pad=PAD,
        settings=GenerationSettings(max_tokens=9),
        forbidden=(5,),
    )
    words = [w for row in range(8) for w in _words(found, row)]
    assert set(words) <= {3, 4}


def test_one_id_may_be_bos_end_and_padding() -> None:
    """Vocabularies of public checkpoints share id 0 among the three."""

    class Shared(ToyDecoder):
        def log_probs(self, study: int, prefix: tuple[int, ...]) -> Tensor:
            words = tuple(0 if word == EOS else word for word in prefix[1:])
            return super().log_probs(study, (BOS, *words))[[EOS, 1, 0, 3, 4, 5, 6]]

    settings = GenerationSettings(max_tokens=9)
    found = generate(Shared(ending=0.5), STUDIES, bos=0, eos=0, pad=0, settings=settings)
    for row in range(8):  # the plain search ends at 2, where 0 is free to be a word
        expected = plain_beam_search(ToyDecoder(ending=0.5), row, settings, beams=3, never=set())
        assert _words(found, row) == tuple(EOS if word == 0 else word for word in expected.words)


def test_a_report_cut_at_the_limit_says_so() -> None:
    found = _search(ToyDecoder(ending=-9.0), max_tokens=4)
    assert not found.ended.any()
    assert found.lengths.tolist() == [4] * 8
    assert found.token_ids.shape == (8, 4)


def test_every_report_may_be_empty() -> None:
    found = _search(ToyDecoder(ending=99.0), max_tokens=4)
    assert found.lengths.eq(0).all()
    assert found.token_ids.shape == (8, 0)
    assert found.ended.all()


@pytest.mark.parametrize("method", ["greedy", "beam", "nucleus"])
def test_blocked_trigrams_never_repeat(method: str) -> None:
    found = _search(ToyDecoder(vocabulary=5), method=method, max_tokens=30, block_trigrams=True, min_tokens=12)
    for row in range(8):
        words = _words(found, row)
        trigrams = [words[i : i + 3] for i in range(len(words) - 2)]
        assert len(trigrams) == len(set(trigrams))


def test_nucleus_draws_from_the_nucleus_in_proportion() -> None:
    decoder, copies = ToyDecoder(), 4000
    chosen = GenerationSettings(method="nucleus", max_tokens=1, top_p=0.7, temperature=0.8)
    found = generate(
        decoder,
        torch.zeros(copies, dtype=torch.int64),
        bos=BOS,
        eos=EOS,
        pad=PAD,
        settings=chosen,
        generator=torch.Generator().manual_seed(0),
    )
    tempered = decoder.log_probs(0, (BOS,)) / 0.8
    tempered[[PAD, BOS]] = -math.inf
    share = torch.softmax(tempered, dim=0)
    order = share.argsort(descending=True)
    size = int((share[order].cumsum(0) < 0.7).sum()) + 1
    nucleus = {int(t): (share[t] / share[order[:size]].sum()).item() for t in order[:size]}
    tokens = torch.where(found.ended, EOS, found.token_ids[:, 0])
    seen = Counter(tokens.tolist())
    assert set(seen) == set(nucleus)
    for token, expected in nucleus.items():
        assert math.isclose(seen[token] / copies, expected, abs_tol=0.03)


def test_a_vanishing_nucleus_is_greedy() -> None:
    decoder = ToyDecoder()
    sampled, greedy = _search(decoder, method="nucleus", top_p=1e-6), _search(decoder, method="greedy")
    assert torch.equal(sampled.token_ids, greedy.token_ids)
    torch.testing.assert_close(sampled.log_probs, greedy.log_probs)


def test_with_a_generator_per_study_sampling_does_not_depend_on_the_batch() -> None:
    settings = GenerationSettings(method="nucleus", max_tokens=9, top_p=1.0)

    def draw(studies: list[int]) -> list[tuple[int, ...]]:
        found = generate(
            ToyDecoder(),
            torch.tensor(studies),
            bos=BOS,
            eos=EOS,
            pad=PAD,
            settings=settings,
            generator=[torch.Generator().manual_seed(study) for study in studies],
        )
        return [_words(found, row) for row in range(len(studies))]

    together = draw([0, 1, 2, 3])
    assert draw([2, 0]) == [together[2], together[0]]
    assert len(set(together)) > 1


def test_no_finite_log_probability_is_an_error() -> None:
    class Broken(ToyDecoder):
        def step(self, token_ids: Tensor, state: ToyState) -> StepResult:
            output = super().step(token_ids, state)
            return StepResult(torch.full_like(output.log_probs, math.nan), output.state)

    with pytest.raises(ValueError, match="no finite log-probability"):
        _search(Broken())


def test_no_gradient_is_kept() -> None:
    class Tracked(ToyDecoder):
        def log_probs(self, study: int, prefix: tuple[int, ...]) -> Tensor:
            return super().log_probs(study, prefix) * torch.ones(1, requires_grad=True)

    assert not _search(Tracked()).log_probs.requires_grad


@pytest.mark.parametrize(
    "options",
    [
        {"beams": 0},
        {"max_tokens": 5, "min_tokens": 5},
        {"top_p": 0.0},
        {"temperature": 0.0},
        {"length_penalty": -1},
    ],
)
def test_settings_without_a_meaning_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GenerationSettings(**options)  # type: ignore[arg-type]
