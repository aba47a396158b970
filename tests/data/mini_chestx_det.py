"""A miniature of ChestX-Det in its published layout, beside the NIH miniature of 64×64 pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contrastcxr.data.readers.chestx_det import FILE


def entry(name: str, *marks: tuple[str, list[Any]], **changes: Any) -> dict[str, Any]:
    """One picture with the class and the corners of each box; a polygon goes round each as in the release."""
    said = {"syms": [sym for sym, _ in marks], "boxes": [box for _, box in marks]}
    polygons = [[box[:2], [box[2], box[1]], box[2:]] for _, box in marks]
    return {"file_name": name, **said, "polygons": polygons, **changes}


ENTRIES = (
    entry("00000001_000.png", ("Cardiomegaly", [256, 512, 768, 1024]), ("Effusion", [0, 896, 128, 1024])),
    entry("00000001_001.png"),
    entry(
        "00000003_000.png",
        ("Effusion", [16, 800, 272, 960]),
        ("Fracture", [100, 100, 200, 164]),
        ("Effusion", [768, 800, 1025, 960]),
        ("Diffuse Nodule", [128, 128, 512, 512]),
    ),
    entry("00000004_000.png", ("Nodule", [512, 256, 528, 272]), ("Diffuse Nodule", [0, 0, 512, 512])),
    entry("00000077_000.png", ("Mass", [10, 10, 20, 20])),
)


def write_chestx_det(folder: Path, *entries: Any) -> Path:
    """Write the list, by default all of `ENTRIES`, into the folder of the pictures, and return its path."""
    path = folder / FILE
    path.write_text(json.dumps(list(entries or ENTRIES)), encoding="utf-8")
    return path
