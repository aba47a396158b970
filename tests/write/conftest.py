"""A study and its reading, made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.form import Reading, Study
from hand_made import hand_made_reading, hand_made_study


@pytest.fixture
def study() -> Study:
    ramp = np.linspace(0, 1, 400, dtype=np.float32)
    return hand_made_study(np.tile(ramp, (300, 1)))


@pytest.fixture
def two_views() -> Study:
    ramp = np.linspace(0, 1, 400, dtype=np.float32)
    return hand_made_study(np.tile(ramp, (300, 1)), np.tile(ramp[:200], (300, 1)))


@pytest.fixture
def reading(study: Study) -> Reading:
    return hand_made_reading(study)
