"""Encoders: a picture becomes a grid of raw features.

Any `timm` model that yields a feature map is an encoder under its timm name; `models.options.ENCODERS` lists the
ones that this project has settings for. Nothing is downloaded unless `weights="hub"` is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError, RequestError, UnknownNameError
from contrastcxr.models.encoder_weights import WeightsSource, first_line, load_weights
from contrastcxr.models.options import ENCODERS
from contrastcxr.models.regions import MAPS, RegionDetector

DEFAULT_ENCODER = "tf_efficientnet_lite0"
StagePooling = Literal["mean", "max", "unfold"]
Trainable = Literal[True, False, "last"]
"""Whether gradient reaches a backbone; `last`: only what stands behind the stage before the one that is read."""


def _unfolded(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return `[M, C, kH, kW]` as `[M, C k², H, W]` on a grid of H by W: each of its cells has all that lie in it.

    Raises:
        ValueError: no whole number of cells lies in each.
    """
    factor = maps.shape[2] // grid[0]
    if (maps.shape[2], maps.shape[3]) != (factor * grid[0], factor * grid[1]):
        raise ValueError(f"{maps.shape[2]}×{maps.shape[3]} cells are not divided by {grid[0]}×{grid[1]}")
    return F.pixel_unshuffle(maps, factor)


