"""A plan of one tiny system on smoke phantoms, as files, and a record of one of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from contrastcxr.reproduce import Record

TINY = {
    "name": "tiny",
    "width": 16,
    "text": {"max_tokens": 40, "min_count": 1},
    "data": {"source": "phantom:smoke"},
    "image": {"size": 64},
    "encoder": {"name": "test_resnet", "weights": "random"},
    "contrast": None,
    "finding_head": {"labels": "phantom"},
    "decoder": {"kind": "nic"},
    "generate": {"method": "greedy", "max_tokens": 40},
    "train": {"batch_size": 8, "epochs": 1, "workers": 0},
}
PLAN: dict[str, Any] = {
    "name": "trial",
    "paper": "contrastive-attention",
    "title": "a trial",
    "contrasts": {"none": [], "normal": ["contrast.pool.kind=normal", "contrast.pool.seed={seed}"]},
    "systems": {"nic": []},
    "seeds": [0, 1],
    "votes": True,
    "data": {
        "phantom:smoke": {
            "config": "tiny.yaml",
            "seed_overrides": ["train.seed={seed}"],
            "twins": "twins",
        }
    },
}


ALIGNED: dict[str, list[str]] = {
    "nic": [],
    "nic+align": ["align.kind=affine", "align.weights={run:align}"],
}
"""Systems that take an aligner, which is trained before them."""
ALIGNER = {
    **TINY,
    "name": "aligner",
    "decoder": None,
    "finding_head": None,
    "projection": {"kind": "none"},
    "train": {**TINY["train"], "monitor": "loss"},
    "align": {"kind": "affine", "network": "small", "size": 64, "canonical": {"crop": [0.1, 0.1, 0.9, 0.9]}},
}


def write_plan(
    folder: Path, *, systems: dict[str, list[str]] | None = None, runs: dict[str, str] | None = None
) -> Path:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    (folder / "aligner.yaml").write_text(yaml.safe_dump(ALIGNER))
    data = {"phantom:smoke": {**PLAN["data"]["phantom:smoke"], "runs": runs or {}}}
    plan = {**PLAN, "systems": systems or PLAN["systems"], "data": data}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    return folder / "plan.yaml"


def record(row: str, seed: int = 0, seconds: float = 100.0) -> Record:
    return Record(
        experiment="trial",
        data="phantom:smoke",
        row=row,
        seed=seed,
        signature="s",
        config={},
        systems={"system": {"bleu_4": {"value": 0.1 + seed / 10, "low": 0.0, "high": 1.0, "n": 6}}},
        seconds={"training": seconds, "evaluation": 0.0},
    )
