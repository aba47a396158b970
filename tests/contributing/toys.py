"""The four toys, each put in with the one line that CONTRIBUTING.md asks for, and a data set for them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from contrastcxr.data.sources import SOURCES
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.localizers import LOCALIZERS
from contrastcxr.options import Registered
from contributing import toy_reader
from contributing.toy_decoder import ToyDecoderOptions
from contributing.toy_localizer import ToyLocalizerOptions
from contributing.toy_loss import ToyLossOptions

SIZES = {"train": 12, "validation": 6, "test": 6}


def register_loss(patch: pytest.MonkeyPatch) -> None:
    entry = Registered(ToyLossOptions, "contributing.toy_loss:ToyLoss", "a toy")
    patch.setitem(SYSTEM_LOSSES, "toy_distance", entry)  # type: ignore[arg-type]


def register_toys(patch: pytest.MonkeyPatch) -> None:
    """One line in each registry."""
    registries: Any = (DECODERS, LOCALIZERS, SOURCES)
    decoders, localizers, sources = registries
    patch.setitem(decoders, "toy", Registered(ToyDecoderOptions, "contributing.toy_decoder:ToyDecoder", "a toy"))
    patch.setitem(
        localizers, "toy_map", Registered(ToyLocalizerOptions, "contributing.toy_localizer:ToyLocalizer", "a toy")
    )
    patch.setitem(sources, "toy", toy_reader.KIND)
    register_loss(patch)


def write_toy_data(root: Path) -> Path:
    """Every second picture has a bright patch, and a report and a box that say so."""
    root.mkdir(parents=True)
    rows = []
    for split, size in SIZES.items():
        for index in range(size):
            pixels = np.random.default_rng([index, len(split)]).uniform(50, 120, size=(64, 64))
            sick = index % 2 == 1
            if sick:
                pixels[36:60, 32:60] += 110
            name = f"{split}-{index}"
            Image.fromarray(pixels.astype(np.uint8)).save(root / f"{name}.png")
            report = "There is a left pleural effusion." if sick else "The lungs are clear."
            rows.append([name, f"p-{name}", split, f"{name}.png", report, "32 36 60 60" if sick else ""])
    with (root / toy_reader.TABLE).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["study_id", "patient_id", "split", "image", "report", "box"], *rows])
    return root


def toy_values(root: Path) -> dict[str, Any]:
    """A configuration that has all four."""
    return {
        "name": "toys",
        "width": 16,
        "data": {"source": "toy", "root": str(root)},
        "text": {"min_count": 1, "max_tokens": 16},
        "image": {"size": 64},
        "encoder": {"name": "test_efficientnet", "weights": "random"},
        "contrast": {"repeats": 2, "pool": {"size": 4}},
        "decoder": {"kind": "toy", "hidden": 8},
        "localizer": {"kind": "toy_map", "labels": "chexpert"},
        "losses": [{"kind": "toy_distance", "weight": 0.5}],
        "generate": {"method": "greedy", "max_tokens": 16},
        "train": {
            "batch_size": 4,
            "epochs": 1,
            "monitor": "loss",
            "precision": "fp32",
            "optimizer": {"lr": 0.01},
        },
    }
