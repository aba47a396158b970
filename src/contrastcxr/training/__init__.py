"""Training: cached features, the Lightning task, validation through the reader, calibration, the run record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contrastcxr.errors import MissingExtraError

if TYPE_CHECKING:
    from contrastcxr.training.trainer import run as run


def __getattr__(name: str) -> Any:
    """Return `run` when it is first used: Lightning takes seconds to import, and reading must not need it.

    Raises:
        MissingExtraError: the extra `train` is not installed.
    """
    if name != "run":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        from contrastcxr.training.trainer import run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "lightning":
            raise
        raise MissingExtraError("lightning", "train", "training") from None
    return run
