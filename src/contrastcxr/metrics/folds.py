"""Folds scored as one: the studies of all of them in one table, so that hits are summed and then divided.

Papers report localization so (paper B, Tables 1 and 3): a mean of the folds' shares would weigh a finding that has
three boxes in one fold and thirty in another alike, and leave both out below ten.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastcxr.metrics.detection import JUDGED_AT
from contrastcxr.metrics.table import OF_FINDINGS, StudyTable

_OF_MARKS = ("pointing", "false_boxes", "boxes_marked")
"""Quantities of a study table that are None where a system marks, points at or calls nothing."""


def joined(tables: Sequence[StudyTable]) -> StudyTable:
    """Return one table of the studies of all folds; a quantity that one of them lacks is left out.

    A finding that a fold does not speak of is unmentioned in its studies, and neither boxed nor marked there. A
    fold in which nothing is marked, pointed at or called has no hit and no false box, if another has any.
    """
    tables = _with_misses(tables)
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


def _with_misses(tables: Sequence[StudyTable]) -> list[StudyTable]:
    some = {name for table in tables for name in _OF_MARKS if getattr(table, name) is not None}
    return [table if table.iou is None else replace(table, **_misses(table, some)) for table in tables]


def _misses(table: StudyTable, some: Set[str]) -> dict[str, Any]:
    """Return what a fold's table says where nothing is marked, of the quantities that another fold has."""
    assert table.iou is not None  # who asks has seen it
    boxes, judged = np.isfinite(table.iou), table.boxes_wanted
    found: dict[str, Any] = {"pointing": np.where(boxes, 0.0, np.nan)}
    if judged is not None:
        found["boxes_marked"] = np.full((*judged.shape, 0, 1 + len(JUDGED_AT)), np.nan)
        found["false_boxes"] = np.where(np.isfinite(judged).any(axis=1), 0.0, np.nan)
    return {name: value for name, value in found.items() if name in some and getattr(table, name) is None}


def _stacked(
    field: str, parts: Sequence[NDArray[Any]], tables: Sequence[StudyTable], names: Sequence[str]
) -> NDArray[Any]:
    if field not in OF_FINDINGS:
        return np.concatenate(parts)
    most = max(part.shape[2] for part in parts) if parts[0].ndim > 2 else 0
    if most:  # an older table judges its boxes at fewer IoUs
        least = min(part.shape[3] for part in parts)
        parts = [part[..., :least] for part in parts]
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
