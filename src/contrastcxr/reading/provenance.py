"""Where a reading comes from: the model, the software, the settings, and the licences behind them.

Nothing here names a patient, a machine or a time, so that equal inputs give equal readings.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastcxr.checkpoint import CheckpointMetadata
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.version import __version__

if TYPE_CHECKING:
    from contrastcxr.config import SystemConfig

SOFTWARE = ("torch", "timm", "numpy", "pydicom")


def writes_grammar(config: SystemConfig) -> bool:
    """Return whether a system learnt to write the phantom grammar, which `parse` inverts."""
    return config.data.kind in ("phantom", "nih-plain") or config.data.options.get("report") == "plain"


def describe(
    checkpoint: CheckpointMetadata,
    path: Path,
    *,
    seed: int,
    dtype: str | None,
    settings: GenerationSettings,
    reads_indication: bool,
) -> dict[str, Any]:
    """Return the provenance that every reading of a checkpoint carries.

    Args:
        checkpoint: of the model.
        path: its file.
        seed: of sampling.
        dtype: of the tensors; None is float32.
        settings: of the search.
        reads_indication: whether the indication changes what the decoder writes.
    """
    config = checkpoint.config
    return {
        "model": {
            "name": config.name,
            "paper": config.paper,
            "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "encoder": config.encoder.name,
            "decoder": None if config.decoder is None else config.decoder.kind,
            "localizer": None if config.localizer is None else config.localizer.kind,
            "reads_indication": reads_indication,
            "contrast": None if config.contrast is None else config.contrast.reference,
            **({} if config.align is None else {"align": config.align.kind}),
        },
        "software": {"contrastcxr": __version__, **_versions()},
        "preprocessing": checkpoint.preprocess.model_dump(mode="json"),
        "search": settings.model_dump(mode="json"),
        "temperature": checkpoint.temperature,
        "seed": seed,
        "dtype": dtype or "float32",
        "sources": [note.model_dump(mode="json") for note in checkpoint.sources],
    }


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # pragma: no cover - all four are requirements
            continue
    return found
