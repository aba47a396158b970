"""Which weights made a score: a fingerprint of files, so that figures of different weights are never compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from contrastcxr.errors import CheckpointError

_CHUNK = 1 << 22
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def fingerprint(paths: Iterable[Path]) -> str:
    """Return twelve hexadecimal digits that follow from the files' bytes, in their order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:12]


def transformer_files(folder: Path, purpose: str, *, allow_pickle: bool) -> list[Path]:
    """Return the configuration and weights of a transformer as `save_pretrained` leaves them.

    Raises:
        CheckpointError: one is absent, or the weights are a pickle and that is not allowed; says what is expected.
    """
    expected = (
        "expected a folder with config.json, a tokenizer and model.safetensors, as save_pretrained leaves it"
    )
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no folder of weights for {purpose}; {expected}")
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: lacks config.json for {purpose}; {expected}")
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise CheckpointError(f"{folder}: lacks the weights for {purpose}; {expected}")
    if weights.suffix == ".bin" and not allow_pickle:
        raise CheckpointError(
            f"{weights}: is a pickle, which can run code; trust its source and add --allow-pickle, "
            "or save its weights as model.safetensors"
        )
    return [folder / "config.json", weights]