POOLINGS: Mapping[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {
    "mean": F.adaptive_avg_pool2d,
    "max": F.adaptive_max_pool2d,
    "unfold": _unfolded,
}


class Encoder(nn.Module):
    """A backbone whose map is read as `N` patches of `C` channels.

    A frozen encoder is always in evaluation mode and never tracks a gradient, whatever mode its parent is put
    in, so its outputs can be cached. A trainable one keeps its batch-norm statistics unless `train_norm` is
    set (ours).

    Attributes:
        name: timm name.
        stage: None for the last map before pooling (Lite0: 1,280 channels after `conv_head`), else the index of an
            intermediate stage.
        stages: indices of further stages, finer than the map that is read (`contrast.stages`, ours). Each is
            brought to the same grid and its channels follow the map's own.
        stage_pooling: how, by mean, by max, or with all their cells (`localizer.stage`).
        branch: a second backbone, which the further stages are of (`contrast.share_backbone: false`); None where
            all maps are of one.
        detector: finds regions on the maps of the further stages and on its own, which are then its patches; None
            where patches are the cells of its own map.
        stage_channels: how many channels each of them adds; none with a detector, which takes them all.
        stage_grids: rows and columns of each of them, at `image_size`.
        channels: C, all of them together.
        image_size: side in pixels at which `grid` holds.
        grid: rows and columns of patches at `image_size`; of regions one row.
        mean: per channel, of pixels in [0, 1].
        std: per channel.
        weights_note: what was loaded, in words.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        name: str,
        stage: int | None,
        stages: Sequence[int] = (),
        stage_pooling: StagePooling = "mean",
        branch: nn.Module | None = None,
        image_size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        weights_note: str,
        trainable: Trainable = False,
        train_norm: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.name = name
        self.stage = stage
        self.stages = tuple(stages)
        self.stage_pooling = stage_pooling
        self.branch = branch
        self.detector: RegionDetector | None = None
        self.stage_channels: tuple[int, ...] = ()
        self.stage_grids: tuple[tuple[int, int], ...] = ()
        self.image_size = image_size
        self.mean = mean
        self.std = std
        self.weights_note = weights_note
        self.trainable = bool(trainable)
        self.train_norm = train_norm
        self.requires_grad_(self.trainable)
        if trainable == "last":
            self._freeze_earlier_stages()
        if trainable:  # 1.7 times as fast on CPUs, forwards and backwards
            self.to(memory_format=torch.channels_last)
        self.train(False)
        self.channels, self.grid = self._measure()

    def _freeze_earlier_stages(self) -> None:
        """Let no gradient reach the stages before the one that is read.

        Raises:
            IncompatibleError: no stage stands before it.
        """
        info: Sequence[Mapping[str, Any]] = list(self.backbone.feature_info)  # type: ignore[arg-type]
        before = (len(info) if self.stage is None else self.stage + 1) - 2
        own = list(self.backbone.named_parameters())
        places = [at for at, (name, _) in enumerate(own) if before >= 0 and _lies_in(name, info[before]["module"])]
        if not places:
            raise IncompatibleError(
                f"encoder.trainable last with encoder '{self.name}' at its first stage: no stage before it would "
                "stay as it is; set encoder.trainable: true, or choose a later encoder.stage"
            )
        for _, parameter in own[: places[-1] + 1]:
            parameter.requires_grad_(False)

    def _measure(self) -> tuple[int, tuple[int, int]]:
        side = self.image_size
        try:
            with torch.no_grad():
                own, *further = self._maps(torch.zeros(1, 3, side, side, dtype=self._dtype))
                pooled = self._pooled(further, (own.shape[2], own.shape[3]))
        except (AttributeError, AssertionError, IndexError, ValueError, RuntimeError) as error:
            wanted = f"stage {self.stage}" + (f" and {list(self.stages)}" if self.stages else "")
            raise IncompatibleError(
                f"encoder '{self.name}' gives no feature map at {wanted} for {side} pixels "
                f"({first_line(error)}); choose another stage, image size or encoder"
            ) from error
        self.stage_channels = tuple(part.shape[1] for part in pooled)
        self.stage_grids = tuple((part.shape[2], part.shape[3]) for part in further)
        return own.shape[1] + sum(self.stage_channels), (own.shape[2], own.shape[3])

    @property
    def own_channels(self) -> int:
        """Channels of the map that is read, which come first."""
        return self.channels - sum(self.stage_channels)

    @property
    def stage_widths(self) -> tuple[int, ...]:
        """Channels of one cell of each further stage, of stages that are unfolded."""
        cells = self.grid[0] * self.grid[1]
        sizes = zip(self.stage_channels, self.stage_grids, strict=True)
        return tuple(channels * cells // (rows * columns) for channels, (rows, columns) in sizes)

    def find_regions(self, *, width: int, count: int, smallest_anchor: int) -> None:
        """Let its patches be regions, which a detector finds on its further stages and its own map.

        Raises:
            IncompatibleError: it is not read at two finer stages beside its own.
        """
        if len(self.stages) + 1 != MAPS:
            raise IncompatibleError(
                f"encoder.regions with {len(self.stages)} further stages of '{self.name}': a detector stands on "
                f"{MAPS} maps; leave encoder.regions out"
            )
        channels = (*self.stage_widths, self.own_channels)
        self.detector = RegionDetector(
            channels, image_size=self.image_size, width=width, count=count, smallest_anchor=smallest_anchor
        ).requires_grad_(False)
        self.detector.eval()
        self.stage_channels = ()
        self.channels, self.grid = self.detector.channels, (1, count)

    def _map(self, images: Tensor) -> Tensor:
        """Return the feature map `[M, C, H, W]`, the channels of further stages behind its own."""
        own, *further = self._maps(images)
        if not further:
            return own
        return torch.cat([own, *self._pooled(further, (own.shape[2], own.shape[3]))], dim=1)

    def _pooled(self, maps: Sequence[Tensor], grid: tuple[int, int]) -> list[Tensor]:
        return [POOLINGS[self.stage_pooling](part, grid) for part in maps]

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Return the map that is read and those of the further stages, each on its own grid, from one pass."""
        shared = self.stages if self.branch is None else ()
        others = [] if self.branch is None else _intermediates(self.branch, images, self.stages)
        if self.stage is None:
            last, further = self._last_map(images, shared)
            if last.ndim == 4 and last.shape[1] == self.backbone.num_features:
                return [last, *further, *others]
        stage = -1 if self.stage is None else self.stage
        *further, own = _intermediates(self.backbone, images, [*shared, stage])
        if len(further) != len(shared):
            raise ValueError(f"{list(shared)} are not all finer than the stage that is read")
        return [own, *further, *others]

    def _last_map(self, images: Tensor, stages: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Return what the backbone gives last before pooling, and the maps of its further stages."""
        if not stages:
            return self.backbone.forward_features(images), []  # type: ignore[operator]
        last, further = self.backbone.forward_intermediates(images, indices=list(stages), output_fmt="NCHW")  # type: ignore[operator]
        return last, further

    def train(self, mode: bool = True) -> Encoder:
        """Set training mode: it reaches the backbone only when the backbone is trainable.

        It reaches the norms of the backbone only with `train_norm`, and only those that learn.
        """
        super().train(mode and self.trainable)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                learns = any(parameter.requires_grad for parameter in module.parameters())
                module.train(module.training and self.train_norm and learns)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return patches `[M, N, C]` of normalised `images [M, 3, S, S]`, row by row from the top left.

        With a detector they are its regions, the highest score first.
        """
        if self.trainable:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            if self.detector is not None:
                own, *further = self._maps(images.to(self._dtype))
                return self.detector([*further, own])  # type: ignore[no-any-return]
            return self._map(images.to(self._dtype)).flatten(2).transpose(1, 2)  # [M, N, C]

    def stages_of(self, images: Tensor) -> Tensor:
        """Return the channels of the further stages alone, `[M, N, C']`; without such stages those of its own map.

        They are the last ones that `forward` gives, which goes on to the map that is read; here nothing goes on.
        """
        if not self.stages:
            return self(images)  # type: ignore[no-any-return]
        if self.trainable:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            maps = _intermediates(self.branch or self.backbone, images.to(self._dtype), self.stages)
            return torch.cat(self._pooled(maps, self.grid), dim=1).flatten(2).transpose(1, 2)  # [M, N, C']

    @torch.no_grad()
    def branches(self, images: Tensor) -> Tensor:
        """Return `stages_of` as reading does, `[M, N, C']`: in evaluation mode, and left in the mode it was in."""
        training = self.training
        found = self.eval().stages_of(images)
        self.train(training)
        return found

    def map(self, images: Tensor) -> Tensor:
        """Return the map `[M, C, H, W]` of normalised `images [M, 3, S, S]`, with the gradient to the pictures."""
        return self._map(images.to(self._dtype))

    @property
    def device(self) -> torch.device:
        """Where the network is, and where it wants its images."""
        return next(self.backbone.parameters()).device

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.backbone.parameters()).dtype

    def config(self) -> dict[str, Any]:
        """Return what decides the features apart from the weights."""
        said: dict[str, Any] = {
            "name": self.name,
            "stage": self.stage,
            "mean": list(self.mean),
            "std": list(self.std),
        }
        if self.stages:
            said["stages"] = list(self.stages)
        if self.branch is not None:
            said["separate_stages"] = True
        if self.detector is not None:
            said["regions"] = self.detector.config()
            return said
        pooled = self.stages and self.stage_pooling != "mean"
        return {**said, "stage_pooling": self.stage_pooling} if pooled else said

    def fingerprint(self) -> str:
        """Return the SHA-256 over configuration and weights: equal fingerprints give equal features."""
        digest = hashlib.sha256(json.dumps(self.config(), sort_keys=True).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _intermediates(backbone: nn.Module, images: Tensor, stages: Sequence[int]) -> list[Tensor]:
    maps: list[Tensor] = backbone.forward_intermediates(  # type: ignore[operator]
        images, indices=list(stages), intermediates_only=True, output_fmt="NCHW", stop_early=True
    )
    return maps


def _lies_in(parameter: str, module: str) -> bool:
    return parameter.startswith(f"{module}.")


def build_encoder(
    name: str = DEFAULT_ENCODER,
    *,
    weights: WeightsSource = "package",
    stage: int | None = None,
    stages: Sequence[int] = (),
    stage_pooling: StagePooling = "mean",
    separate_stages: bool = False,
    image_size: int = 224,
    trainable: Trainable = False,
    train_norm: bool = False,
    allow_pickle: bool = False,
    seed: int = 0,
) -> Encoder:
    """Return an encoder with the weights asked for.

    Args:
        name: a timm model name.
        weights: `package` (ImageNet weights that come with a Python package; Lite0 only), `hub` (downloads),
            `random`, `checkpoint` (nothing is loaded: a state dict follows) or the path of a local file.
        stage: None for the last map before pooling, else the index of an intermediate stage (0 is the finest).
        stages: indices of further stages, increasing, whose channels follow (`contrast.stages`, ours).
        stage_pooling: how they are brought to the grid of the one that is read: by `mean`, by `max`, or with all
            their cells, `unfold`, whose channels then stand side by side.
        separate_stages: whether they are those of a second backbone with the same weights to start from (`random`
            draws others).
        image_size: side of the square input in pixels.
        trainable: whether gradient reaches the backbone (paper A: False), or its `last` stage alone.
        train_norm: whether a trainable encoder updates its batch-norm statistics.
        allow_pickle: allow a local file that is a pickle (`.pth`, `.pt`, `.bin`); it is read with weights only.
        seed: of `random`.

    Raises:
        UnknownNameError: timm has no such model.
        IncompatibleError: the model gives no feature map there, or no package has weights for it.
        CheckpointError: the file does not fit the model or is a pickle that was not allowed.
        MissingExtraError: the package of the weights is not installed.
        RequestError: the hub could not be reached.
    """
    made = partial(_backbone, name, weights=weights, image_size=image_size, allow_pickle=allow_pickle)
    backbone, note = made(stage=stage, seed=seed)
    branch = made(stage=max(stages), seed=seed + 1)[0] if separate_stages and stages else None
    settings = backbone.pretrained_cfg
    return Encoder(
        backbone,
        name=name,
        stage=stage,
        stages=stages,
        stage_pooling=stage_pooling,
        branch=branch,
        image_size=image_size,
        mean=tuple(settings["mean"]),  # type: ignore[index]
        std=tuple(settings["std"]),  # type: ignore[index]
        weights_note=note,
        trainable=trainable,
        train_norm=train_norm,
    )


def _backbone(
    name: str, *, weights: WeightsSource, stage: int | None, image_size: int, allow_pickle: bool, seed: int
) -> tuple[nn.Module, str]:
    """Return a network up to a stage, and what its weights are."""
    backbone = _create(name, image_size=image_size, pretrained=weights == "hub", seed=seed)
    note = load_weights(backbone, name, weights, allow_pickle=allow_pickle, seed=seed)
    _drop_classifier(backbone)
    _drop_later_stages(backbone, stage)
    return backbone, note


def _create(name: str, *, image_size: int, pretrained: bool, seed: int) -> nn.Module:
    import timm

    if name.split(".")[0] not in (known := timm.list_models()):
        raise UnknownNameError("encoder", name, (*ENCODERS, *known))
    # timm draws initial weights from the global generator: the fork leaves that generator as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return timm.create_model(name, pretrained=pretrained, **_size_argument(name, image_size))
        except Exception as error:
            if not pretrained:
                raise
            raise RequestError(
                f"weights of '{name}' could not be had from the hub "
                f"({type(error).__name__}: {first_line(error)}); connect to the network, "
                "or give weights: a local safetensors file, 'package' or 'random'"
            ) from error


def _size_argument(name: str, image_size: int) -> dict[str, Any]:
    """Return the argument for the input size: transformers of fixed size need it, other models refuse it."""
    import timm

    settings = timm.models.get_pretrained_cfg(name)
    return {"img_size": image_size} if settings is not None and settings.fixed_input_size else {}


def _drop_classifier(backbone: nn.Module) -> None:
    """Drop the classifier, which is never asked: it would only weigh in checkpoints and fingerprints."""
    reset = getattr(backbone, "reset_classifier", None)
    if reset is not None:
        reset(0)


def _drop_later_stages(backbone: nn.Module, stage: int | None) -> None:
    """Drop what comes after the stage that is read: it would never learn, yet be saved."""
    prune = getattr(backbone, "prune_intermediate_layers", None)
    if prune is None or stage is None:
        return
    with contextlib.suppress(AssertionError, IndexError, ValueError):  # no such stage: said when it is measured
        prune([stage], prune_norm=False, prune_head=True)
