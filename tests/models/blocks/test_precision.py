"""What follows its system to a device and not to another precision."""

from __future__ import annotations

import torch
from torch import nn

from contrastcxr.models.blocks.precision import FullPrecision


class Careful(FullPrecision):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(2, 3)
        self.register_buffer("count", torch.arange(3))


def test_a_system_is_cast_around_it() -> None:
    system = nn.Sequential(nn.Linear(4, 2), Careful()).to(torch.bfloat16).half()
    assert {p.dtype for p in system[0].parameters()} == {torch.float16}
    assert {p.dtype for p in system[1].parameters()} == {torch.float32}
    assert system[1].count.dtype == torch.int64
    assert system[1].map.weight.requires_grad


def test_it_goes_to_the_device_of_its_system() -> None:
    system = nn.Sequential(Careful()).to("meta", torch.float64)
    assert {value.device.type for value in system.state_dict().values()} == {"meta"}
    assert system[0].map.weight.dtype == torch.float32
