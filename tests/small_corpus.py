"""A corpus of grammar reports on pictures of noise, in the place of phantoms: nothing is drawn."""

from __future__ import annotations

import numpy as np

from contrastcxr.form import Author, Finding, Reading, Study, View
from contrastcxr.phantom.twins import ROLES
from contrastcxr.text.grammar.writing import write_report
from contrastcxr.vocab.labels import PHANTOM

AUTHOR = Author(kind="rule", name="phantom truth")
SIZES = {"train": 24, "validation": 8, "test": 12, "twins": 8}
SIDED = ("Pleural Effusion", "Nodule")


def corpus(level: str = "smoke", *, split: str = "train", seed: int = 0, limit: int | None = None) -> list[Study]:
    """Every third study is normal, the others have an effusion or a nodule on one side."""
    assert level == "smoke"
    return [study(split, index, seed) for index in range(min(SIZES[split], limit or SIZES[split]))]


def study(split: str, index: int, seed: int) -> Study:
    rng = np.random.default_rng([seed, index, *split.encode()])
    role = f"-{ROLES[index % 4]}" if split == "twins" else ""
    study_id = f"{split}-{index:03d}{role}"
    findings = truth(index, role)
    written = write_report([f for f in findings if f.status == "present"], rng=rng)
    view = View(view_id=f"{study_id}-v", pixels=rng.random((64, 64), dtype=np.float32), position="PA")
    reading = Reading(study_id=study_id, author=AUTHOR, report=written.report, findings=findings)
    return Study(
        study_id=study_id, patient_id=f"{split}-p{index // 2}", views=(view,), readings=(reading,), split=split
    )


def truth(index: int, role: str) -> tuple[Finding, ...]:
    normal = role in ("-normal", "-pose") or (not role and index % 3 == 0)
    called = None if normal else SIDED[index % 2]
    side = "right" if role == "-mirrored" else "left"
    return tuple(
        Finding(name=name, status="present", side=side) if name == called else Finding(name=name, status="absent")
        for name in PHANTOM
    )
