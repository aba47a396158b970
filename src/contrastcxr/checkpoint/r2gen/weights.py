"""The weights of a checkpoint that another project wrote: tensors by name, read without running code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastcxr.checkpoint.system import refuse_not_finite
from contrastcxr.errors import CheckpointError
from contrastcxr.files import CHECKPOINT_SUFFIX

_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+")
"""What training on several cards, and compiling a model, put before every name."""
_HOLDERS = ("state_dict", "model_state_dict", "model")
"""What trainers call the weights that they save beside other things."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `.pth` (its `state_dict`, where it has one) or of a safetensors file, as float32.

    The file may be of PyTorch's older format, saved on a graphics card, or in half precision.

    A pickle is read with weights only: one that holds anything that is not a tensor, number or text is refused by
    the name of that thing, and nothing of it is run.

    Raises:
        CheckpointError: not there, damaged, weights that are not finite, or it holds more than weights.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give the model_best.pth of a training run")
    state = _safetensors(path) if path.suffix == CHECKPOINT_SUFFIX else _pickle(path)
    while isinstance(state, Mapping) and (held := [k for k in _HOLDERS if isinstance(state.get(k), Mapping)]):
        state = state[held[0]]
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(
            f"{path}: expected names with tensors, or a state_dict of them, found {type(state).__name__}; "
            "give the model_best.pth of a training run"
        )
    bare = {_WRAPPERS.sub("", str(name)): value.detach() for name, value in state.items()}
    whole = {name: value.float() if value.is_floating_point() else value for name, value in bare.items()}
    refuse_not_finite(whole, str(path))
    return whole


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise CheckpointError(f"{path}: not a safetensors file, or a damaged one; get it again") from None


def _pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign pickle
        foreign = _foreign_object(error)
        if foreign is None:
            raise CheckpointError(f"{path}: not a checkpoint of PyTorch, or a damaged one; get it again") from None
        raise CheckpointError(
            f"{path}: holds {foreign} beside its weights, which could run code, and is not read; "
            "save its state_dict alone where you trust the file"
        ) from None


def _foreign_object(error: Exception) -> str | None:
    """Return the name of what weights-only reading refused; None where the file is no pickle of PyTorch at all."""
    found = re.search(r"GLOBAL ([\w.]+)|class ([\w.]+)", str(error))
    return (found[1] or found[2]) if found else None
