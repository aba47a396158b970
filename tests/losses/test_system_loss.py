"""A loss of the whole system: the states that it is given, its weights, and when it is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from contrastcxr.assemble import Marks, SystemParts, build_system, check_pairs, make_encoder
from contrastcxr.config import SystemConfig, parse_config
from contrastcxr.errors import ConfigError, IncompatibleError
from contrastcxr.losses.base import States, StateWidths, Targets
from contrastcxr.losses.options import SystemLossOptions
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.system import System
from contributing.toy_loss import ToyLoss, ToyLossOptions
from contributing.toys import register_loss

TOY = [{"kind": "toy_distance", "weight": 0.25}]
IDS = torch.tensor([[1, 5, 6, 4, 2], [1, 7, 4, 2, 0]])
TARGETS = Targets(token_ids=IDS, mask=IDS[:, 1:] != 0, abnormal=torch.tensor([[True], [False]]))
VALUES: dict[str, Any] = {
    "name": "lossy",
    "width": 16,
    "image": {"size": 64},
    "encoder": {"name": "test_efficientnet", "weights": "random"},
    "decoder": {"kind": "nic", "hidden": 10, "dropout": 0.0},
    "losses": TOY,
}


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    register_loss(monkeypatch)


def config_of(**changes: Any) -> SystemConfig:
    return parse_config({**VALUES, **changes}, where="lossy")


def system_of(config: SystemConfig, **options: Any) -> System:
    encoder = make_encoder(config)
    parts = SystemParts(encoder=encoder, vocabulary=9, marks=Marks(4, 2), findings=config.needs.finding_names)
    return build_system(config, parts, **options)


def features_of(system: System) -> Any:
    raw = torch.rand(2, 2, 4, system.projection.channels, generator=torch.Generator().manual_seed(0))
    return system.features(raw=raw, view_mask=torch.tensor([[True, True], [True, False]]))


def test_the_toy_is_its_equation_over_the_states() -> None:
    torch.manual_seed(0)
    loss = ToyLoss(StateWidths(3, 2), ToyLossOptions(width=2))
    patches = torch.tensor([[[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]], [[0.5, 1.0, 2.0], [9.0, 9.0, 9.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    words, study = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]), torch.tensor([0, 1, 0])
    found = loss(States(patches, mask, words, study), Targets())

    def linear(layer: torch.nn.Linear, x: list[float]) -> list[float]:
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in rows]

    def distance(x: list[float], y: list[float]) -> float:
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        return 1 - dot / math.hypot(*x) / math.hypot(*y)

    pairs = [([2.0, 1.0, 0.5], [2.0, 0.5]), ([0.5, 1.0, 2.0], [0.0, 2.0])]
    each = [distance(linear(loss.of_patches, x), linear(loss.of_words, y)) for x, y in pairs]
    mean, count = found["toy_distance"]
    assert float(mean.detach()) == pytest.approx(sum(each) / 2, rel=1e-5)
    assert int(count) == 2


def test_its_term_stands_beside_those_of_the_heads_and_is_weighed() -> None:
    config = config_of(finding_head={"labels": "phantom"})
    assert config.term_weights == {"word": 1.0, "finding": 1.0, "toy_distance": 0.25}
    system = system_of(config)
    count = len(config.needs.finding_names)
    labelled = replace(TARGETS, findings=torch.zeros(2, count), known=torch.ones(2, count).bool())
    terms = system.teach(features_of(system), labelled)
    assert set(terms) == set(config.term_weights)


def test_gradient_of_its_term_reaches_its_weights_the_projection_and_the_decoder() -> None:
    system = system_of(config_of())
    system.teach(features_of(system), TARGETS)["toy_distance"][0].backward()
    moved = {name for name, p in system.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {name for name, _ in system.named_parameters() if name.startswith("losses.")} <= moved
    assert {"projection.linear.weight", "decoder.embedding.weight"} & moved == {
        "projection.linear.weight"
    } or moved
    assert "projection.linear.weight" in moved
    assert any(name.startswith("decoder.") for name in moved)


def test_the_terms_of_the_heads_are_what_they_are_without_it() -> None:
    with_it, without = system_of(config_of(), seed=3), system_of(config_of(losses=[]), seed=3)
    alone = system_of(config_of(), seed=3, losses=False)
    terms = [system.eval().teach(features_of(system), TARGETS) for system in (with_it, without, alone)]
    assert [set(each) for each in terms] == [{"word", "toy_distance"}, {"word"}, {"word"}]
    assert terms[0]["word"][0] == terms[1]["word"][0] == terms[2]["word"][0]
    ours = {name: value for name, value in with_it.state_dict().items() if not name.startswith("losses.")}
    assert ours.keys() == without.state_dict().keys() == alone.state_dict().keys()
    assert all(torch.equal(ours[name], value) for name, value in without.state_dict().items())


def test_a_stage_that_leaves_the_decoder_out_has_no_states_for_it() -> None:
    system = system_of(config_of())
    assert system.teach(features_of(system), TARGETS, without=system.decoder) == {}


@pytest.mark.parametrize("kind", [kind for kind, entry in DECODERS.items() if entry.options.word_states])
def test_every_decoder_with_a_state_for_each_word_may_have_it(kind: str) -> None:
    small = {"hidden": 10} if "hidden" in DECODERS[kind].options.model_fields else {"heads": 2, "layers": 1}
    more = {"memory_heads": 2} if kind == "r2gen" else {"background": "none"} if kind == "multi_attention" else {}
    config = config_of(decoder={"kind": kind, **small, **more}, data={"source": "nih14-cv", "root": "here"})
    system = system_of(config)
    assert system.decoder is not None
    loss = system.losses["toy_distance"]
    assert isinstance(loss, ToyLoss)
    assert (loss.of_patches.in_features, loss.of_words.in_features) == (16, system.decoder.word_width)
    tags = torch.zeros(2, len(config.needs.tag_names()))
    terms = system.teach(features_of(system), replace(TARGETS, tags=tags))
    assert set(terms) == set(config.term_weights)
    assert terms["toy_distance"][0].isfinite()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"decoder": {"kind": "cvse"}},
            r"losses toy_distance with decoder\.kind cvse: it has no state of each word",
        ),
        (
            {"decoder": None, "finding_head": {"labels": "phantom"}, "train": {"monitor": "loss"}},
            r"losses toy_distance with decoder\.kind null: it has no state of each word",
        ),
        ({"losses": TOY * 2}, r"losses toy_distance, toy_distance: give each of them once"),
    ],
)
def test_it_is_refused_by_name_before_anything_is_loaded(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(IncompatibleError, match=said):
        check_pairs(config_of(**changes))


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ({"kind": "distance"}, r"unknown losses\.0\.kind 'distance'; did you mean 'toy_distance'"),
        ({"kind": "toy_distance", "weight": -1}, r"losses\.0\.weight: .*found -1"),
        ({"kind": "toy_distance", "wide": 1}, r"unknown key 'losses\.0\.wide'; did you mean 'width'"),
        ({}, r"no 'losses\.0\.kind'; known: .*toy_distance"),
        ("toy_distance", r"losses\.0: expected keys, found 'toy_distance'"),
    ],
)
def test_a_loss_that_is_none_is_refused_with_its_place(loss: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_of(losses=[loss])


def test_options_without_weights_of_their_own_weigh_one_term_called_as_the_loss_is() -> None:
    assert SystemLossOptions(kind="any").term_weights == {"any": 1.0}
    assert SystemLossOptions(kind="any", weight=0.5).term_weights == {"any": 0.5}
