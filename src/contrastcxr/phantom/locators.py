"""Locators: `phantom:standard/train/000123?seed=0&view=frontal` names one view that can be drawn again anywhere.

The same locator means the same pixels as long as `FORMAT` does not change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.phantom.levels import LEVELS, get_level
from contrastcxr.phantom.rendering import render
from contrastcxr.phantom.sampling import sample
from contrastcxr.phantom.truth import Array, PhantomParameters, ViewName
from contrastcxr.phantom.twins import twin

FORMAT = 1
SCHEME = "phantom:"
SIZE = 512
"""Side in pixels of the picture that a locator names, of every level; boxes refer to it."""

SPLITS = {"train": 3000, "validation": 300, "test": 600, "shift": 300, "heldout": 300, "twins": 1200}
"""Split -> number of studies. `twins` are 300 quadruples."""

SMOKE_SPLITS = {"train": 240, "validation": 60, "test": 60, "shift": 24, "heldout": 24, "twins": 24}
_PATTERN = re.compile(
    r"phantom:(?P<level>\w+)/(?P<split>\w+)/(?P<index>\d+)(?:\?seed=(?P<seed>\d+)(?:&view=(?P<view>\w+))?)?"
)
_STUDIES_PER_PATIENT = (0.55, 0.30, 0.15)


@dataclass(frozen=True)
class PhantomId:
    """One study of one split; `seed` draws another corpus of the same kind."""

    level: str
    split: str
    index: int
    seed: int = 0


def split_size(level: str, split: str) -> int:
    """Return the number of studies in a split; raises UnknownNameError."""
    get_level(level)
    sizes = SMOKE_SPLITS if level == "smoke" else SPLITS
    if split not in sizes:
        raise UnknownNameError("phantom split", split, sizes)
    return sizes[split]


def locator(phantom: PhantomId, view: ViewName = "frontal") -> str:
    """Return the locator of one view."""
    return f"{SCHEME}{phantom.level}/{phantom.split}/{phantom.index:06d}?seed={phantom.seed}&view={view}"


def parse_locator(text: str) -> tuple[PhantomId, ViewName]:
    """Return the study and view that a locator names.

    Raises:
        RequestError: not a phantom locator, or an index beyond its split.
        UnknownNameError: no such level or split.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise RequestError(f"locator '{text}'; expected phantom:LEVEL/SPLIT/INDEX?seed=N&view=frontal|lateral")
    view = match["view"] or "frontal"
    if view not in ("frontal", "lateral"):
        raise UnknownNameError("phantom view", view, ("frontal", "lateral"))
    phantom = PhantomId(match["level"], match["split"], int(match["index"]), int(match["seed"] or 0))
    size = split_size(phantom.level, phantom.split)
    if phantom.index >= size:
        raise RequestError(
            f"locator '{text}': index {phantom.index}; {phantom.level}/{phantom.split} has {size} studies"
        )
    return phantom, "lateral" if view == "lateral" else "frontal"


def render_locator(text: str, *, size: int = SIZE) -> Array:
    """Return the pixels `[size, size]` float32 in [0, 1], bone bright, of the view that a locator names."""
    phantom, view = parse_locator(text)
    return render(phantom_parameters(phantom), size=size, view=view).pixels


@lru_cache(maxsize=512)
def phantom_parameters(phantom: PhantomId) -> PhantomParameters:
    """Return the parameters of one study of a split."""
    split_size(phantom.level, phantom.split)
    if phantom.split == "twins":
        quadruple, role = divmod(phantom.index, 4)
        seed, other = study_seed(phantom, quadruple, 0), study_seed(phantom, quadruple, 1)
        return twin(role, seed=seed, other=other, level=phantom.level)
    patient, order = patient_of(phantom)
    return sample(
        study_seed(phantom, patient, order + 1),
        level=phantom.level,
        patient_seed=study_seed(phantom, patient, 0),
        order=order,
        detector="shift" if phantom.split == "shift" else "standard",
        heldout=phantom.split == "heldout",
    )


def patient_of(phantom: PhantomId) -> tuple[int, int]:
    """Return the patient number within the split and the study's number in that patient's file."""
    if phantom.split == "twins":
        return phantom.index // 4, phantom.index % 4
    first, patients = _files(phantom.level, phantom.split, phantom.seed)
    patient = int(patients[phantom.index])
    return patient, phantom.index - int(first[patient])


@lru_cache(maxsize=32)
def _files(level: str, split: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first study of every patient, and the patient of every study."""
    size = split_size(level, split)
    rng = np.random.default_rng([seed, list(LEVELS).index(level), list(SPLITS).index(split), 99])
    counts = rng.choice([1, 2, 3], size=size, p=_STUDIES_PER_PATIENT)
    patients = np.repeat(np.arange(size), counts)[:size]
    return np.concatenate([[0], np.cumsum(counts)]), patients


def study_seed(phantom: PhantomId, patient: int, stream: int) -> int:
    """Return a 32-bit seed of one stream of one patient; splits, levels and corpora never share one."""
    words = [
        FORMAT,
        phantom.seed,
        list(LEVELS).index(phantom.level),
        list(SPLITS).index(phantom.split),
        patient,
        stream,
    ]
    return int(np.random.SeedSequence(words).generate_state(1)[0])
