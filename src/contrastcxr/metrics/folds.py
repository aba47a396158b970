"""Folds scored as one: the studies of all of them in one table, so that hits are summed and then divided.

Papers report localization so (paper B, Tables 1 and 3): a mean of the folds' shares would weigh a finding that has
three boxes in one fold and thirty in another alike, and leave both out below ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastcxr.metrics.table import OF_FINDINGS, StudyTable


def joined(tables: Sequence[StudyTable]) -> StudyTable:
    """Return one table of the studies of all folds; a quantity that one of them lacks is left out.

    A finding that a fold does not speak of is unmentioned in its studies, and neither boxed nor marked there.
    """
    names = tuple(dict.fromkeys(name for table in tables for name in table.names))
    changed: dict[str, Any] = {
        "names": names,
        **{key: tuple(v for table in tables for v in getattr(table, key)) for key in ("groups", "studies")},
    }
    learned = {table.learned_names for table in tables}
    for field in fields(StudyTable):
        parts = [getattr(table, field.name) for table in tables]
        if any(isinstance(part, np.ndarray) for part in parts):
            there = all(part is not None for part in parts) and (field.name != "learned" or len(learned) == 1)
            changed[field.name] = _stacked(field.name, parts, tables, names) if there else None
    if len(learned) > 1:
        changed["learned_names"] = ()
    return replace(tables[0], **changed)


def _stacked(
    field: str, parts: Sequence[NDArray[Any]], tables: Sequence[StudyTable], names: Sequence[str]
) -> NDArray[Any]:
    if field not in OF_FINDINGS:
        return np.concatenate(parts)
    most = max(part.shape[2] for part in parts) if parts[0].ndim > 2 else 0
    return np.concatenate([_spread(p, t.names, names, most) for p, t in zip(parts, tables, strict=True)])


def _spread(part: NDArray[Any], own: Sequence[str], names: Sequence[str], most: int) -> NDArray[Any]:
    """Return an array `[S, L, …]` over more findings, and of boxes with room for `most` of one."""
    shape = (len(part), len(names), *((most, *part.shape[3:]) if part.ndim > 2 else ()))
    empty = np.nan if part.dtype.kind == "f" else 0
    wide = np.full(shape, empty, dtype=part.dtype)
    columns = [names.index(name) for name in own]
    if part.ndim > 2:
        wide[:, columns, : part.shape[2]] = part
    else:
        wide[:, columns] = part
    return wide
