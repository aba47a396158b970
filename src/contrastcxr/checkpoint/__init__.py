"""A trained system in one file: safetensors weights, and metadata that say all else that reading needs.

The metadata are strings of JSON: format version, configuration, vocabulary, labels, preprocessing, temperature,
thresholds, pool rows, sources.  Nothing in the file can run code.
"""

from contrastcxr.checkpoint.metadata import FORMAT, FORMAT_VERSION, QUALITY_PREFIX
from contrastcxr.checkpoint.storage import (
    PICKLES,
    SaveDtype,
    load_checkpoint,
    read_training_state,
    save_checkpoint,
)
from contrastcxr.checkpoint.system import PATCH_POOL_KEY, POOL_KEY, Checkpoint, SourceNote

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "PATCH_POOL_KEY",
    "PICKLES",
    "POOL_KEY",
    "QUALITY_PREFIX",
    "Checkpoint",
    "SaveDtype",
    "SourceNote",
    "load_checkpoint",
    "read_training_state",
    "save_checkpoint",
]
