"""Which sources a folder can be opened as, by the files that their published layouts have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from contrastcxr.data.tables.named import COMPRESSED

SIGNS: Mapping[str, tuple[str, ...]] = {
    "nih14": ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"),
    "iu_xray": ("indiana_reports.csv", "ecgen-radiology", "NLMCXR_reports.tgz"),
    "mimic_cxr": ("mimic-cxr-2.0.0-metadata.csv", "cxr-record-list.csv"),
    "chexpert": ("valid.csv", "CheXpert-v1.0-small", "CheXpert-v1.0"),
    "covid": ("metadata.csv",),
    "rsna": ("stage_2_train_labels.csv",),
    "vindr": ("annotations/annotations_train.csv", "vinbigdata-train.csv", "annotations_train.csv"),
}
"""Source -> files and folders of which its root has one, tables compressed or not."""
MANIFEST = "studies.jsonl"


def recognised(folder: Path) -> tuple[str, ...]:
    """Return the data names that fit a folder, `nih14:/data/nih` and the like; none where it is just files."""
    found = [f"{name}:{folder}" for name, signs in SIGNS.items() if any(_holds(folder, sign) for sign in signs)]
    return (*found, f"manifest:{folder / MANIFEST}") if (folder / MANIFEST).is_file() else tuple(found)


def _holds(folder: Path, sign: str) -> bool:
    return any((folder / f"{sign}{suffix}").exists() for suffix in COMPRESSED)
