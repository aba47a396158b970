"""A miniature data set in memory: pictures whose one finding is a bright patch, and reports that say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from contrastcxr.config import SystemConfig, parse_config
from contrastcxr.data.readers.phantom import LICENCE
from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Source
from contrastcxr.data.sources import SOURCES
from contrastcxr.form import Author, Box, Finding, Reading, Report, Study, View

Load = Callable[[str], list[Study]]
"""Gives the studies of a split."""

ABNORMAL = "There is a small left pleural effusion."
NORMAL = "The lungs are clear. No pleural effusion is seen."


def mini_study(index: int, *, split: str) -> Study:
    rng = np.random.default_rng([index, len(split)])
    sick = index % 2 == 1
    pixels = rng.uniform(0.2, 0.5, size=(64, 64)).astype(np.float32)
    if sick:
        pixels[40:, 32:] += 0.5
    finding = Finding(name="Pleural Effusion", status="present" if sick else "absent")
    study_id = f"{split}-{index:03d}"
    reading = Reading(
        study_id=study_id,
        author=Author(kind="rule", name="phantom truth"),
        report=Report(findings=ABNORMAL if sick else NORMAL),
        findings=(finding,),
        provenance={"mesh": ["Pleural Effusion/left/small", "Cicatrix/lung"] if sick else ["normal"]},
    )
    view = View(view_id=f"{study_id}-0", pixels=pixels, position="PA" if index % 3 else "AP", width=64, height=64)
    return Study(study_id=study_id, patient_id=f"p{index // 2}", views=(view,), readings=(reading,), split=split)


def boxed_study(index: int, *, split: str, boxed: bool = True) -> Study:
    """The same study, its finding boxed where the picture is bright."""
    study = mini_study(index, split=split)
    if index % 2 == 0 or not boxed:
        return study
    (reading,) = study.readings
    (finding,) = reading.findings
    finding = finding.model_copy(update={"boxes": (Box(view=0, xyxy=(32.0, 40.0, 64.0, 64.0)),)})
    return study.model_copy(update={"readings": (reading.model_copy(update={"findings": (finding,)}),)})


class MiniSource(Source):
    """Whatever `load` gives for a split."""

    name = "mini"
    licence = LICENCE
    splits = ("train", "validation", "test")

    def __init__(self, load: Load) -> None:
        self._of_split = load

    def _load(self, split: str | None) -> Iterable[Study]:
        return [study for name in ((split,) if split else self.splits) for study in self._of_split(name)]


def use_studies(patch: pytest.MonkeyPatch, load: Load) -> None:
    """Let every source give the studies that `load` gives for a split; `mini:memory` is one more."""
    mini = SourceKind(
        MiniSource,
        open=lambda _: MiniSource(load),
        summary="a miniature set in memory",
        root="level",
        splits=MiniSource.splits,
        params=("seed", "limit"),
    )
    for name, kind in {**SOURCES, "mini": mini}.items():
        patch.setitem(SOURCES, name, replace(kind, open=mini.open))  # type: ignore[arg-type]


def mini_config(**changes: Any) -> SystemConfig:
    values: dict[str, Any] = {
        "name": "mini",
        "width": 16,
        "data": {"source": "mini:memory"},
        "text": {"min_count": 1, "max_tokens": 24},
        "image": {"size": 64},
        "encoder": {"name": "test_efficientnet", "weights": "random"},
        "decoder": {"kind": "nic", "dropout": 0.0},
        "finding_head": {"labels": "phantom", "dropout": 0.0},
        "contrast": {"repeats": 2, "pool": {"size": 5}},
        "generate": {"method": "greedy", "max_tokens": 20},
        "train": {
            "batch_size": 4,
            "epochs": 2,
            "monitor": "loss",
            "optimizer": {"lr": 0.005},
            "precision": "fp32",
        },
    }
    return parse_config({**values, **changes}, where="mini")
