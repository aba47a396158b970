"""The second stage: what is rewarded becomes likelier, and a run goes on from another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_data import mini_config

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.reinforce import self_critical
from contrastcxr.metrics.cider_d import CiderD
from contrastcxr.models.heads.decoders.nic import NicDecoder
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training import run
from contrastcxr.training.self_critical import SelfCritical

STAGE_1: dict[str, Any] = {"contrast": None}
STAGE_2: dict[str, Any] = {"batch_size": 4, "epochs": 1, "precision": "fp32", "monitor": "bleu4", "scst": True}


def test_the_loss_is_the_advantage_times_the_words_of_each_study() -> None:
    log_probs = torch.log_softmax(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)), dim=-1)
    words, study = torch.tensor([1, 2, 3, 4, 5]), torch.tensor([0, 1, 1, 0, 1])
    advantage = torch.tensor([0.5, -2.0])
    expected = 0.0
    for place in range(5):
        expected -= float(advantage[study[place]]) * float(log_probs[place, words[place]]) / 2
    loss, count = self_critical(DecoderOutputs(log_probs=log_probs, words=words).chosen(), study, advantage)
    assert float(loss) == pytest.approx(expected)
    assert int(count) == 2


def test_a_report_better_than_the_greedy_one_becomes_likelier() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    taught = DecoderOutputs(torch.log_softmax(logits, dim=-1), torch.tensor([0, 1]), torch.tensor([0, 1]))
    self_critical(taught.chosen(), taught.study, torch.tensor([1.0, -1.0]))[0].backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[1, 1]


def test_an_unknown_word_earns_nothing() -> None:
    """`<unk>` stands in no training report and must not pass for the rarest of words."""
    reports = ["The heart is normal.", "The lungs are clear.", "There is an effusion."]
    tokenizer = Tokenizer.train(reports[:2], min_count=1)
    stage = SelfCritical(tokenizer, CiderD(reports), {}, max_tokens=20)
    unknown = tokenizer.special.unk
    ids = [tokenizer.encode("The heart is normal.", max_tokens=20), [unknown] * 4]
    length = max(map(len, ids))
    said = stage._texts(torch.tensor([row + [tokenizer.special.pad] * (length - len(row)) for row in ids]))
    assert said == ["The heart is normal.", ""]
    assert stage.reward([reports[0], reports[2]], said).tolist() == [pytest.approx(10.0), 0.0]


@pytest.mark.usefixtures("mini_data")
@pytest.mark.parametrize("kind", ["nic", "hlstm_dual"])
def test_a_second_stage_goes_on_from_the_first(kind: str, tmp_path: Path, cache: Path) -> None:
    decoder = {"kind": kind}
    first = run(mini_config(decoder=decoder, **STAGE_1), out=tmp_path / "first", cache=cache, progress=False)
    config = mini_config(decoder=decoder, train={**STAGE_2, "init_from": str(first.path)}, **STAGE_1)
    second = run(config, out=tmp_path / "second", cache=cache, progress=False)
    before, after = load_checkpoint(first.path), load_checkpoint(second.path)
    assert after.tokenizer == before.tokenizer
    moved = [name for name, value in after.state.items() if not torch.equal(value, before.state[name])]
    assert any(name.startswith("decoder.") for name in moved)
    assert not any(name.startswith("encoder.") for name in moved)
    assert after.config.train.init_from == "first"  # no folder of this machine
    assert np.isfinite(after.record["best"]["bleu4"])


@pytest.mark.usefixtures("mini_data")
def test_its_gradient_goes_through_no_cudnn_whose_lstm_is_evaluated(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    outputs = NicDecoder.outputs

    def looked(decoder: NicDecoder, *given: Any, **named: Any) -> Any:
        if not decoder.training and torch.is_grad_enabled():
            seen.append(torch.backends.cudnn.enabled)
        return outputs(decoder, *given, **named)

    monkeypatch.setattr(NicDecoder, "outputs", looked)
    first = run(mini_config(decoder={"kind": "nic"}, **STAGE_1), out=tmp_path / "1", cache=cache, progress=False)
    stage = {**STAGE_2, "init_from": str(first.path)}
    second = mini_config(decoder={"kind": "nic"}, train=stage, **STAGE_1)
    run(second, out=tmp_path / "2", cache=cache, progress=False)
    assert seen
    assert not any(seen)


@pytest.mark.usefixtures("mini_data")
def test_starting_from_another_system_names_both(tmp_path: Path, cache: Path) -> None:
    first = run(mini_config(**STAGE_1), out=tmp_path / "first", cache=cache, progress=False)
    for changes, named in (
        ({"width": 24}, r"init_from .*: its width is 16, this run's is 24; set width: 16"),
        ({"decoder": {"kind": "up_down"}}, r"init_from .*: its decoder\.kind is nic, this run's is up_down"),
        ({"finding_head": {"labels": "nih14"}}, r"its finding_head\.labels is phantom, this run's is nih14"),
        ({"decoder": {"kind": "nic", "hidden": 12}}, r"init_from .*lstm.* should be 48×16, found 64×16"),
    ):
        config = mini_config(train={**STAGE_2, "init_from": str(first.path)}, **STAGE_1, **changes)
        with pytest.raises(IncompatibleError, match=named):
            run(config, out=tmp_path / "second", cache=cache, progress=False)


@pytest.mark.usefixtures("mini_data")
def test_starting_with_other_heads_is_refused_though_every_size_fits(tmp_path: Path, cache: Path) -> None:
    decoder = {"kind": "transformer", "layers": 1, "heads": 2}
    first = run(mini_config(decoder=decoder, **STAGE_1), out=tmp_path / "first", cache=cache, progress=False)
    changed = {"train": {"init_from": str(first.path)}, **STAGE_1, "decoder": {**decoder, "heads": 4}}
    with pytest.raises(
        IncompatibleError, match=r"its decoder\.heads is 2, this run's is 4; set decoder\.heads: 2"
    ):
        run(mini_config(**changed), out=tmp_path / "second", cache=cache, progress=False)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"train": STAGE_2}, "without train.init_from"),
        ({"train": {**STAGE_2, "init_from": "x", "monitor": "loss"}}, "monitor loss"),
        ({"train": {**STAGE_2, "init_from": "x"}, "decoder": {"kind": "cvse"}}, "no probability of a word"),
    ],
)
def test_a_second_stage_that_makes_no_sense_is_refused(
    changes: dict[str, Any], named: str, tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(IncompatibleError, match=named):
        run(mini_config(**STAGE_1, **changes), out=tmp_path / "second", cache=cache, progress=False)
