"""`sample`: a seed becomes the parameters of one study."""

from __future__ import annotations

import dataclasses
import json
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

import numpy as np

from contrastcxr.phantom.levels import Level, get_level
from contrastcxr.phantom.lookalikes import draw_lookalikes
from contrastcxr.phantom.measure import calibrate
from contrastcxr.phantom.outlines import outlines
from contrastcxr.phantom.people import draw_patient, draw_pose, draw_technique
from contrastcxr.phantom.placing import HELDOUT, PLACERS, Place, place_device
from contrastcxr.phantom.truth import Lesion, PhantomParameters

NORMAL_SHARE = 0.45
COUNTS = (0.50, 0.30, 0.14, 0.06)  # one to four findings, as in NIH ChestX-ray14


def sample(
    seed: int,
    *,
    level: str = "standard",
    patient_seed: int | None = None,
    order: int = 0,
    detector: Literal["standard", "shift"] = "standard",
    heldout: bool = False,
    normal: bool | None = None,
    findings: tuple[str, ...] | None = None,
) -> PhantomParameters:
    """Return the parameters of one study; the same arguments give the same parameters.

    Args:
        seed: of the study: pose, technique, disease.
        level: one of `LEVELS`.
        patient_seed: of the anatomy; the study's own seed when None.
        order: number of the study in its patient's file.
        detector: `shift` draws from another detector than the one trained on.
        heldout: draw one of the combinations of finding, side and zone that are never trained.
        normal: force a study without (True) or with (False) findings.
        findings: exactly these findings instead of drawn ones.

    Raises:
        UnknownNameError: no such level.
    """
    spec = get_level(level)
    patient_seed = seed if patient_seed is None else patient_seed
    patient = draw_patient(patient_seed)
    streams = [np.random.default_rng([seed, k]) for k in (2, 3, 4, 5)]
    pose = draw_pose(streams[0], spec)
    technique = draw_technique(streams[1], detector=detector)
    outline = outlines(patient, pose.inspiration_ribs)
    place = Place(streams[2], patient, outline, spec.cnr, heldout=heldout)
    names = _names(streams[2], spec, normal=normal, findings=findings, heldout=heldout)
    lesions = [lesion for name in names for lesion in PLACERS[name](place)]
    if streams[3].random() < spec.devices and findings is None:
        lesions += place_device(Place(streams[3], patient, outline, spec.cnr))
    parameters = PhantomParameters(
        level=level,
        seed=seed,
        patient_id=f"phantom-{patient_seed}",
        study_id=f"phantom-{patient_seed}-{order}",
        patient=patient,
        pose=pose,
        technique=technique,
        lesions=tuple(lesions),
        lookalikes=tuple(draw_lookalikes(streams[3], patient.half_width, patient.lung_height, spec.lookalikes)),
        lateral=bool(streams[3].random() < 0.3),
        order=order,
    )
    return calibrate(parameters)


def without_lesions(parameters: PhantomParameters, *keep: int) -> PhantomParameters:
    """Return the same study with only the lesions at the indices `keep`."""
    lesions: tuple[Lesion, ...] = tuple(parameters.lesions[i] for i in keep)
    return dataclasses.replace(parameters, lesions=lesions)


def _names(
    rng: np.random.Generator, spec: Level, *, normal: bool | None, findings: tuple[str, ...] | None, heldout: bool
) -> tuple[str, ...]:
    healthy = bool(rng.random() < NORMAL_SHARE) if normal is None else normal
    if findings is not None:
        return findings
    if heldout:
        options = sorted({name for name, _, _ in HELDOUT} & set(spec.findings))
        return (str(rng.choice(options)),)
    return () if healthy else draw_names(rng, spec.findings)


def draw_names(rng: np.random.Generator, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return one to four findings.

    The first is drawn by how common it is, the others by how often they go with those already drawn.
    """
    common, together = _tables()
    count = min(1 + int(rng.choice(4, p=COUNTS)), len(allowed))
    chosen: list[str] = []
    while len(chosen) < count:
        left = [name for name in allowed if name not in chosen]
        left = [n for n in left if not _excluded(n, chosen)]
        if not left:
            break
        weight = np.array([common[n] * np.prod([together[c, n] for c in chosen]) for n in left])
        chosen.append(str(rng.choice(left, p=weight / weight.sum())))
    return tuple(chosen)


def _excluded(name: str, chosen: list[str]) -> bool:
    """Return True where a pair cannot be told apart in one picture."""
    return any({name, other} == {"Edema", "Emphysema"} for other in chosen)


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Return how common each finding is, and the lift of each pair, shrunk towards 1."""
    text = (resources.files("contrastcxr.phantom") / "cooccurrence.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    counts, images = data["counts"], data["images"]
    pairs = {(a, b): n for x, y, n in data["pairs"] for a, b in ((x, y), (y, x))}
    names = [*counts, "Fracture", "Granuloma"]
    floor = float(np.median(list(counts.values())))
    common = {n: float(np.sqrt(counts.get(n, floor))) for n in names}
    lift = {}
    for a in names:
        for b in names:
            expected = counts.get(a, 0) * counts.get(b, 0) / images
            lift[a, b] = (pairs.get((a, b), 0) + 4.0) / (expected + 4.0) if expected else 1.0
    return common, lift
