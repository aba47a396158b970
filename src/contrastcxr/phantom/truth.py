"""Parameters of one synthetic chest: frozen values from which the pixels and the report both follow.

Anatomical coordinates are millimetres: x to the right of the picture (the patient's left), y down, z towards the
patient's front; the origin lies in the midline at half the height of the lungs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
XYXY = tuple[float, float, float, float]
Severity = Literal["minimal", "mild", "moderate", "severe"]
ViewName = Literal["frontal", "lateral"]


@dataclass(frozen=True)
class Patient:
    """Anatomy that stays the same in all studies of one patient. Lengths in mm."""

    seed: int
    sex: Literal["F", "M"]
    age: int
    habitus: float
    half_width: float
    lung_height: float
    depth: float
    outline_jitter: tuple[tuple[float, ...], tuple[float, ...]]
    ratio: float
    heart_tilt_deg: float
    heart_height: float
    dome_right: float
    dome_left: float
    spine_curve: float
    rib_slope: float
    rib_jitter: tuple[float, ...]
    rib_density: float
    knob: float
    aorta_uncoil: float
    hilum: float
    vessel_density: float
    breast: float
    bubble: float
    clavicle_tilt: float
    shoulder_drop: float
    texture: float


@dataclass(frozen=True)
class Pose:
    """Placement of the patient before the detector; independent of disease."""

    rotation_deg: float
    scale: float
    shift_mm: tuple[float, float]
    yaw_deg: float
    projection: Literal["PA", "AP"]
    inspiration_ribs: float
    arms: float
    mirrored: bool = False


@dataclass(frozen=True)
class Technique:
    """Detector, exposure and display; independent of disease. Window fields jitter the last tone curve."""

    detector: Literal["standard", "shift"]
    photons_per_mm2: float
    scatter: float
    scatter_mm: float
    blur_mm: float
    sharpen: float
    sharpen_mm: float
    black: float
    white: float
    gamma: float
    shoulder: float
    collimation_mm: tuple[float, float, float, float]
    marker: str
    marker_mm: tuple[float, float]
    marker_size_mm: float
    bits: int
    photometric: Literal["MONOCHROME1", "MONOCHROME2"]
    noise_seed: int


@dataclass(frozen=True)
class Lesion:
    """One drawn finding on one side.

    `xyz` is its centre, `extent` what its painter makes of it (mm), `density` a factor on its attenuation. `cnr`,
    `area_mm2`, `visible` and `status` are measured from the rendered difference (see `measure`).
    """

    name: str
    side: Literal["left", "right"] | None
    zone: str | None
    severity: Severity | None
    size_mm: float | None
    kind: str
    xyz: tuple[float, float, float]
    extent: tuple[float, ...]
    density: float
    target_cnr: float
    seed: int
    cnr: float = 0.0
    area_mm2: float = 0.0
    visible: bool = False
    status: Literal["present", "uncertain", "absent"] = "absent"


@dataclass(frozen=True)
class Lookalike:
    """Something harmless that looks like a finding; it is never reported."""

    kind: str
    side: Literal["left", "right"]
    xy: tuple[float, float]
    size: float
    density: float
    seed: int


@dataclass(frozen=True)
class PhantomParameters:
    """Everything that a view and its truth are drawn from."""

    level: str
    seed: int
    patient_id: str
    study_id: str
    patient: Patient
    pose: Pose
    technique: Technique
    lesions: tuple[Lesion, ...]
    lookalikes: tuple[Lookalike, ...]
    lateral: bool
    order: int = 0

    @property
    def normal(self) -> bool:
        """True when no finding was drawn; devices do not count as disease."""
        return all(lesion.name == "Support Devices" for lesion in self.lesions)


@dataclass(frozen=True)
class Rendered:
    """Pixels `[size, size]` float32 in [0, 1], bone bright; boxes and masks by index into the lesions."""

    pixels: Array
    boxes: Mapping[int, XYXY]
    masks: Mapping[int, Mask]
    spacing_mm: float
