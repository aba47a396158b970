"""Checkpoint files: written whole, found by name or path, read without running code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from contrastcxr.checkpoint.metadata import UNUSABLE, damage_error, from_strings, opened, to_strings
from contrastcxr.checkpoint.system import Checkpoint, refuse_not_finite
from contrastcxr.errors import CheckpointError
from contrastcxr.files import CHECKPOINT_SUFFIX, atomic_write, find_checkpoint
from contrastcxr.quality.measures import QualityReference

QUALITY_PREFIX = "quality."
PICKLES = (".ckpt", ".pth", ".pt", ".bin", ".pkl")

SaveDtype = Literal["float16", "float32"]


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, dtype: SaveDtype = "float16") -> int:
    """Write one safetensors file and return its size in bytes.

    In float16 the batch-norm statistics, the temperature and values beyond float16's range stay float32.

    Raises:
        OutputError: the file cannot be written; nothing half-written is left.
    """
    from safetensors.torch import save

    quality, state = checkpoint.quality, dict(checkpoint.state)
    if quality is not None:
        state |= {QUALITY_PREFIX + name: value for name, value in quality.tensors().items()}
    tensors = {name: _stored(name, value, dtype) for name, value in state.items()}
    said = to_strings(checkpoint, quality=None if quality is None else quality.metadata())
    content = save(tensors, metadata=said)
    with atomic_write(path, mode="wb") as file:
        file.write(content)
    return len(content)


_EXACT = (
    "running_mean",
    "running_var",
    "mean",
    "deviation",
    "temperature",
    "threshold",
    "canonical",
    "balance",
    "poses",
)
"""Never rounded: figures that others are compared with or divided by, and places."""


def _stored(name: str, value: Tensor, dtype: SaveDtype) -> Tensor:
    kept = value.detach().cpu().contiguous().clone()
    if not kept.is_floating_point() or kept.dtype == torch.float16:
        return kept  # what is kept in half, the maps of a bank, gains nothing by more
    if dtype == "float32" or name.rpartition(".")[2] in _EXACT:
        return kept.float()
    return kept.float() if kept.abs().amax() > torch.finfo(torch.float16).max else kept.half()


def load_checkpoint(name_or_path: str | Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Read a checkpoint by path or by name.

    A name is looked for as `NAME.safetensors` and `NAME/NAME.safetensors` in the folders of `model_folders()`.

    Args:
        name_or_path: a `.safetensors` file, a run folder, or the name of a bundled model.
        allow_pickle: read a training state (`.ckpt`) too; weights only, beside the run folder's other files.

    Raises:
        UnknownNameError: no such file or name.
        CheckpointError: not ours, of another format version, damaged, with weights that are not finite, or a
            pickle that was not allowed.
    """
    path = find_checkpoint(name_or_path)
    if path.suffix in PICKLES:
        return _from_training_state(path, allow_pickle=allow_pickle)
    metadata, state = _read(path)
    return _checkpoint(metadata, state, path)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with opened(path, "pt") as file:
        return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _checkpoint(metadata: Mapping[str, str], state: Mapping[str, Tensor], path: Path) -> Checkpoint:
    """Return the checkpoint that metadata and weights of a file make."""
    said = from_strings(metadata, path)
    refuse_not_finite(state, str(path))
    return Checkpoint(
        **vars(said),
        quality=_quality(metadata, state, path),
        state={name: value for name, value in state.items() if not name.startswith(QUALITY_PREFIX)},
    )


def _quality(metadata: Mapping[str, str], state: Mapping[str, Tensor], path: Path) -> QualityReference | None:
    said = json.loads(metadata.get("quality", "null"))
    if said is None:
        return None
    own = {n.removeprefix(QUALITY_PREFIX): v for n, v in state.items() if n.startswith(QUALITY_PREFIX)}
    try:
        return QualityReference.from_saved(said, own)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: the picture statistics lack {error}; the file was changed, get it again"
        ) from None
    except UNUSABLE:
        raise damage_error(path, "quality") from None


def _from_training_state(path: Path, *, allow_pickle: bool) -> Checkpoint:
    """Return the weights of a training state with the metadata of the checkpoint beside it."""
    if not allow_pickle:
        raise CheckpointError(
            f"{path}: a pickle can run code and is not read; give the run folder's checkpoint{CHECKPOINT_SUFFIX}, "
            "or allow a training state of ours with --allow-pickle (weights only); a checkpoint of R2Gen or WCL "
            "becomes ours by `contrastcxr import r2gen`"
        )
    beside = path.parent / f"checkpoint{CHECKPOINT_SUFFIX}"
    if not beside.is_file():
        raise CheckpointError(
            f"{path}: expected {beside.name} beside it for vocabulary and configuration, found none; "
            "give the one inside its run folder"
        )
    metadata, best = _read(beside)
    saved = read_training_state(path)
    weights = {key.removeprefix("system."): value for key, value in saved["state_dict"].items()}
    statistics = {key: value for key, value in best.items() if key.startswith(QUALITY_PREFIX)}
    if weights.keys() != best.keys() - statistics.keys():
        raise CheckpointError(
            f"{path}: its weights are not those of the system in {beside.name}; give the matching pair"
        )
    return _checkpoint(metadata, {**weights, **statistics}, beside)


def read_training_state(path: Path) -> dict[str, Any]:
    """Return a `.ckpt` of a run, read with weights only: a file that holds anything else is refused.

    Raises:
        CheckpointError: it cannot be read that way.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds for a damaged or foreign pickle
        raise CheckpointError(
            f"{path}: expected the state of a training run, found a damaged file or one that holds more than "
            "weights, which could run code; give another"
        ) from None
    if not isinstance(state, dict) or not isinstance(state.get("state_dict"), dict):
        raise CheckpointError(f"{path}: expected the state of a training run, found {type(state).__name__}")
    return state
