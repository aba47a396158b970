"""CVSE against its equations over plain floats: sentences, images seen through them, what is retrieved."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import nn

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets
from contrastcxr.losses.options import Negatives
from contrastcxr.losses.ranking import ranking_hinge
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.cvse import CvseDecoder
from contrastcxr.models.heads.decoders.outputs import taught_terms
from contrastcxr.models.heads.library import SentenceLibrary
from contrastcxr.models.heads.writing import GeneratedReports
from models.studies import select
from plain_floats import Vector, attend, close, dot, linear, one_study, real_patches, scaled, sigmoid

PAD, BOS, EOS, STOP = 0, 1, 2, 4
V, WIDTH, EMBEDDING, HIDDEN = 10, 4, 5, 3
SENTENCES = [[5, 6, STOP], [7, STOP], [8, 9, 5, STOP], [6, STOP]]
GROUPS = [0, 1, 0, 2]


def _library() -> SentenceLibrary:
    rows = [torch.tensor([BOS, *ids]) for ids in SENTENCES]
    return SentenceLibrary(
        nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD),
        torch.tensor([len(ids) for ids in SENTENCES]),
        torch.tensor(GROUPS),
        sources=[[f"study{number}"] for number in range(4)],
        counts=[1] * 4,
    )


@pytest.fixture
def decoder() -> CvseDecoder:
    torch.manual_seed(0)
    made = build_decoder(
        "cvse",
        vocabulary=V,
        width=WIDTH,
        sentence_library=_library(),
        sentence_end=STOP,
        embedding=EMBEDDING,
        hidden=HIDDEN,
        sentences=3,
    )
    return made.eval()


def _two_studies() -> VisualFeatures:
    one, other = one_study(width=WIDTH), one_study(width=WIDTH, seed=2)
    patches, mask = torch.cat([one.patches, other.patches]), torch.cat([one.mask, other.mask])
    return VisualFeatures(patches, masked_mean(patches, mask), mask)


def _unit(x: Vector) -> Vector:
    return scaled(1 / math.sqrt(dot(x, x)), x)


def _gru(gru: nn.GRU, x: Vector, h: Vector) -> Vector:
    """`r, z = σ(…)`, `n = tanh(W x + r (U h))`, `h ← (1 − z) n + z h`, unit by unit."""
    of_x, of_h = gru.weight_ih_l0.tolist(), gru.weight_hh_l0.tolist()
    bias_x, bias_h = gru.bias_ih_l0.tolist(), gru.bias_hh_l0.tolist()
    after = []
    for unit in range(HIDDEN):
        rows = [gate * HIDDEN + unit for gate in range(3)]
        heard, kept = ([dot(w[r], v) + b[r] for r in rows] for w, v, b in ((of_x, x, bias_x), (of_h, h, bias_h)))
        reset, stay = sigmoid(heard[0] + kept[0]), sigmoid(heard[1] + kept[1])
        after.append((1 - stay) * math.tanh(heard[2] + reset * kept[2]) + stay * h[unit])
    return after


def _sentence(decoder: CvseDecoder, ids: list[int]) -> Vector:
    """`t = l2(W_t GRU(words))`."""
    h = [0.0] * HIDDEN
    for token in ids:
        h = _gru(decoder.gru, decoder.embedding.weight[token].tolist(), h)
    return _unit(linear(decoder.of_sentence, h))


def _score(decoder: CvseDecoder, rows: list[Vector], ids: list[int]) -> tuple[float, Vector]:
    """`x(t)·t` with `x(t) = l2(W_x attn(t; V))`, and the attention."""
    sentence = _sentence(decoder, ids)
    seen, weights = attend(decoder.attention, sentence, rows)
    return dot(_unit(linear(decoder.of_image, seen)), sentence), weights


def _written(decoder: CvseDecoder, features: VisualFeatures, *, max_tokens: int = 30) -> GeneratedReports:
    search = ReportSearch(GenerationSettings(max_tokens=max_tokens), bos=BOS, eos=EOS, pad=PAD)
    with torch.no_grad():
        return decoder.write(features, search)


@torch.no_grad()
def test_scores_and_attention_equal_the_equations(decoder: CvseDecoder) -> None:
    features = one_study(width=WIDTH)
    library = decoder.library
    scores, attention = decoder.scores(features, decoder.embed(library.token_ids, library.mask))
    expected = [_score(decoder, real_patches(features), ids) for ids in SENTENCES]
    close(scores[0], [score for score, _ in expected])
    for number, (_, weights) in enumerate(expected):
        close(attention[0, number], [*weights, 0.0])


def test_a_report_takes_the_best_sentence_of_each_group_best_first(decoder: CvseDecoder) -> None:
    features = one_study(width=WIDTH)
    scores = [_score(decoder, real_patches(features), ids)[0] for ids in SENTENCES]
    best = [max((q for q in range(4) if GROUPS[q] == group), key=lambda q: scores[q]) for group in range(3)]
    order = sorted(best, key=lambda q: -scores[q])
    decoder.library.threshold.fill_(-1.0)
    found = _written(decoder, features)
    assert found.plan["retrieved"][0].tolist() == order
    close(found.plan["scores"][0], [scores[q] for q in order])
    assert found.token_ids[0].tolist() == [token for q in order for token in SENTENCES[q]]
    assert found.log_probs.isnan().all()
    assert found.attention is not None
    _, weights = _score(decoder, real_patches(features), SENTENCES[order[0]])
    close(found.attention[0, 0], [*weights, 0.0])


def test_only_sentences_above_the_threshold_are_said_and_one_at_least(decoder: CvseDecoder) -> None:
    features = one_study(width=WIDTH)
    decoder.library.threshold.fill_(-1.0)
    first, second, _ = _written(decoder, features).plan["scores"][0].tolist()
    decoder.library.threshold.fill_((first + second) / 2)
    assert _written(decoder, features).plan["sentences"].tolist() == [1]
    decoder.library.threshold.fill_(2.0)
    assert _written(decoder, features).plan["sentences"].tolist() == [1]


def test_a_report_takes_whole_sentences_while_there_is_room(decoder: CvseDecoder) -> None:
    features = one_study(width=WIDTH)
    decoder.library.threshold.fill_(-1.0)
    order = _written(decoder, features).plan["retrieved"][0].tolist()
    tokens = [SENTENCES[number] for number in order]
    for count in (1, 2):
        whole = [token for sentence in tokens[:count] for token in sentence]
        room = len(whole) + len(tokens[count]) - 1  # one token too few for another sentence
        found = _written(decoder, features, max_tokens=room + 1)
        assert found.token_ids[0].tolist() == whole
        assert (found.plan["sentences"].tolist(), found.ended.tolist()) == ([count], [False])


def test_a_first_sentence_longer_than_the_room_is_cut(decoder: CvseDecoder) -> None:
    decoder.library.lengths.fill_(3)
    decoder.library.threshold.fill_(2.0)
    found = _written(decoder, one_study(width=WIDTH), max_tokens=3)
    assert (found.lengths.tolist(), found.ended.tolist()) == ([2], [False])


@torch.no_grad()
def test_abnormal_sentences_stand_against_those_of_other_studies_with_other_words(decoder: CvseDecoder) -> None:
    """Study 1 has an abnormal sentence; study 2 two, one of which is study 1's."""
    first, second, other = [5, 6, STOP], [7, 8, STOP], [9, STOP]
    ids = torch.tensor([[BOS, *first, *other, EOS, PAD], [BOS, *first, *second, EOS]])
    targets = Targets(ids, ids[:, 1:] != PAD, abnormal=torch.tensor([[True, False], [True, True]]))
    features = _two_studies()
    taught = decoder.outputs(features, targets)
    assert taught.ranking is not None
    scores, negative = taught.ranking
    pairs = [(0, first), (1, first), (1, second)]
    for i, (study, _) in enumerate(pairs):
        rows = real_patches(select(features, torch.tensor([study])))
        close(scores[i], [_score(decoder, rows, sentence)[0] for _, sentence in pairs])
    # Study 2 says both sentences, so only `second` may stand against study 1, and only study 1 against `second`.
    assert negative.tolist() == [[False, False, True], [False, False, False], [False, False, False]]
    s, margin = scores.tolist(), 0.2
    hinges = [max(0.0, margin + s[0][2] - s[0][0]), max(0.0, margin + s[0][2] - s[2][2])]
    close(taught_terms(taught)["ranking"][0], sum(hinges) / 3)


