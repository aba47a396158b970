"""Starting from another run: its vocabulary and its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from contrastcxr.checkpoint import Checkpoint
from contrastcxr.checkpoint.system import LOSSES_KEY
from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError
from contrastcxr.files import find_checkpoint
from contrastcxr.models.heads.options import SLOTS
from contrastcxr.models.system import System

OF_THE_DATA = ("pool.", "patch_pool.", "bank.", "decoder.library.", "aligner.")
"""What a run draws anew from its own training studies, or takes from elsewhere."""


def start_digest(config: SystemConfig) -> str | None:
    """Return the SHA-256 of the checkpoint's file that a run starts from; None without one."""
    start = config.train.init_from
    return None if start is None else hashlib.sha256(find_checkpoint(start).read_bytes()).hexdigest()


def start_from(system: System, start: Checkpoint, config: SystemConfig) -> None:
    """Put the weights of a checkpoint into the system of `config`; pools and libraries stay the system's own.

    Weights of losses of the whole system are taken where both have them; they start anew where the checkpoint has
    none.

    Raises:
        IncompatibleError: another kind of head, encoder or width, or other settings that give weights of one size
            another meaning, which are named; a weight is missing, not known or of another size, both being named.
    """
    settings = config.to_dict(), start.config.to_dict()
    kinds = [f"{slot}.kind" for slot in SLOTS]
    meanings = [f"{slot}.{name}" for slot, head in config.heads.items() for name in head.meaning]
    for part in (*kinds, "encoder.name", "width", *meanings):
        ours, theirs = (_setting(each, part) for each in settings)
        if ours != theirs and (part not in meanings or None not in (ours, theirs)):
            raise IncompatibleError(
                f"train.init_from {start.where}: its {part} is {theirs}, this run's is {ours}; "
                f"set {part}: {theirs}, or start from another run"
            )
    all_own = system.state_dict()
    kept = [f"{LOSSES_KEY}{name}" for name, _ in system.losses.named_buffers()]  # of this run's pictures
    both = _has_losses(start.state) and _has_losses(all_own)
    skipped = (*OF_THE_DATA, *(kept if both else [LOSSES_KEY]))
    own = {name: value for name, value in all_own.items() if not name.startswith(skipped)}
    given = {name: value for name, value in start.state.items() if not name.startswith(skipped)}
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


def freeze(system: System) -> None:
    """Let nothing of a system learn but the losses over it."""
    for name, parameter in system.named_parameters():
        parameter.requires_grad_(name.startswith(LOSSES_KEY))


def _has_losses(names: Iterable[str]) -> bool:
    return any(name.startswith(LOSSES_KEY) for name in names)


def _setting(config: Mapping[str, Any], path: str) -> object:
    """Return the value at a path such as `decoder.heads`; None where a part is not there."""
    found: Any = config
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
