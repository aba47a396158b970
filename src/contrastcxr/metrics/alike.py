"""Two study tables cut to what both have, so that a mean is over the same things on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastcxr.metrics.table import OF_FINDINGS, OF_PLACES, StudyTable


def alike(one: StudyTable, other: StudyTable) -> tuple[StudyTable, StudyTable]:
    """Return two tables cut to what both have, in one order.

    That is findings, probabilities, learned scores, places, and attributes of the same list.
    """
    names = tuple(name for name in one.names if name in other.names)
    learned = tuple(name for name in one.learned_names if name in other.learned_names)
    first, second = (_cut(table, names, learned) for table in (one, other))
    both = _given(first) & _given(second)
    first, second = _with_probabilities(first, both), _with_probabilities(second, both)
    first, second = _on_boxes_of(first, second), _on_boxes_of(second, first)
    if one.attribute_names != other.attribute_names:
        first, second = _without_attributes(first), _without_attributes(second)
    return _judged_alike(first, second), _judged_alike(second, first)


def _on_boxes_of(table: StudyTable, other: StudyTable) -> StudyTable:
    """Return the table without what it marks of findings of which the other's references have no box."""
    if table.iou is None or other.iou is None or np.array_equal(np.isnan(table.iou), np.isnan(other.iou)):
        return table
    parts = {name: getattr(table, name) for name in OF_PLACES}
    kept = np.isfinite(other.iou)
    changed: dict[str, Any] = {k: np.where(kept, part, np.nan) for k, part in parts.items() if part is not None}
    return replace(table, **changed)


def _judged_alike(table: StudyTable, other: StudyTable) -> StudyTable:
    """Return the table with boxes judged where the other's are too, and with room for as many of a finding."""
    if table.boxes_marked is None or other.boxes_marked is None:
        return table
    assert table.boxes_wanted is not None
    kept = table.boxes_wanted == other.boxes_wanted  # NaN on either side is not judged
    most = max(table.boxes_marked.shape[2], other.boxes_marked.shape[2])
    least = min(table.boxes_marked.shape[3], other.boxes_marked.shape[3])  # an older table judges at fewer IoUs
    room = [(0, 0), (0, 0), (0, most - table.boxes_marked.shape[2]), (0, 0)]
    marked = np.where(kept[..., None, None], table.boxes_marked[..., :least], np.nan)
    boxes = np.pad(marked, room, constant_values=np.nan)
    return replace(table, boxes_marked=boxes, boxes_wanted=np.where(kept, table.boxes_wanted, np.nan))


def _without_attributes(table: StudyTable) -> StudyTable:
    return replace(table, attributes_stated=None, attributes_told=None, attribute_names=())


def _given(table: StudyTable) -> NDArray[np.bool_]:
    """Return True `[L]` for the findings of which there is a probability."""
    if table.probabilities is None:
        return np.zeros(len(table.names), dtype=bool)
    return np.asarray(np.isfinite(table.probabilities).any(axis=0), dtype=bool)


def _with_probabilities(table: StudyTable, kept: NDArray[np.bool_]) -> StudyTable:
    if table.probabilities is None or np.array_equal(_given(table), kept):
        return table
    return replace(table, probabilities=np.where(kept, table.probabilities, np.nan) if kept.any() else None)


def _cut(table: StudyTable, names: tuple[str, ...], learned: tuple[str, ...]) -> StudyTable:
    changed: dict[str, Any] = {}
    if names != table.names:
        columns = [table.names.index(name) for name in names]
        parts = {name: getattr(table, name) for name in OF_FINDINGS}
        changed = {"names": names} | {k: part[:, columns] for k, part in parts.items() if part is not None}
    if learned != table.learned_names:
        assert table.learned is not None
        columns = [table.learned_names.index(name) for name in learned]
        changed |= {"learned_names": learned, "learned": table.learned[:, columns] if learned else None}
    return replace(table, **changed) if changed else table
