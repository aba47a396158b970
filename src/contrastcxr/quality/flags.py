"""What the reader of a page must know about the pictures before believing what is said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from contrastcxr.form import Flag, Study, View
from contrastcxr.quality.measures import MeasureValue, QualityReference

LATERAL = "LATERAL"


def view_flags(study: Study, used: Sequence[int]) -> tuple[Flag, ...]:
    """Return flags on projection and orientation of the views that were read, and on views that were not."""
    return tuple(flag for index, view in enumerate(study.views) for flag in _of_view(index, view, index in used))


def _of_view(index: int, view: View, used: bool) -> Iterator[Flag]:
    name = f"view {index + 1}"
    if not used:
        yield Flag(kind="quality", message=f"{name} was not read: the model takes fewer views")
        return
    yield from (Flag(kind="quality", message=f"{name}: {doubt}") for doubt in view.doubts)
    if view.position == "unknown":
        yield Flag(kind="orientation", message=f"{name}: projection not stated (PA, AP or lateral)")
    elif view.position_source == "predicted":
        yield Flag(kind="orientation", message=f"{name}: projection {view.position} is a guess from the picture")
    if view.mirrored:
        yield Flag(kind="orientation", message=f"{name}: mirrored; the patient's left is on the left")
    elif view.mirrored is None and view.position != "LATERAL":
        yield Flag(kind="orientation", message=f"{name}: left and right not stated; trust only the marker")


def measure_flags(
    reference: QualityReference | None,
    measured: Sequence[Sequence[MeasureValue]],
    *,
    study: Study,
    used: Sequence[int],
) -> tuple[Flag, ...]:
    """Return a warning for each measure that passes its limit, on each view that was read.

    Args:
        reference: of the model; without one a single flag says that quality was not assessed.
        measured: of the views at `used`; not looked at without a reference.
        study: all its views.
        used: indices of the views that were read.
    """
    if reference is None:
        return (Flag(kind="not_assessed", message="input quality"),)
    return tuple(
        flag
        for values, index in zip(measured, used, strict=True)
        for flag in _measured(reference, values, study.views[index], f"view {index + 1}")
    )


def _measured(
    reference: QualityReference, values: Sequence[MeasureValue], view: View, name: str
) -> Iterator[Flag]:
    """Yield the flags of one view.

    A lateral view cannot be compared with frontal pictures; one that is guessed to be lateral is compared all the
    same.

    A turned frontal view is easily guessed to be lateral, and it is the turn that must be said.
    """
    if view.position == LATERAL:
        yield _lateral(reference, name)
        if view.position_source != "predicted":
            return
    for measured in values:
        if measured.passed:
            yield Flag(kind="quality", message=f"{name}: {measured.message()}", value=round(measured.value, 4))


def _lateral(reference: QualityReference, name: str) -> Flag:
    if reference.positions.get(LATERAL, 0.0):
        return Flag(kind="not_assessed", message=f"quality of {name} (lateral)")
    message = f"{name}: lateral; no picture the model was trained on is"
    return Flag(kind="quality", message=message, value=0.0)


def source_flags(sources: Sequence[Mapping[str, Any]]) -> tuple[Flag, ...]:
    """Return a flag when a model has only ever seen drawn phantoms."""
    names = [str(source.get("name", "")) for source in sources]
    names = [name for name in names if not name.startswith("encoder ")]
    if names and all(name.startswith("phantom") for name in names):
        message = "trained on drawn phantoms only; of a patient's radiograph it says nothing reliable"
        return (Flag(kind="quality", message=message),)
    return ()


def length_flags(plan: Mapping[str, np.ndarray], *, ended: bool, tokens: int, max_tokens: int) -> tuple[Flag, ...]:
    """Return a flag when the report of so many tokens was cut, and one when sentences of it were.

    Args:
        plan: of a decoder that plans sentences: `open`, True where it would have gone on after the last of them,
            and `unfinished`, how many were cut at the most words they may have.
        ended: False for a report that was cut.
        tokens: that were written.
        max_tokens: the most, the end included.
    """
    found = []
    if not ended:
        at_sentences = bool(plan.get("open", False)) and tokens + 1 < max_tokens
        limit = "the most sentences its decoder plans" if at_sentences else f"{max_tokens} tokens"
        found.append(Flag(kind="truncated", message=f"the report was cut at {limit}"))
    if unfinished := int(plan.get("unfinished", 0)):
        said = "a sentence was" if unfinished == 1 else f"{unfinished} sentences were"
        found.append(Flag(kind="truncated", message=f"{said} cut at the most words a sentence may have"))
    return tuple(found)


def empty_flag(sentences: Sequence[str], *, tokens: int) -> tuple[Flag, ...]:
    """Return a flag when a report of so many tokens has no sentence."""
    if sentences:
        return ()
    wrote = "the model wrote no word" if tokens == 0 else "the model wrote nothing but marks"
    return (Flag(kind="empty", message=f"the report is empty: {wrote}"),)
