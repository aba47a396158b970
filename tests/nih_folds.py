"""A miniature of NIH ChestX-ray14 that can be parted into folds, with boxes of ChestX-Det, of RSNA and of NIH."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
TRAIN, TEST = 60, 8
LABELS = ("No Finding", "Pneumonia", "Effusion", "Consolidation|Infiltration", "Effusion|Pneumonia")
"""Picture by picture, over and over; what ChestX-Det calls Consolidation is mostly labelled otherwise."""
CLASSES = ((), ("Consolidation",), ("Effusion",), ("Consolidation", "Fracture"), ("Effusion", "Consolidation"))
"""Likewise, what ChestX-Det boxes."""


def name_of(number: int) -> str:
    return f"{number:08d}_000.png"


def corners(number: int, place: int) -> list[int]:
    left, upper = 128 + 32 * (number % 8) + 256 * place, 160 + 32 * (number % 5)
    return [left, upper, left + 320, upper + 256]


def write_nih_folds(folder: Path, *, det: bool = True, size: int = 64) -> Path:
    """Write pictures of noise, one a patient, and every table; return the folder.

    ChestX-Det has read all but each seventh picture, RSNA each second one, NIH boxed pneumonia of the test list.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    lines, marks, rsna, boxes = [HEADER], [], ["Image Index,rsna_class,x,y,w,h"], ["Image,Label,Bbox [x,y,w,h],,,"]
    for number in range(TRAIN + TEST):
        name, kind = name_of(number), number % len(LABELS)
        rng = np.random.default_rng(number)
        Image.fromarray((rng.random((size, size)) * 255).astype(np.uint8)).save(images / name)
        lines.append(f"{name},{LABELS[kind]},0,{number},50,M,PA,2048,2048,0.1,0.1")
        if number % 7:
            marks.append(_marks(name, number, CLASSES[kind]))
        if number % 2:
            box = ",".join(map(str, _wide(number))) if "Pneumonia" in LABELS[kind] else ",,,"
            rsna.append(f"{name},{'Lung Opacity' if 'Pneumonia' in LABELS[kind] else 'Normal'},{box}")
        if number >= TRAIN and "Pneumonia" in LABELS[kind]:
            boxes.append(f"{name},Pneumonia,{','.join(map(str, _wide(number)))},,,")
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")
    (folder / "train_val_list.txt").write_text("\n".join(map(name_of, range(TRAIN))))
    (folder / "test_list.txt").write_text("\n".join(map(name_of, range(TRAIN, TRAIN + TEST))))
    (folder / "rsna_pneumonia.csv").write_text("\n".join(rsna) + "\n")
    (folder / "BBox_List_2017.csv").write_text("\n".join(boxes) + "\n")
    if det:
        (folder / "chestx_det.json").write_text(json.dumps(marks))
    return folder


def _wide(number: int) -> list[int]:
    x1, y1, x2, y2 = corners(number, 0)
    return [x1, y1, x2 - x1, y2 - y1]


def _marks(name: str, number: int, classes: tuple[str, ...]) -> dict[str, Any]:
    boxes = [corners(number, place) for place in range(len(classes))]
    return {"file_name": name, "syms": list(classes), "boxes": boxes}
