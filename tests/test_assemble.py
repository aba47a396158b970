from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastcxr.assemble import (
    SystemParts,
    build_system,
    check_pairs,
    make_encoder,
    make_preprocess,
)
from contrastcxr.config import parse_config
from contrastcxr.errors import IncompatibleError
from contrastcxr.models.contrast.pool import NormalityPool, PoolRows
from contrastcxr.models.encoders import Encoder
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.recurrent import RecurrentDecoder

SMALL: dict[str, Any] = {
    "name": "small",
    "width": 16,
    "image": {"size": 64},
    "encoder": {"name": "test_efficientnet", "weights": "random"},
    "decoder": {"kind": "nic"},
}


FINDINGS: dict[str, Any] = {"finding_head": {"labels": "phantom"}}
ON_STAGE: dict[str, Any] = {"kind": "li2018", "labels": "phantom"}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return make_encoder(parse_config(SMALL, where="small"))


def pool_of(encoder: Encoder) -> NormalityPool:
    names = ("a", "b", "c")
    rows = PoolRows(names, names, names, ("PA", "PA", "AP"), (None, None, None))
    return NormalityPool(torch.rand(3, encoder.channels), rows)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"contrast": {}, "projection": {"kind": "r2gen"}}, r"contrast with projection\.kind r2gen"),
        ({"contrast": {"repeats": 4, "aggregate": False}}, r"contrast\.repeats with contrast\.aggregate off"),
        ({"contrast": {"aggregate": False, "differentiate": False}}, r"differentiate both off"),
        ({"contrast": {"patches": True, "aggregate": False}}, r"contrast\.patches with contrast\.aggregate off"),
        ({"contrast": {"patches": True}}, r"contrast\.patches with decoder\.kind nic"),
        ({"contrast": {"pool": {"patches": 9}}}, r"contrast\.pool\.patches with contrast\.patches off"),
        ({"contrast": {"stages": [2, 1]}}, r"contrast\.stages \[2, 1\]: give each stage once"),
        ({"contrast": {"stages": [1, 2]}, "encoder": {"stage": 2}}, r"\[1, 2\] with encoder\.stage 2"),
        ({"contrast": {"pool": {"views": "same_view", "match": "none"}}}, r"same_view with contrast\.pool\.match"),
        ({"contrast": {"pool": {"views": "same_view", "unit": "study"}}}, r"same_view with contrast\.pool\.unit"),
        ({"decoder": {"kind": "transformer", "heads": 3}}, r"width 16 with decoder\.heads 3"),
        ({"decoder": {"kind": "co_attention", "tags": "mesh"}}, r"tags mesh with data\.source phantom:standard"),
        ({"image": {"augment": True}}, r"image\.augment with a frozen encoder"),
        (
            {"decoder": None, "train": {"monitor": "loss"}, "text": {"order": "canonical"}, **FINDINGS},
            r"^text\.order canonical without a decoder: order on text without sentences",
        ),
        ({"train": {"monitor": "auc"}}, r"monitor auc without a finding_head"),
        ({"train": {"scheduled_sampling": {}}}, r"scheduled_sampling with decoder\.kind nic: .* visual_attention"),
        ({"decoder": None}, r"small has none of decoder, finding_head, localizer: nothing teaches it"),
        ({"decoder": None, **FINDINGS}, r"train\.monitor bleu4 without a decoder"),
        ({**FINDINGS, "localizer": {"kind": "cam", "labels": "nih14"}}, r"different labels \(phantom and nih14\)"),
        (
            {**FINDINGS, "decoder": None, "train": {"scst": True, "monitor": "auc"}},
            r"scst with decoder\.kind null",
        ),
        *(
            ({"decoder": None, **FINDINGS, "train": {"monitor": monitor}}, rf"monitor {monitor} without a decoder")
            for monitor in ("positive_f1", "report_loss", "abnormal_words")
        ),
        (
            {"decoder": {"kind": "cvse"}, "train": {"monitor": "abnormal_words"}},
            r"monitor abnormal_words with decoder\.kind cvse: it has no probability of a word",
        ),
        (
            {"decoder": None, "finding_head": {"labels": "phantom", "patience": 2}, "train": {"monitor": "auc"}},
            r"^finding_head\.patience without a head that has none",
        ),
        *(
            (
                {"train": {"scst": True, "init_from": "runs/first", "monitor": monitor}},
                rf"train\.scst with train\.monitor {monitor}",
            )
            for monitor in ("loss", "report_loss", "abnormal_words")
        ),
        ({"text": {"max_tokens": 600}, "decoder": {"kind": "r2gen"}}, r"max_tokens 600 with decoder\.kind r2gen"),
        ({"text": {"max_tokens": 20}, "generate": {"max_tokens": 30}}, r"generate\.max_tokens 30 above"),
        (
            {"decoder": {"kind": "cvse"}, "generate": {"method": "votes"}},
            r"generate\.method votes with decoder\.kind cvse: it has no probability of a word",
        ),
        (
            {"decoder": {"kind": "cvse"}, "generate": {"guidance": 0.5}, "contrast": {}},
            r"generate\.guidance 0\.5 with decoder\.kind cvse",
        ),
        (
            {"decoder": None, **FINDINGS, "train": {"monitor": "auc"}, "generate": {"method": "votes"}},
            r"generate\.method votes with decoder\.kind null",
        ),
        *(
            (
                {"localizer": {**ON_STAGE, "stage": 1}, "contrast": contrast},
                r"^localizer\.stage 1 with contrast\.kind",
            )
            for contrast in ({"stages": [0]}, {"kind": "difference"})
        ),
        (
            {"localizer": {**ON_STAGE, "stage": 1}, "encoder": {**SMALL["encoder"], "stage": 1}},
            r"^localizer\.stage 1 with encoder\.stage 1: it is finer",
        ),
        ({"generate": {"guidance": 0.5}}, r"generate\.guidance 0\.5 with contrast: null"),
        (
            {"generate": {"guidance": 0.5, "method": "votes"}, "contrast": {"pool": {"kind": "random"}}},
            r"generate\.guidance 0\.5 with contrast\.pool\.kind random: .* set generate\.guidance: 0",
        ),
    ],
)
def test_an_impossible_pair_is_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(IncompatibleError, match=named):
        check_pairs(parse_config({**SMALL, **values}, where="small"))