@torch.no_grad()
def test_its_option_says_which_negatives_count(decoder: CvseDecoder) -> None:
    """One sentence stands against two of another study: the harder one, or both."""
    first, second, third = [5, 6, STOP], [7, 8, STOP], [9, STOP]
    ids = torch.tensor([[BOS, *first, EOS, PAD, PAD], [BOS, *second, *third, EOS]])
    targets = Targets(ids, ids[:, 1:] != PAD, abnormal=torch.tensor([[True, False], [True, True]]))
    costs = {}
    for negatives in get_args(Negatives):
        decoder.negatives = negatives
        taught = decoder.outputs(_two_studies(), targets)
        assert taught.ranking is not None
        costs[negatives] = taught_terms(taught)["ranking"][0]
        assert costs[negatives] == ranking_hinge(*taught.ranking, negatives=negatives)[0]
    assert costs["all"] < costs["hardest"]


def test_a_batch_without_an_abnormal_sentence_costs_nothing(decoder: CvseDecoder) -> None:
    ids = torch.tensor([[BOS, 5, STOP, EOS]])
    targets = Targets(ids, ids[:, 1:] != PAD, abnormal=torch.zeros(1, 1, dtype=torch.bool))
    mean, count = taught_terms(decoder.outputs(one_study(width=WIDTH), targets))["ranking"]
    mean.backward()
    assert (mean.item(), int(count)) == (0.0, 0)


def test_reports_without_sentence_flags_are_refused(decoder: CvseDecoder) -> None:
    ids = torch.tensor([[BOS, 5, STOP, EOS]])
    with pytest.raises(IncompatibleError, match="cvse without sentence flags"):
        decoder.outputs(one_study(width=WIDTH), Targets(ids, ids[:, 1:] != PAD))


def test_a_library_of_parts_that_do_not_fit_is_refused() -> None:
    whole = _library()
    with pytest.raises(IncompatibleError, match="a library needs sentences"):
        SentenceLibrary(whole.token_ids, whole.lengths, whole.group, sources=[["a"]], counts=[1] * 4)
