"""How a stored radiograph is turned so that it stands upright with the patient's left on the viewer's right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from contrastcxr.form import Position

_AXIS = {"L": "lateral", "R": "lateral", "A": "depth", "P": "depth", "H": "height", "F": "height"}


@dataclass(frozen=True)
class Orientation:
    """What to do to the stored rows and columns, in this order; the default does nothing."""

    transpose: bool = False
    flip_columns: bool = False
    flip_rows: bool = False
    known: bool = False
    """True when the object says where the patient's left or front is."""

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return the picture as it should be looked at."""
        if self.transpose:
            pixels = pixels.T
        if self.flip_columns:
            pixels = pixels[:, ::-1]
        if self.flip_rows:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def turn_for(orientation: object) -> Orientation:
    """Return the turn that PatientOrientation asks for (PS3.3 C.7.6.1.1.1).

    The two values name where rows and columns lead, first letter first: `L\\F` needs nothing. Laterals are put
    upright and otherwise left as stored. Values that name no two axes, or one axis twice, are unknown.
    """
    letters = _letters(orientation)
    if len(letters) != 2 or any(letter not in _AXIS for letter in letters):
        return Orientation()
    transpose = _AXIS[letters[0]] == "height"
    across, down = reversed(letters) if transpose else letters
    if _AXIS[down] != "height" or _AXIS[across] == "height":
        return Orientation()
    return Orientation(transpose=transpose, flip_columns=across == "R", flip_rows=down == "H", known=True)


def _letters(orientation: object) -> list[str]:
    """Return the first letter of each value; a damaged file may hold a number in their place."""
    return [str(value).strip()[:1].upper() for value in orientation] if isinstance(orientation, Sequence) else []


def turn_of(ds: Dataset) -> Orientation:
    """Return the turn that an object asks for.

    PatientOrientation says how the stored picture lies and decides. Without it, the rotation and flip that the
    sender wants at display are carried out (PS3.3 C.10.6), but where the patient's left is stays unknown. The flip
    and rotation of the field of view (PS3.3 C.8.11.4) were applied to the stored pixels already, as seen from a
    detector whose viewing side is not stated: they never turn a picture, and do not say where the left is.
    """
    stated = turn_for(ds.get("PatientOrientation"))
    if stated.known:
        return stated
    return _at_display(str(ds.get("ImageRotation") or "0"), str(ds.get("ImageHorizontalFlip") or "N"))


def _at_display(rotation: str, flip: str) -> Orientation:
    """Return the orientation that turns clockwise by multiples of 90 degrees, then flips from side to side."""
    turns = {"90": (True, True, False), "180": (False, True, True), "270": (True, False, True)}
    transpose, columns, rows = turns.get(rotation, (False, False, False))
    return Orientation(transpose=transpose, flip_columns=columns != (flip == "Y"), flip_rows=rows)


def is_lateral(orientation: object) -> bool | None:
    """Return True for a side view, False for a frontal one, None where PatientOrientation does not say."""
    axes = {_AXIS.get(letter) for letter in _letters(orientation)}
    if axes == {"lateral", "height"}:
        return False
    return True if axes == {"depth", "height"} else None


_POSITIONS: dict[str, Position] = {
    "PA": "PA",
    "AP": "AP",
    "LL": "LATERAL",
    "RL": "LATERAL",
    "LAT": "LATERAL",
    "LLAT": "LATERAL",
    "RLAT": "LATERAL",
    "LATERAL": "LATERAL",
}


_CODES: dict[str, Position] = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399067008": "LATERAL",
    "399173006": "LATERAL",
    "R-10236": "LATERAL",
    "399198007": "LATERAL",
    "R-10232": "LATERAL",
}
"""Views of PS3.16 CID 4010 in SNOMED CT, and as older objects write them."""


def stated_position(view_position: str, code: str, code_meaning: str) -> Position:
    """Return the position that ViewPosition states, or else the view code, or else the code's meaning."""
    position = _POSITIONS.get(view_position.strip().upper()) or _CODES.get(code.strip())
    if position is not None:
        return position
    meaning = code_meaning.lower().replace("-", "").replace(" ", "")
    if "posteroanterior" in meaning:
        return "PA"
    if "anteroposterior" in meaning:
        return "AP"
    return "LATERAL" if "lateral" in meaning and "oblique" not in meaning else "unknown"
