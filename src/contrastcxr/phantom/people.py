"""Draws patients, poses and techniques; none of them knows of any disease."""

from __future__ import annotations

from typing import Literal

import numpy as np

from contrastcxr.phantom.bones import RIBS
from contrastcxr.phantom.levels import Level
from contrastcxr.phantom.truth import Patient, Pose, Technique


def draw_patient(seed: int) -> Patient:
    """Return the patient of a seed."""
    rng = np.random.default_rng([seed, 1])
    female = bool(rng.random() < 0.48)
    age = int(np.clip(rng.normal(52, 17), 18, 92))
    habitus = float(np.clip(rng.beta(2.2, 2.6) + 0.002 * (age - 50), 0.02, 1.0))
    height = float(rng.normal(228 if female else 246, 13))
    return Patient(
        seed=seed,
        sex="F" if female else "M",
        age=age,
        habitus=habitus,
        half_width=float(rng.normal(127 if female else 138, 7)),
        lung_height=height,
        depth=float(rng.normal(152, 12) + 22 * (habitus - 0.45)),
        outline_jitter=(_jitter(rng), _jitter(rng)),
        ratio=float(rng.uniform(0.38, 0.49)),
        heart_tilt_deg=float(rng.normal(36, 7)),
        heart_height=float(rng.normal(122, 9)),
        dome_right=float(height * 0.375 + rng.normal(0, 5)),
        dome_left=float(height * 0.375 + 9 + rng.normal(0, 5)),
        spine_curve=float(rng.normal(0, 2.0)),
        rib_slope=float(np.clip(rng.normal(1.0, 0.14), 0.65, 1.35)),
        rib_jitter=tuple(float(v) for v in rng.normal(0, 1.3, RIBS)),
        rib_density=float(np.clip(rng.normal(1.12 - 0.005 * (age - 50), 0.15), 0.6, 1.5)),
        knob=float(np.clip(rng.normal(13 + 0.07 * (age - 50), 1.8), 9, 20)),
        aorta_uncoil=float(np.clip(rng.normal(0.1 + 0.014 * (age - 50), 0.25), -0.3, 1.0)),
        hilum=float(np.clip(rng.normal(1.0, 0.11), 0.75, 1.3)),
        vessel_density=float(np.clip(rng.normal(1.12, 0.14), 0.8, 1.5)),
        breast=float(rng.uniform(38, 74) * (0.75 + 0.5 * habitus)) if female else 0.0,
        bubble=float(rng.uniform(8, 26)),
        clavicle_tilt=float(rng.normal(4, 7)),
        shoulder_drop=float(rng.normal(6, 8)),
        texture=float(rng.uniform(0.6, 1.3)),
    )


def _jitter(rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(float(v) for v in rng.normal(0, 0.014, 8))


def draw_pose(rng: np.random.Generator, level: Level) -> Pose:
    """Return a pose within the ranges of a level."""
    k = level.pose
    low, high = 1 - 0.15 * k, 1 + 0.15 * k
    return Pose(
        rotation_deg=float(rng.uniform(-level.rotation_deg, level.rotation_deg)),
        scale=float(rng.uniform(low, high)) * 1.13,
        shift_mm=(float(rng.uniform(-25, 25) * k), float(rng.uniform(-25, 25) * k + 4)),
        yaw_deg=float(rng.uniform(-7, 7) * k),
        projection="AP" if rng.random() < 0.38 else "PA",
        inspiration_ribs=float(9.3 + np.clip(rng.normal(0, 0.9), -2.3, 1.7) * k),
        arms=float(rng.uniform(0.1, 1.0)),
    )


def draw_technique(rng: np.random.Generator, *, detector: Literal["standard", "shift"]) -> Technique:
    """Return exposure, detector and display. The `shift` detector blurs more, has more noise and another tone."""
    other = detector == "shift"
    return Technique(
        detector=detector,
        photons_per_mm2=float(np.exp(rng.uniform(np.log(4e4), np.log(1.6e5)))) * (0.4 if other else 1.0),
        scatter=float(rng.uniform(0.25, 0.6)) + (0.25 if other else 0.0),
        scatter_mm=float(rng.uniform(24, 38)),
        blur_mm=0.62 if other else float(rng.uniform(0.2, 0.4)),
        sharpen=float(rng.uniform(0.9, 1.6)) if other else float(rng.uniform(0.15, 0.8)),
        sharpen_mm=6.0 if other else float(rng.uniform(9, 20)),
        black=float(rng.uniform(0.02, 0.24)),
        white=float(rng.uniform(0.0, 0.22)),
        gamma=float(np.exp(rng.uniform(-0.42, 0.18))) * (0.75 if other else 1.0),
        shoulder=float(rng.uniform(0.0, 1.3)),
        collimation_mm=_collimation(rng),
        marker=str(rng.choice(["L", "R"], p=[0.7, 0.3])),
        marker_mm=(float(rng.uniform(118, 158)), float(rng.uniform(-196, -150))),
        marker_size_mm=float(rng.uniform(11, 18)),
        bits=int(rng.choice([10, 12, 14])),
        photometric="MONOCHROME1" if rng.random() < 0.3 else "MONOCHROME2",
        noise_seed=int(rng.integers(2**31)),
    )


def _collimation(rng: np.random.Generator) -> tuple[float, float, float, float]:
    margins = rng.exponential(5.0, 4) * (rng.random(4) < 0.6)
    left, right, top, bottom = (float(v) for v in np.minimum(margins, 22))
    return left, right, top, bottom
