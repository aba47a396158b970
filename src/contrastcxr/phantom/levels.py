"""What each level of difficulty allows. The numbers are tuned against the gate (`scripts/phantom_gate.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from contrastcxr.errors import UnknownNameError
from contrastcxr.vocab.labels import PHANTOM


@dataclass(frozen=True)
class Level:
    """Ranges from which studies of one level are drawn.

    `cnr` bounds the contrast-to-noise ratio of a lesion; `pose` multiplies the range of every pose parameter.
    """

    findings: tuple[str, ...]
    cnr: tuple[float, float]
    pose: float
    rotation_deg: float
    lookalikes: float = 1.0
    devices: float = 0.12


LEVELS = {
    "smoke": Level(("Cardiomegaly", "Pleural Effusion", "Nodule"), (3.0, 5.0), 0.4, 3.0, 0.3, 0.0),
    "easy": Level(PHANTOM, (3.0, 5.0), 0.4, 2.0),
    "standard": Level(PHANTOM, (1.5, 3.0), 1.0, 8.0),
    "hard": Level(PHANTOM, (0.8, 2.0), 1.5, 12.0),
}


def get_level(name: str) -> Level:
    """Return the level called `name`; raises UnknownNameError."""
    if name not in LEVELS:
        raise UnknownNameError("phantom level", name, LEVELS)
    return LEVELS[name]
