"""What comes into the recurrent decoders: ReLU, dropout, and how large word vectors are at the start."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.base import ReportDecoder, TokenDecoder
from contrastcxr.models.heads.decoders.hierarchical import HierarchicalDecoder
from contrastcxr.models.heads.decoders.inputs import DecoderInputs
from contrastcxr.models.heads.decoders.options import NicOptions, RecurrentOptions
from contrastcxr.models.heads.decoders.outputs import taught_terms
from models.tiny_heads import BOS, EOS, PAD, REPORTS, TARGETS, TINY, WIDTH, V, tiny_features

RECURRENT = sorted(name for name, entry in DECODERS.items() if issubclass(entry.options, RecurrentOptions))
SETTINGS = GenerationSettings(beams=3, max_tokens=12)


def _decoder(name: str, **options: object) -> ReportDecoder:
    torch.manual_seed(0)
    given = copy.deepcopy(TINY["decoder"][name])
    return build_decoder(name, vocabulary=V, width=WIDTH, **{**given, **options}).eval()


def _loss(decoder: ReportDecoder, features: VisualFeatures) -> torch.Tensor:
    return torch.stack([mean for mean, _ in taught_terms(decoder.outputs(features, TARGETS)).values()]).sum()


def _positive(features: VisualFeatures) -> VisualFeatures:
    return features.replace(patches=features.patches.relu(), pooled=features.pooled.relu())


def test_the_two_transformers_have_none_of_it() -> None:
    assert set(DECODERS) - set(RECURRENT) == {"transformer", "r2gen"}


@pytest.mark.parametrize("name", RECURRENT)
def test_with_the_relu_what_is_negative_in_the_features_does_not_enter(name: str) -> None:
    features = tiny_features()
    decoder = _decoder(name, input_relu=True)
    torch.testing.assert_close(_loss(decoder, features), _loss(decoder, _positive(features)), atol=0, rtol=0)
    plain = _decoder(name)
    assert not torch.equal(_loss(plain, features), _loss(plain, _positive(features)))


@pytest.mark.parametrize("name", RECURRENT)
def test_what_is_read_goes_through_the_relu_too(name: str) -> None:
    decoder, features, search = (
        _decoder(name, input_relu=True),
        tiny_features(),
        ReportSearch(SETTINGS, BOS, EOS, PAD),
    )
    with torch.no_grad():
        one, other = decoder.write(features, search), decoder.write(_positive(features), search)
    assert torch.equal(one.token_ids, other.token_ids)
    torch.testing.assert_close(one.log_probs, other.log_probs, atol=0, rtol=0, equal_nan=True)


@pytest.mark.parametrize("name", [name for name in RECURRENT if isinstance(_decoder(name), TokenDecoder)])
def test_step_by_step_says_what_teacher_forcing_says(name: str) -> None:
    decoder, features = _decoder(name, input_relu=True, word_deviation=0.1), tiny_features()
    assert isinstance(decoder, TokenDecoder)
    forced, state = decoder(features, REPORTS), decoder.start(features)
    for t in range(REPORTS.shape[1] - 1):
        result = decoder.step(REPORTS[:, t], state)
        state = result.state
        torch.testing.assert_close(result.log_probs, forced[:, t], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", RECURRENT)
def test_dropout_is_of_training_alone(name: str) -> None:
    features, dry = tiny_features(), {"dropout": 0.0}
    decoder = _decoder(name, input_dropout=0.5, **dry)
    assert torch.equal(_loss(decoder, features), _loss(_decoder(name, **dry), features))
    decoder.train()
    losses = {float(_loss(decoder, features).detach()) for _ in range(3)}
    assert len(losses) == 3


@pytest.mark.parametrize("name", RECURRENT)
def test_word_vectors_start_as_large_as_asked(name: str) -> None:
    plain, small = _decoder(name), _decoder(name, word_deviation=0.1)
    sizes = [[m.weight for m in decoder.modules() if isinstance(m, nn.Embedding)] for decoder in (plain, small)]
    assert sizes[0]
    for one, other in zip(*sizes, strict=True):
        torch.testing.assert_close(other, one * 0.1)


def test_what_comes_in_is_dropped_whole_or_scaled_up() -> None:
    torch.manual_seed(0)
    inputs = DecoderInputs(NicOptions(input_relu=True, input_dropout=0.5))
    values = torch.tensor([-1.0, 2.0]).repeat(500, 1)
    taken = inputs(values)
    assert taken[:, 0].eq(0).all()
    assert set(taken[:, 1].tolist()) == {0.0, 4.0}


@pytest.mark.parametrize("name", [name for name in RECURRENT if name != "cvse"])
def test_forget_gates_start_raised_and_nothing_else(name: str) -> None:
    plain, raised = _decoder(name).state_dict(), _decoder(name, forget_bias=1.0).state_dict()
    moved = {key: raised[key] - value for key, value in plain.items() if not torch.equal(raised[key], value)}
    assert moved
    for key, change in moved.items():
        assert key.split(".")[-1].startswith("bias"), key
        gates = change.chunk(5 if name == "att2in" else 4)
        torch.testing.assert_close(gates[1], torch.ones_like(gates[1]))
        assert all(gate.eq(0).all() for place, gate in enumerate(gates) if place != 1)


@pytest.mark.parametrize("name", ["hlstm", "hlstm_dual", "co_attention", "multi_attention"])
def test_a_topic_can_be_added_to_every_word(name: str) -> None:
    decoder = _decoder(name, topic="every")
    assert isinstance(decoder, HierarchicalDecoder)
    features = tiny_features()
    sentences, plan = decoder.planned(features, TARGETS)
    told = plan.word_inputs(sentences.study, sentences.place)
    own = plan.topics[sentences.study, sentences.place]
    torch.testing.assert_close(told.first, own)
    assert told.shift is not None
    background = 0.0 if plan.shift is None else plan.shift[sentences.study]
    torch.testing.assert_close(told.shift, own + background)
    assert not torch.equal(_loss(decoder, features), _loss(_decoder(name), features))
    copies = plan.repeated(2)
    again = copies.word_inputs(sentences.study * 2 + 1, sentences.place)
    assert again.shift is not None
    torch.testing.assert_close(again.shift, told.shift)