def test_aggregate_off_without_repeats_is_a_possible_system() -> None:
    check_pairs(parse_config({**SMALL, "contrast": {"aggregate": False}}, where="small"))


def test_a_configuration_that_was_written_out_is_possible_where_it_was() -> None:
    """A run folder and a checkpoint write every value out: what was left at its default is then written too."""
    config = parse_config({**SMALL, "contrast": {"aggregate": False}}, where="small")
    check_pairs(parse_config(config.to_dict(), where="written"))


def test_contrast_and_a_pool_go_together(encoder: Encoder) -> None:
    with_contrast = parse_config({**SMALL, "contrast": {}}, where="small")
    with pytest.raises(IncompatibleError, match="contrast on without a pool"):
        build_system(with_contrast, SystemParts(vocabulary=9, encoder=encoder))
    with pytest.raises(IncompatibleError, match="contrast off with a pool"):
        build_system(
            parse_config(SMALL, where="small"),
            SystemParts(vocabulary=9, encoder=encoder, pool=pool_of(encoder)),
        )


@pytest.mark.parametrize("decoder", ["nic", "transformer"])
@pytest.mark.parametrize("contrast", [None, {"repeats": 2}])
def test_each_decoder_is_built_with_and_without_contrast(
    encoder: Encoder, decoder: str, contrast: dict[str, Any] | None
) -> None:
    values = {**SMALL, "decoder": {"kind": decoder}, "contrast": contrast, "finding_head": {"labels": "nih14"}}
    config = parse_config(values, where="small")
    pool = pool_of(encoder) if contrast else None
    system = build_system(config, SystemParts(vocabulary=9, encoder=encoder, pool=pool))
    features = system.features(raw=torch.rand(2, 1, 4, encoder.channels), view_mask=torch.ones(2, 1).bool())
    log_probs = system.decoder(features, torch.tensor([[1, 5, 2], [1, 6, 2]]))
    assert system.identifier is not None
    logits = system.identifier.logits(features)
    assert log_probs.shape == (2, 2, 9)
    assert logits.shape == (2, len(config.needs.finding_names))


def test_the_seed_decides_the_weights_and_leaves_the_global_generator_alone(encoder: Encoder) -> None:
    config = parse_config(SMALL, where="small")
    before = torch.random.get_rng_state()
    built = [build_system(config, SystemParts(vocabulary=9, encoder=encoder), seed=seed) for seed in (1, 1, 2)]
    weights = [system.projection.linear.weight for system in built]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_transform_is_the_encoders_own(encoder: Encoder) -> None:
    made = make_preprocess(parse_config(SMALL, where="small"), encoder)
    assert (made.size, made.mean, made.std) == (64, encoder.mean, encoder.std)


def test_the_decoders_taught_word_after_word_say_so() -> None:
    kinds = {name for name, entry in DECODERS.items() if issubclass(entry.load(), RecurrentDecoder)}
    assert {name for name, entry in DECODERS.items() if entry.options.own_words} == kinds
