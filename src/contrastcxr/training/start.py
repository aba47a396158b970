"""Starting from another run: its vocabulary and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrastcxr.checkpoint import Checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError
from contrastcxr.models.system import ReportSystem

OF_THE_DATA = ("pool.", "patch_pool.", "decoder.library.")
"""What a run draws anew from its own training studies."""
MEANING = ("decoder.heads", "decoder.memory_heads", "decoder.tags", "finding_head.labels")
"""What gives weights of one size another meaning, where both systems have it."""


def start_from(system: ReportSystem, start: Checkpoint, config: SystemConfig) -> None:
    """Put the weights of a checkpoint into the system of `config`; pools and libraries stay the system's own.

    Raises:
        IncompatibleError: another decoder, encoder or width, or other settings in `MEANING`, which are named; a
            weight is missing, not known or of another size; both sizes are named.
    """
    settings = config.to_dict(), start.config.to_dict()
    for part in ("decoder.kind", "encoder.name", "width", *MEANING):
        ours, theirs = (_setting(each, part) for each in settings)
        if ours != theirs and (part not in MEANING or None not in (ours, theirs)):
            raise IncompatibleError(
                f"train.init_from {start.where}: its {part} is {theirs}, this run's is {ours}; "
                f"set {part}: {theirs}, or start from another run"
            )
    own = {name: value for name, value in system.state_dict().items() if not name.startswith(OF_THE_DATA)}
    given = {name: value for name, value in start.state.items() if not name.startswith(OF_THE_DATA)}
    for name, value in own.items():
        found = given[name].shape if name in given else None
        if found != value.shape:
            had = "none" if found is None else "×".join(map(str, found))
            raise IncompatibleError(
                f"train.init_from {start.where}: {name} should be {'×'.join(map(str, value.shape))}, found {had}; "
                "start from a run with the same decoder, contrast and width"
            )
    unknown = sorted(given.keys() - own.keys())
    if unknown:
        raise IncompatibleError(
            f"train.init_from {start.where}: {unknown[0]} is no part of this system; start from a run with "
            "the same parts"
        )
    system.load_state_dict({name: value.to(own[name].dtype) for name, value in given.items()}, strict=False)


def _setting(config: Mapping[str, Any], path: str) -> object:
    """Return the value at a path such as `decoder.heads`; None where a part is not there."""
    found: Any = config
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
