from __future__ import annotations

from typing import Any

import pytest
import torch
from mini_data import mini_config

from contrastcxr.assemble import SystemParts, build_system, make_encoder
from contrastcxr.config import OptimizerConfig, ScheduleConfig, ScheduledSamplingConfig, SystemConfig, parse_config
from contrastcxr.errors import ConfigError, IncompatibleError
from contrastcxr.features.batch import Batch
from contrastcxr.models.contrast.pool import NormalityPool, PoolRows
from contrastcxr.models.system import System
from contrastcxr.training.task import loss_terms, loss_weights, optimizer_of, own_share, rate_factor

WORDS = 7


def system_of(config: SystemConfig) -> System:
    encoder = make_encoder(config)
    pool = None
    if config.contrast is not None:
        names = ("a", "b", "c")
        rows = PoolRows(names, names, ("p0", "p1", "p2"), ("PA",) * 3, (None,) * 3)
        pool = NormalityPool(torch.rand(3, encoder.channels, generator=torch.Generator().manual_seed(0)), rows)
    return build_system(config, SystemParts(vocabulary=WORDS, encoder=encoder, pool=pool))


def batch_of(channels: int, *, patients: tuple[str, ...] = ("p8", "p9"), **changes: Any) -> Batch:
    generator = torch.Generator().manual_seed(1)
    values: dict[str, Any] = {
        "study_ids": ("s0", "s1"),
        "patient_ids": patients,
        "images": None,
        "features": torch.rand(2, 1, 4, channels, generator=generator),
        "view_mask": torch.ones(2, 1).bool(),
        "affines": torch.zeros(2, 1, 2, 3),
        "positions": (("PA",), ("PA",)),
        "token_ids": torch.tensor([[1, 4, 5, 2], [1, 6, 2, 0]]),
        "token_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]).bool(),
        "finding_targets": torch.zeros(2, 14),
        "finding_mask": torch.ones(2, 14).bool(),
    }
    return Batch(**{**values, **changes})


def test_terms_are_named_and_counted_over_what_is_real() -> None:
    config = mini_config()
    system = system_of(config)
    mask = torch.zeros(2, 14).bool()
    mask[0, :3] = True
    terms = loss_terms(system, batch_of(system.projection.channels, finding_mask=mask))
    assert {name: int(count) for name, (_, count) in terms.items()} == {"word": 5, "finding": 3}
    assert loss_weights(config) == {"word": 1.0, "finding": 1.0}


def test_a_system_without_a_head_has_the_word_loss_only() -> None:
    config = mini_config(finding_head=None)
    system = system_of(config)
    assert list(loss_terms(system, batch_of(system.projection.channels))) == ["word"]
    assert list(loss_weights(config)) == ["word"]


def test_the_patients_of_a_batch_are_masked_out_of_the_pool() -> None:
    system = system_of(mini_config()).eval()
    channels = system.projection.channels

    def word(patients: tuple[str, ...]) -> float:
        return float(loss_terms(system, batch_of(channels, patients=patients))["word"][0].detach())

    assert word(("p8", "p9")) == pytest.approx(word(("x", "y")))
    assert abs(word(("p0", "p1")) - word(("p8", "p9"))) > 1e-7


def test_gradient_reaches_every_parameter_that_is_trained() -> None:
    system = system_of(mini_config())
    terms = loss_terms(system, batch_of(system.projection.channels))
    torch.stack([mean for mean, _ in terms.values()]).sum().backward()
    left = [name for name, p in system.named_parameters() if p.requires_grad and p.grad is None]
    assert not left
    assert all(p.grad is None for name, p in system.named_parameters() if name.startswith("encoder."))


def test_a_batch_without_reports_is_refused() -> None:
    system = system_of(mini_config())
    with pytest.raises(IncompatibleError, match="needs reports"):
        loss_terms(system, batch_of(system.projection.channels, token_ids=None))


