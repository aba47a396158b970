"""The search as decoders are handed it: random numbers by study, and rows that are sentences of studies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toy_decoder import BOS, EOS, PAD, ToyDecoder

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.search import generate
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.heads.writing import GeneratedReports

STOP = 6
STUDIES = torch.arange(6)


def _search(seeds: list[int] | None = None, **settings: Any) -> ReportSearch:
    chosen = GenerationSettings(**{"max_tokens": 9, **settings})
    uniforms = None if seeds is None else [torch.Generator().manual_seed(seed) for seed in seeds]
    return ReportSearch(chosen, bos=BOS, eos=EOS, pad=PAD, generators=uniforms)


def _words(found: GeneratedReports, row: int) -> list[int]:
    words: list[int] = found.token_ids[row, : found.lengths[row]].tolist()
    return words


def test_a_row_per_study_is_the_plain_search() -> None:
    settings = GenerationSettings(max_tokens=9)
    expected = generate(ToyDecoder(), STUDIES, bos=BOS, eos=EOS, pad=PAD, settings=settings)
    found = _search()(ToyDecoder(), STUDIES)
    assert torch.equal(found.token_ids, expected.token_ids)
    assert torch.equal(found.log_probs, expected.log_probs)


@pytest.mark.parametrize("studies", [[3], [5, 3, 0], [0, 1, 2, 3, 4]])
def test_what_is_drawn_for_a_study_does_not_depend_on_its_neighbours(studies: list[int]) -> None:
    whole = _search(list(range(6)), method="nucleus")(ToyDecoder(), STUDIES)
    part = _search(studies, method="nucleus")(ToyDecoder(), torch.tensor(studies))
    assert [_words(part, row) for row in range(len(studies))] == [_words(whole, study) for study in studies]


def test_the_luck_of_a_study_is_its_own() -> None:
    same = torch.zeros(6, dtype=torch.int64)  # six times the same study, six streams
    found = _search(list(range(6)), method="nucleus")(ToyDecoder(), same)
    assert len({tuple(_words(found, row)) for row in range(6)}) > 1


def test_votes_draw_several_reports_of_each_study_each_from_its_own_stream() -> None:
    """Study by study; what the decoder starts from is made once a study, and chunks of studies change nothing."""
    decoder = ToyDecoder()
    found = _search(list(range(18)), method="votes", samples=3)(decoder, STUDIES)
    assert decoder.asked[0] == [study for study in range(6) for _ in range(3)]
    alone = [_search([row], method="nucleus", top_p=1.0)(decoder, STUDIES[row // 3 :][:1]) for row in range(18)]
    assert [_words(found, row) for row in range(18)] == [_words(each, 0) for each in alone]
    part = _search(list(range(6, 12)), method="votes", samples=3)(decoder, STUDIES[2:4])
    assert [_words(part, row) for row in range(6)] == [_words(found, row) for row in range(6, 12)]


def test_the_shares_of_many_samples_are_the_probabilities_of_the_decoder() -> None:
    """Nothing is cut off: a word is drawn as often as it is probable."""
    decoder, draws = ToyDecoder(sharpness=1.0), 4_000
    search = _search([*range(draws)], method="votes", samples=draws, max_tokens=1)
    found = search(decoder, STUDIES[:1])
    first = torch.where(found.lengths > 0, found.token_ids[:, 0], EOS)
    wanted = decoder.log_probs(0, (BOS,)).exp()
    wanted[[PAD, BOS]] = 0.0
    shares = torch.bincount(first, minlength=len(wanted)) / draws
    torch.testing.assert_close(shares, wanted / wanted.sum(), atol=0.03, rtol=0)


def test_sentences_of_a_study_draw_from_its_stream_one_after_another() -> None:
    """Sentences of studies 0, 0 and 1: each is what a search alone draws from what is left of the stream."""
    rows, study = torch.tensor([0, 0, 3]), torch.tensor([0, 0, 1])
    found = _search([10, 11], method="nucleus")(ToyDecoder(), rows, end=STOP, study=study)
    streams = [torch.Generator().manual_seed(seed) for seed in (10, 11)]
    for row in range(3):
        search = ReportSearch(
            GenerationSettings(max_tokens=9, method="nucleus"), bos=BOS, eos=EOS, pad=PAD, generators=streams
        )
        alone = search(ToyDecoder(), rows[row : row + 1], end=STOP, study=study[row : row + 1])
        assert _words(alone, 0) == _words(found, row)
    assert _words(found, 0) != _words(found, 1)


def test_a_sentence_ends_with_its_mark_and_never_with_the_report() -> None:
    found = _search(max_tokens=12)(ToyDecoder(sharpness=3.0), STUDIES, end=STOP, study=STUDIES)
    assert found.ended.any()
    assert not (found.token_ids == EOS).any()
    for row in range(6):
        assert STOP not in _words(found, row)


def test_a_sentence_has_its_own_limit_and_a_minimum_below_it() -> None:
    found = _search(min_tokens=8)(ToyDecoder(), STUDIES, end=STOP, max_tokens=4, study=STUDIES)
    assert found.lengths.tolist() == [3 if ended else 4 for ended in found.ended.tolist()]
