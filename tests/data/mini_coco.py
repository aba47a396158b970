"""Miniature COCO files of boxes, with the further keys of annotation tools, whose texts nobody may see again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SECRET = "Worsening of what nobody may read"
CATEGORIES = ({"id": 1, "name": "pneumonia", "supercategory": ""}, {"id": 2, "name": "Pneumothorax"})


def image(key: Any, file_name: Any, width: Any = 64, height: Any = 48, **further: Any) -> dict[str, Any]:
    """Return an entry of a picture; `None` leaves a key out."""
    entry = {"id": key, "file_name": file_name, "width": width, "height": height, "report": SECRET, **further}
    return {name: value for name, value in entry.items() if value is not None}


def box(image_id: Any, category_id: Any, bbox: Any, **further: Any) -> dict[str, Any]:
    """Return an annotation; `None` leaves a key out."""
    entry = {"id": 9, "image_id": image_id, "category_id": category_id, "bbox": bbox, "iscrowd": False}
    entry |= {"label_text": SECRET, "creator": SECRET, **further}
    return {name: value for name, value in entry.items() if value is not None}


def coco(images: Any = (), annotations: Any = (), categories: Any = CATEGORIES, **further: Any) -> dict[str, Any]:
    """Return a file's content; `None` leaves a list out."""
    content = {"info": {"description": SECRET}, "images": images, "annotations": annotations, **further}
    return {name: value for name, value in {**content, "categories": categories}.items() if value is not None}


def write_coco(path: Path, content: Any) -> Path:
    """Write a file and return its path."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
