"""What a run says of itself: data, versions, seed, pool and time; nothing of the machine's name, user or paths."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from contrastcxr.files import atomic_write
from contrastcxr.form import Study

OF_MODELS: Any = {
    "findings": {"__all__": {"region", "peak", "attributes"}},
    "evidence": {"difference", "negatives", "finding_maps", "votes"},
}
"""What only a model fills in, and no reading that is learnt from: the fingerprint of data is made without it."""
RECORD_FILE = "run_record.json"
_PACKAGES = ("contrastcxr", "torch", "lightning", "timm", "numpy", "safetensors")


@dataclass(frozen=True)
class RunRecord:
    """The record of one training run.

    Attributes:
        name: of the configuration.
        seed: of initialisation, order and dropout.
        data: per split, number of studies and a fingerprint of who they are and what their readings say.
        encoder: what weights were loaded, and their fingerprint.
        parameters: number of trained parameters.
        pool: kind, size, view mix, purity; None without Contrastive Attention.
        align: its kind, the canonical chest and the weight of the pixel loss; None without alignment.
        loss_weights: of each named term.
        precision: that the run used.
        device: what it was trained on, `cpu` or `cuda`; empty in records of earlier versions.
        vocabulary: number of words.
        truncated_reports: training reports longer than `text.max_tokens`.
        unreadable: views left out, and why.
        best: the validation that picked the checkpoint.
        curves: a row per epoch: training losses and all validation scores.
        epochs: trained.
        seconds: of training, feature encoding not counted, over all resumed parts.
        calibration: temperature, and expected calibration error before and after; None without a finding head.
        thresholds: what heads chose on validation, by their kind.
        present_from: score from which a detector's finding counts as present, this run's or that of its regions.
        anchored: share of the boxes that a detector learns with an anchor whose IoU is above .5; None of others.
        boxed_patients: marks of the patients whose boxes a detector learnt, this run's or that of its regions.
        started_from: SHA-256 of the checkpoint that it started from (`train.init_from`); None without one.
        clusters: of the training reports, as `ReportClusters.summary` has them; None where no loss needs any.
        versions: of the packages that made it.
    """

    name: str
    seed: int
    data: Mapping[str, Mapping[str, Any]]
    encoder: Mapping[str, str]
    parameters: int
    pool: Mapping[str, Any] | None
    loss_weights: Mapping[str, float]
    precision: str
    vocabulary: int
    truncated_reports: int
    device: str = ""
    align: Mapping[str, Any] | None = None
    unreadable: Sequence[str] = ()
    best: Mapping[str, float] = field(default_factory=dict)
    curves: Sequence[Mapping[str, Any]] = ()
    epochs: int = 0
    seconds: float = 0.0
    calibration: Mapping[str, Any] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    present_from: Mapping[str, float] = field(default_factory=dict)
    anchored: float | None = None
    boxed_patients: Sequence[str] = ()
    started_from: str | None = None
    clusters: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=lambda: versions())

    def write(self, folder: Path) -> None:
        """Write `run_record.json` into the run folder."""
        with atomic_write(folder / RECORD_FILE) as file:
            json.dump(asdict(self), file, indent=2, ensure_ascii=False)
            file.write("\n")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages a run depends on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}


def data_fingerprint(studies: Sequence[Study]) -> dict[str, Any]:
    """Return the number of studies and a hash over their ids and readings, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for study in studies:
        said = [reading.model_dump_json(by_alias=True, exclude=OF_MODELS) for reading in study.readings]
        digest.update(json.dumps([study.study_id, said]).encode())
    return {"studies": len(studies), "fingerprint": digest.hexdigest()}
