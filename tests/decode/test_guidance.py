"""Guided decoding: the distribution recomputed word by word, and a search that prunes nothing it should not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from toy_decoder import BOS, EOS, PAD, Prefix, ToyDecoder, plain_beam_search

from contrastcxr.decode.guidance import GuidedDecoder, guide
from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.search import generate
from contrastcxr.decode.settings import GenerationSettings

STUDIES = torch.arange(6)
NORMALS = torch.full((6,), 99)


class ToyGuided(ToyDecoder):
    """What a guided toy says, computed from the definition in plain numbers."""

    weight = 0.5

    def log_probs(self, study: int, prefix: Prefix) -> torch.Tensor:
        seen, normal = (super(ToyGuided, self).log_probs(each, prefix).tolist() for each in (study, 99))
        gain = [a - self.weight * b for a, b in zip(seen, normal, strict=True)]
        total = math.log(sum(math.exp(value) for value in gain))
        return torch.tensor([value - total for value in gain])


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    "options", [{}, {"length_penalty": 0.6, "min_tokens": 3}, {"block_trigrams": True, "max_tokens": 12}]
)
@pytest.mark.parametrize("ending", [0.0, 0.7], ids=["open", "ending"])
def test_a_guided_search_that_prunes_finds_what_one_to_the_last_step_finds(
    beams: int, options: dict[str, Any], ending: float
) -> None:
    settings = GenerationSettings(**{"beams": beams, "max_tokens": 8, "guidance": 0.5, **options})
    decoder = GuidedDecoder(ToyDecoder(ending=ending), 0.5)
    found = generate(decoder, (STUDIES, NORMALS), bos=BOS, eos=EOS, pad=PAD, settings=settings)
    for row in range(len(STUDIES)):
        expected = plain_beam_search(ToyGuided(ending=ending), row, settings, beams=beams)
        assert tuple(found.token_ids[row, : found.lengths[row]].tolist()) == expected.words
        assert math.isclose(found.log_probs[row].item(), expected.score, abs_tol=1e-4)


def test_rows_are_dropped_from_both_runs_when_nothing_better_can_come() -> None:
    toy = ToyDecoder(ending=2.0)
    settings = GenerationSettings(beams=2, max_tokens=9)
    generate(GuidedDecoder(toy, 0.5), (STUDIES, NORMALS), bos=BOS, eos=EOS, pad=PAD, settings=settings)
    rows = [len(studies) for studies in toy.asked]  # of the picture, of the normals, and so on
    assert rows[-1] < len(STUDIES) == rows[0]
    assert rows[::2] == rows[1::2]


@pytest.mark.parametrize("weight", [0.3, 1.0, 2.0])
def test_it_is_a_distribution_whatever_the_weight(weight: float) -> None:
    tables = [torch.log_softmax(torch.randn(5, 7, generator=torch.Generator().manual_seed(n)), -1) for n in (0, 1)]
    found = guide(*tables, weight)
    torch.testing.assert_close(found.exp().sum(dim=-1), torch.ones(5))
    assert (found <= 0).all()


def test_what_is_impossible_on_the_picture_stays_so_and_nothing_is_undefined() -> None:
    seen = torch.tensor([[float("-inf"), float("-inf"), 0.0, -1.0]])
    normal = torch.tensor([[float("-inf"), 0.0, float("-inf"), -1.0]])
    found = guide(seen, normal, 0.5)
    assert found[0, :2].tolist() == [float("-inf")] * 2
    assert not found.isnan().any()
    assert found[0, 2] > found[0, 3]


def test_equal_pictures_leave_the_order_of_words_as_it_was() -> None:
    table = torch.log_softmax(torch.randn(4, 7, generator=torch.Generator().manual_seed(3)), -1)
    assert torch.equal(guide(table, table, 0.5).argsort(dim=-1), table.argsort(dim=-1))


@pytest.mark.parametrize("method", ["greedy", "beam", "nucleus", "votes"])
def test_every_method_is_guided(method: str) -> None:
    settings = GenerationSettings(method=method, guidance=0.5, max_tokens=6, samples=3)  # type: ignore[arg-type]
    rows = 18 if method == "votes" else 6
    streams = [torch.Generator().manual_seed(n) for n in range(rows)]
    search = ReportSearch(settings, bos=BOS, eos=EOS, pad=PAD, generators=streams)
    found = search(ToyDecoder(), STUDIES, normals=NORMALS)
    assert len(found.lengths) == rows
    for row in range(rows):
        words = tuple(found.token_ids[row, : found.lengths[row]].tolist())
        study, prefix, total = row // (rows // 6), (BOS,), 0.0
        for word in (*words, *((EOS,) if found.ended[row] else ())):
            total += ToyGuided().log_probs(study, prefix)[word].item()
            prefix = (*prefix, word)
        assert found.log_probs[row].item() == pytest.approx(total, abs=1e-4)
