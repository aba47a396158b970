"""Twins: four pictures of one anatomy that differ in one thing each."""

from __future__ import annotations

import dataclasses

import numpy as np

from contrastcxr.phantom.levels import get_level
from contrastcxr.phantom.people import draw_pose, draw_technique
from contrastcxr.phantom.sampling import sample, without_lesions
from contrastcxr.phantom.truth import Lesion, PhantomParameters, Pose
from contrastcxr.vocab.attributes import mirrored as mirrored_words

ROLES = ("normal", "lesion", "pose", "mirrored")
_SIDED = (
    "Pleural Effusion",
    "Pneumothorax",
    "Nodule",
    "Mass",
    "Consolidation",
    "Atelectasis",
    "Pleural Thickening",
    "Fracture",
    "Granuloma",
)


def twin(role: int, *, seed: int, other: int, level: str) -> PhantomParameters:
    """Return one of four: 0 normal, 1 with a lesion on one side, 2 normal in another pose, 3 the lesion mirrored.

    `seed` draws anatomy, technique and lesion, `other` the other pose.
    """
    spec = get_level(level)
    names = [n for n in _SIDED if n in spec.findings]
    diseased = _visible(seed, level, names)
    normal = without_lesions(diseased)
    if role == 0:
        return normal
    if role == 1:
        return diseased
    if role == 2:
        rng = np.random.default_rng([other, 2])
        pose = dataclasses.replace(draw_pose(rng, spec), projection=diseased.pose.projection)
        technique = dataclasses.replace(
            diseased.technique, noise_seed=draw_technique(rng, detector="standard").noise_seed
        )
        return dataclasses.replace(normal, pose=pose, technique=technique)
    return mirror(diseased)


def _visible(seed: int, level: str, names: list[str]) -> PhantomParameters:
    """Return the first of a few draws whose lesion is reported and lies on one side."""
    rng = np.random.default_rng([seed, 13])
    for attempt in range(8):
        name = str(rng.choice(names))
        drawn = sample(seed + attempt, level=level, patient_seed=seed, findings=(name,))
        if len(drawn.lesions) == 1 and drawn.lesions[0].visible:
            return drawn
    return drawn


def mirror(parameters: PhantomParameters) -> PhantomParameters:
    """Return the same chest with left and right exchanged: the picture is flipped, all but the side marker."""
    pose = parameters.pose
    flipped = dataclasses.replace(
        pose,
        mirrored=not pose.mirrored,
        rotation_deg=-pose.rotation_deg,
        shift_mm=(-pose.shift_mm[0], pose.shift_mm[1]),
    )
    return dataclasses.replace(parameters, pose=flipped)


def spoken(lesion: Lesion, pose: Pose) -> Lesion:
    """Return the lesion with side and zone as the picture shows them: exchanged when the chest is mirrored."""
    if not pose.mirrored:
        return lesion
    side, zone = mirrored_words(lesion.side, lesion.zone)
    return dataclasses.replace(lesion, side=None if side == "bilateral" else side, zone=zone)
