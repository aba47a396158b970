"""A trained system in one file: safetensors weights, and metadata that say all else that reading needs.

The metadata are strings of JSON: format version, configuration, vocabulary, labels, preprocessing, temperature,
thresholds, pool rows, sources.  Nothing in the file can run code.  The names below are imported when first used:
metadata are read without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastcxr.checkpoint.metadata import CheckpointMetadata, SourceNote, read_metadata
    from contrastcxr.checkpoint.storage import SaveDtype, load_checkpoint, read_training_state, save_checkpoint
    from contrastcxr.checkpoint.system import Checkpoint

_NAMES = {
    "Checkpoint": "contrastcxr.checkpoint.system",
    "CheckpointMetadata": "contrastcxr.checkpoint.metadata",
    "SaveDtype": "contrastcxr.checkpoint.storage",
    "SourceNote": "contrastcxr.checkpoint.metadata",
    "load_checkpoint": "contrastcxr.checkpoint.storage",
    "read_metadata": "contrastcxr.checkpoint.metadata",
    "read_training_state": "contrastcxr.checkpoint.storage",
    "save_checkpoint": "contrastcxr.checkpoint.storage",
}

__all__ = [
    "Checkpoint",
    "CheckpointMetadata",
    "SaveDtype",
    "SourceNote",
    "load_checkpoint",
    "read_metadata",
    "read_training_state",
    "save_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
