"""A miniature checkpoint as the public R2Gen code writes it, in its names, with a ResNet-18 for pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from contrastcxr.models.heads.decoders.transformer import sinusoidal_positions

WIDTH, FEED_FORWARD, LAYERS, SLOTS, HEADS, CHANNELS = 16, 12, 2, 2, 4, 512
WORDS = ("<unk>", ".", "clear", "effusion", "heart", "lungs", "no", "normal", "the")
IDS = {word: number for number, word in enumerate(sorted(WORDS), start=1)}


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _attention(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number in range(4):
        yield from _linear(f"{name}.linears.{number}", WIDTH, WIDTH)


def _norm(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.gamma", (WIDTH,)
    yield f"{name}.beta", (WIDTH,)


def _layer(stack: str, number: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    name = f"model.{stack}.layers.{number}"
    yield from _attention(f"{name}.self_attn")
    yield from _linear(f"{name}.feed_forward.w_1", FEED_FORWARD, WIDTH)
    yield from _linear(f"{name}.feed_forward.w_2", WIDTH, FEED_FORWARD)
    for place in range(2 if stack == "encoder" else 3):
        yield from _norm(f"{name}.sublayer.{place}.norm")
    if stack == "encoder":
        return
    yield from _attention(f"{name}.src_attn")
    for place in range(3):
        for mlp in ("mlp_gamma", "mlp_beta"):
            yield from _linear(f"{name}.sublayer.{place}.norm.{mlp}.0", WIDTH, SLOTS * WIDTH)
            yield from _linear(f"{name}.sublayer.{place}.norm.{mlp}.2", WIDTH, WIDTH)


def text_shapes(rows: int) -> dict[str, tuple[int, ...]]:
    """Every parameter of the part that writes, with its shape."""
    shapes = dict(_linear("att_embed.0", WIDTH, CHANNELS))
    shapes |= _linear("logit", rows, WIDTH)
    shapes["model.tgt_embed.0.lut.weight"] = (rows, WIDTH)
    for stack in ("encoder", "decoder"):
        shapes |= _norm(f"model.{stack}.norm")
        for number in range(LAYERS):
            shapes |= _layer(stack, number)
    shapes |= _attention("model.rm.attn")
    for number in (0, 2):
        shapes |= _linear(f"model.rm.mlp.{number}", WIDTH, WIDTH)
    shapes |= _linear("model.rm.W", 2 * WIDTH, WIDTH)
    shapes |= _linear("model.rm.U", 2 * WIDTH, WIDTH)
    return shapes


def extractor() -> nn.Sequential:
    """The visual extractor: torchvision's ResNet-18 without its last two parts, statistics not as they start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        whole = torchvision.models.resnet18(weights=None)
        for module in whole.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
                nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return nn.Sequential(*list(whole.children())[:-2]).eval()


def r2gen_state(rows: int = len(WORDS) + 1) -> dict[str, Tensor]:
    """The state dict of a whole model with random weights."""
    generator = torch.Generator().manual_seed(1)
    state = {f"visual_extractor.model.{name}": value for name, value in extractor().state_dict().items()}
    for name, shape in text_shapes(rows).items():
        state[f"encoder_decoder.{name}"] = 0.3 * torch.randn(shape, generator=generator)
    state["encoder_decoder.model.tgt_embed.1.pe"] = sinusoidal_positions(600, WIDTH).unsqueeze(0)
    return state


def save_r2gen(path: Path, state: Mapping[str, Tensor] | None = None, **beside: Any) -> Path:
    """`model_best.pth` as their trainer saves it."""
    held = {"epoch": 3, "optimizer": {"state": {}, "param_groups": []}, "monitor_best": 0.1, **beside}
    torch.save({**held, "state_dict": dict(state or r2gen_state())}, path)
    return path


def save_vocabulary(path: Path, value: Any = None) -> Path:
    """`token2idx` of their tokenizer, or any other value, as JSON."""
    path.write_text(json.dumps(IDS if value is None else value))
    return path