def test_the_rate_drops_by_epochs() -> None:
    factor = rate_factor(ScheduleConfig(factor=0.5, every_epochs=2), steps_per_epoch=3)
    assert [factor(step) for step in (0, 5, 6, 11, 12)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_a_frozen_encoder_is_not_in_the_optimiser_and_a_trained_one_has_its_own_rate() -> None:
    settings = OptimizerConfig(lr=0.01, encoder_lr=0.001)
    frozen = optimizer_of(settings, system_of(mini_config(contrast=None)))
    assert [group["lr"] for group in frozen.param_groups] == [0.01]
    encoder = {"name": "test_efficientnet", "weights": "random", "trainable": True}
    system = system_of(mini_config(contrast=None, encoder=encoder))
    trained = optimizer_of(settings, system)
    assert [group["lr"] for group in trained.param_groups] == [0.01, 0.001]
    assert system.encoder is not None
    assert len(trained.param_groups[1]["params"]) == len(list(system.encoder.parameters()))


def test_sgd_with_nesterov_takes_the_step_of_its_equation() -> None:
    """v ← μ v + g + λ w; w ← w − η (g + λ w + μ v), as PyTorch and the published settings have it."""
    lr, momentum, decay = 0.1, 0.9, 0.01
    module = torch.nn.Linear(2, 1, bias=False)
    config = OptimizerConfig(kind="sgd", lr=lr, weight_decay=decay)
    optimizer = optimizer_of(config, alone(module))
    weights, velocity = module.weight.detach().clone(), torch.zeros(1, 2)
    for step in range(3):
        gradient = torch.tensor([[1.0 + step, -2.0]])
        module.weight.grad = gradient.clone()
        optimizer.step()
        pulled = gradient + decay * weights
        velocity = momentum * velocity + pulled
        weights = weights - lr * (pulled + momentum * velocity)
        torch.testing.assert_close(module.weight.detach(), weights)


def alone(module: torch.nn.Module) -> System:
    system = torch.nn.Module()
    system.encoder = None
    system.part = module
    return system  # type: ignore[return-value]


class Exempt(torch.nn.Module):
    """Names one weight of its own and one of the module inside it."""

    without_decay = ("scale", "inner.bias")

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.inner = torch.nn.Linear(2, 2)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_weights_that_a_part_exempts_are_not_decayed(kind: str) -> None:
    module = Exempt()
    optimizer = optimizer_of(OptimizerConfig(kind=kind, lr=0.5, weight_decay=0.1), alone(module))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, p in module.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"inner.weight"}


def test_a_system_without_exempt_weights_has_the_groups_it_had() -> None:
    optimizer = optimizer_of(OptimizerConfig(weight_decay=0.1), system_of(mini_config(contrast=None)))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "adam", "momentum": 0.5}, "momentum means nothing with kind adam"),
        ({"kind": "adamw", "nesterov": False}, "nesterov means nothing with kind adamw"),
        ({"kind": "sgd", "amsgrad": True}, "amsgrad means nothing with kind sgd"),
        ({"kind": "sgd", "momentum": 0}, "nesterov needs a momentum above 0"),
    ],
)
def test_an_option_of_another_optimiser_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config({"name": "small", "train": {"optimizer": values}}, where="file.yaml")


def test_own_words_come_in_steps_up_to_the_most() -> None:
    settings = ScheduledSamplingConfig(step=0.05, every_epochs=5, most=0.12)
    shares = [own_share(settings, epoch=epoch) for epoch in (0, 4, 5, 10, 14, 15, 99)]
    assert shares == pytest.approx([0.0, 0.0, 0.05, 0.1, 0.1, 0.12, 0.12])
    assert own_share(None, epoch=99) == 0.0


def test_the_end_is_taught_where_it_shares_its_id_with_the_padding() -> None:
    """Imported R2Gen vocabularies have one id for both."""
    system = system_of(mini_config(finding_head=None))
    ids = torch.tensor([[0, 4, 5, 0], [0, 6, 0, 0]])
    _, count = loss_terms(system, batch_of(system.projection.channels, token_ids=ids))["word"]
    assert int(count) == 5
