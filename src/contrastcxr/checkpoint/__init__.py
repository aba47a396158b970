"""A trained system in one file: safetensors weights, and metadata that say all else that reading needs.

The metadata are strings of JSON: format version, configuration, vocabulary, labels, preprocessing, temperature,
thresholds, pool rows, sources.  Nothing in the file can run code.  The names below are imported when first used:
metadata are read without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastcxr.checkpoint.metadata import CheckpointMetadata as CheckpointMetadata
    from contrastcxr.checkpoint.metadata import SourceNote as SourceNote
    from contrastcxr.checkpoint.metadata import read_metadata as read_metadata
    from contrastcxr.checkpoint.storage import load_checkpoint as load_checkpoint
    from contrastcxr.checkpoint.storage import read_training_state as read_training_state
    from contrastcxr.checkpoint.storage import save_checkpoint as save_checkpoint
    from contrastcxr.checkpoint.system import Checkpoint as Checkpoint

_MODULES = {
    "metadata": ("CheckpointMetadata", "SourceNote", "read_metadata"),
    "storage": ("load_checkpoint", "read_training_state", "save_checkpoint"),
    "system": ("Checkpoint",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
