"""Which parameter of R2Gen's code is which of ours, name by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from contrastcxr.errors import CheckpointError, listed
from contrastcxr.models.heads.decoders.transformer import sinusoidal_positions

TEXT, PICTURES = "encoder_decoder.", "visual_extractor.model."
WRITTEN_ONLY = ("projection.",)
"""Parts that training alone needs: WCL's two projections into the space of its contrastive loss."""
POSITIONS = f"{TEXT}model.tgt_embed.1.pe"
_COMPARED, _ROUNDED = 512, 5e-3
"""Places whose positions are compared, and by how much bfloat16 rounds a sine."""

_RESNETS: Mapping[tuple[bool, tuple[int, ...]], str] = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}
"""Whether blocks have a third convolution, and how many blocks each of the four stages has -> name."""
_STEM = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Places in the sequence that torchvision's ResNet was cut into -> names of its parts."""


@dataclass(frozen=True)
class Layout:
    """Sizes that a checkpoint of R2Gen shows in its shapes; the numbers of heads it does not show.

    Attributes:
        width: d.
        feed_forward: hidden width of the feed-forwards.
        layers: of encoder and decoder.
        slots: of the memory.
        rows: of the vocabulary, the shared id 0 counted.
        channels: C of the patches it was trained on.
    """

    width: int
    feed_forward: int
    layers: int
    slots: int
    rows: int
    channels: int

    @classmethod
    def of(cls, state: Mapping[str, Tensor], path: Path) -> Layout:
        """Return the sizes of a checkpoint.

        Raises:
            CheckpointError: it lacks the parts that they are read from.
        """
        try:
            rows, width = state[f"{TEXT}logit.weight"].shape
            memory = state[f"{TEXT}model.decoder.layers.0.sublayer.0.norm.mlp_gamma.0.weight"].shape[1]
            feed_forward = len(state[f"{TEXT}model.encoder.layers.0.feed_forward.w_1.weight"])
            channels = state[f"{TEXT}att_embed.0.weight"].shape[1]
        except (KeyError, ValueError, IndexError) as error:
            missing = error.args[0] if isinstance(error, KeyError) else "of another shape"
            raise CheckpointError(
                f"{path}: not a checkpoint of R2Gen or WCL ({missing} is not there); give their model_best.pth"
            ) from None
        layers = _count(state, f"{TEXT}model.decoder.layers.")
        return cls(width, feed_forward, layers, memory // width, rows, channels)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbered parts follow `prefix`."""
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def encoder_name(state: Mapping[str, Tensor], path: Path) -> str:
    """Return the ResNet that the visual extractor is, by the blocks of its stages.

    Raises:
        CheckpointError: there is none, or not a ResNet.
    """
    blocks = tuple(_count(state, f"{PICTURES}{place}.") for place in ("4", "5", "6", "7"))
    name = _RESNETS.get((f"{PICTURES}4.0.conv3.weight" in state, blocks))
    if name is None:
        found = f"one with {', '.join(map(str, blocks))} blocks" if any(blocks) else "none"
        raise CheckpointError(
            f"{path}: expected a ResNet of torchvision as visual extractor ({listed(_RESNETS.values())}), "
            f"found {found}; only checkpoints that read pictures are imported"
        )
    return name


def map_pictures(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the visual extractor in our encoder, under the names of a ResNet.

    The names of torchvision and of timm are the same.
    """
    mapped = {}
    for name, value in state.items():
        if name.startswith(PICTURES):
            place, _, rest = name.removeprefix(PICTURES).partition(".")
            mapped[f"encoder.backbone.{_STEM.get(place, place)}.{rest}"] = value
    return mapped


def map_text(state: Mapping[str, Tensor], layout: Layout, path: Path) -> dict[str, Tensor]:
    """Return the patch embedding and decoder under our names.

    Raises:
        CheckpointError: a parameter is missing, of another shape, or of a kind that R2Gen's code does not have.
    """
    plan = dict(_plan(layout))
    known = {name for part in plan.values() for name in part.names}
    _refuse_unknown(state, known, path)
    _check_positions(state, layout, path)
    return {ours: part.made(state, path) for ours, part in plan.items()}


def _refuse_unknown(state: Mapping[str, Tensor], known: set[str], path: Path) -> None:
    parts = (PICTURES, *WRITTEN_ONLY)
    odd = sorted(n for n in state if n not in known and n != POSITIONS and not n.startswith(parts))
    if odd:
        raise CheckpointError(
            f"{path}: {odd[0]} ({len(odd)} such) is no part of R2Gen's model as published; "
            "only checkpoints of that model are imported"
        )


def _check_positions(state: Mapping[str, Tensor], layout: Layout, path: Path) -> None:
    """Refuse a checkpoint that learnt other positions than are computed here: it would read wrongly."""
    held = state.get(POSITIONS)
    if held is None:
        return
    table = held.flatten(0, -2)[:_COMPARED]  # far places differ by rounding
    if table.shape[1] != layout.width or not torch.allclose(
        table, sinusoidal_positions(len(table), layout.width), atol=_ROUNDED
    ):
        raise CheckpointError(f"{path}: {POSITIONS} are not sinusoidal positions; its code was changed")


@dataclass(frozen=True)
class _Part:
    """One of our tensors: their tensors end to end, or stacked along a new first axis."""

    names: tuple[str, ...]
    stacked: bool = False

    def made(self, state: Mapping[str, Tensor], path: Path) -> Tensor:
        absent = next((name for name in self.names if name not in state), None)
        if absent is not None:
            raise CheckpointError(f"{path}: {absent} is not there; the file was changed, get it again")
        parts = [state[name] for name in self.names]
        try:
            return torch.stack(parts) if self.stacked else torch.cat(parts)
        except RuntimeError:
            raise CheckpointError(
                f"{path}: {self.names[0]} and its fellows differ in shape; get it again"
            ) from None


def _plan(layout: Layout) -> Iterator[tuple[str, _Part]]:
    """Yield each of our names with the names it is made of."""
    text, model, decoder = TEXT, f"{TEXT}model", "decoder.transformer"
    yield from _linear("projection.linear", f"{text}att_embed.0")
    yield from _linear(f"{decoder}.output", f"{text}logit")
    yield f"{decoder}.embedding.weight", _Part((f"{model}.tgt_embed.0.lut.weight",))
    for stack in ("encoder", "decoder"):
        yield from _norm(f"{decoder}.{stack}_norm", f"{model}.{stack}.norm")
    for number in range(layout.layers):
        yield from _encoder_layer(f"{decoder}.encoder.{number}", f"{model}.encoder.layers.{number}")
        yield from _decoder_layer(f"{decoder}.decoder.{number}", f"{model}.decoder.layers.{number}")
    yield from _memory("decoder.memory", f"{model}.rm")
    yield from _conditions("decoder.conditions", f"{model}.decoder.layers", layout.layers)


def _linear(ours: str, *theirs: str) -> Iterator[tuple[str, _Part]]:
    for end in ("weight", "bias"):
        yield f"{ours}.{end}", _Part(tuple(f"{name}.{end}" for name in theirs))


def _norm(ours: str, theirs: str) -> Iterator[tuple[str, _Part]]:
    yield f"{ours}.weight", _Part((f"{theirs}.gamma",))
    yield f"{ours}.bias", _Part((f"{theirs}.beta",))


def _self_attention(ours: str, theirs: str) -> Iterator[tuple[str, _Part]]:
    yield from _linear(f"{ours}.query_key_value", *(f"{theirs}.linears.{i}" for i in range(3)))
    yield from _linear(f"{ours}.out", f"{theirs}.linears.3")


def _feed_forward(ours: str, theirs: str) -> Iterator[tuple[str, _Part]]:
    yield from _linear(f"{ours}.0", f"{theirs}.w_1")
    yield from _linear(f"{ours}.3", f"{theirs}.w_2")


def _encoder_layer(ours: str, theirs: str) -> Iterator[tuple[str, _Part]]:
    yield from _self_attention(f"{ours}.attention", f"{theirs}.self_attn")
    yield from _feed_forward(f"{ours}.feed_forward", f"{theirs}.feed_forward")
    for number, name in enumerate(("attention_norm", "feed_forward_norm")):
        yield from _norm(f"{ours}.{name}", f"{theirs}.sublayer.{number}.norm")


def _decoder_layer(ours: str, theirs: str) -> Iterator[tuple[str, _Part]]:
    yield from _self_attention(f"{ours}.tokens", f"{theirs}.self_attn")
    yield from _linear(f"{ours}.patches.query", f"{theirs}.src_attn.linears.0")
    yield from _linear(f"{ours}.patches.key_value", *(f"{theirs}.src_attn.linears.{i}" for i in (1, 2)))
    yield from _linear(f"{ours}.patches.out", f"{theirs}.src_attn.linears.3")
    yield from _feed_forward(f"{ours}.feed_forward", f"{theirs}.feed_forward")
    for number, name in enumerate(("token_norm", "patch_norm", "feed_forward_norm")):
        yield from _norm(f"{ours}.{name}", f"{theirs}.sublayer.{number}.norm")


def _memory(ours: str, theirs: str) -> Iterator[tuple[str, _Part]]:
    yield from _self_attention(f"{ours}.attention", f"{theirs}.attn")
    for number in (0, 2):
        yield from _linear(f"{ours}.mlp.{number}", f"{theirs}.mlp.{number}")
    yield from _linear(f"{ours}.of_word", f"{theirs}.W")
    yield from _linear(f"{ours}.of_memory", f"{theirs}.U")


def _conditions(ours: str, theirs: str, layers: int) -> Iterator[tuple[str, _Part]]:
    """Yield the two MLPs of every norm: all scales in the order of the norms, then all shifts."""
    norms = [f"{theirs}.{layer}.sublayer.{place}.norm" for layer in range(layers) for place in range(3)]
    mlps: Sequence[str] = [f"{norm}.{kind}" for kind in ("mlp_gamma", "mlp_beta") for norm in norms]
    for name, place in (("inner", 0), ("outer", 2)):
        yield f"{ours}.{name}", _Part(tuple(f"{mlp}.{place}.weight" for mlp in mlps), stacked=True)
        yield f"{ours}.{name}_bias", _Part(tuple(f"{mlp}.{place}.bias" for mlp in mlps), stacked=True)
