"""What is kept of a row: its configuration, scores, seconds and versions; nothing of the machine it ran on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contrastcxr.errors import DatasetError
from contrastcxr.files import atomic_write

SCHEMA = "contrastcxr.row/1"
FIRST_RECIPE = "first"
"""The recipe of every record made before recipes had names (docs/recipe.md)."""
VOTES = "votes"
"""The system of a trained row whose reports are chosen by votes, beside `system`, whose search is as published."""
GEOMETRY = "geometry"
"""The system of a trained row whose attributes are words of its first box by rule, beside `system`."""


@dataclass(frozen=True)
class Record:
    """One finished row.

    Attributes:
        experiment: name of the plan.
        data: name of the data, without folders of a machine.
        row: name of the row, whatever the seed.
        seed: of the row.
        signature: what two figures must share to be compared.
        config: of the system, without folders; of the baselines that of the system whose pictures they see.
        systems: scores by system; of a trained row `system`, `votes` where it was read by votes too, and
            `geometry` where attributes are scored.
        seconds: of training, of evaluation, and of that by votes.
        training: epochs, best validation, pool, parameters, precision, calibration.
        twins: the claim on twins, where the data have them.
        versions: of the packages that made it.
        limit: test studies of a rehearsal; None where all were scored.
        recipe: how it was trained, by name; records of two recipes are not compared.
        agreement: of the baselines, on how many of the scored studies each finding is boxed, labelled, and both,
            where the boxes are by another author than the labels (`agreement.agreed`).
        models: fingerprints of the models whose mean was scored.
        device: what read the pictures, `cpu` or `cuda`, as `training` says what trained; empty in older records.
    """

    experiment: str
    data: str
    row: str
    seed: int
    signature: str
    config: Mapping[str, Any]
    systems: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, float]
    training: Mapping[str, Any] = field(default_factory=dict)
    twins: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    recipe: str = FIRST_RECIPE
    agreement: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    models: Sequence[str] = field(default_factory=list)
    device: str = ""
    schema: str = SCHEMA

    def write(self, path: Path) -> None:
        """Write the record as JSON, whole or not at all."""
        with atomic_write(path) as file:
            json.dump(asdict(self), file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")

    def score(self, name: str, *, system: str = "system") -> float | None:
        """Return the value of one score; None where it is empty."""
        found = self.systems.get(system, {}).get(name)
        return None if found is None else found["value"]


def read_record(path: Path) -> Record:
    """Read what `Record.write` wrote.

    Raises:
        DatasetError: the file is not a record of this version.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("schema") != SCHEMA:
            raise ValueError(f"schema {values.get('schema')!r}")
        return Record(**values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: expected a record of schema {SCHEMA} ({error}); run the row again") from None


def table_beside(record: Path, system: str) -> Path:
    """Return where the study table of a row's other system is: `nic-none-seed0-votes.npz`."""
    return record.with_name(f"{record.stem}-{system}.npz")
