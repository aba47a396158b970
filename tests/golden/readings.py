"""What the bundled models read, in a form that is small and compared by its values.

Inputs are three phantoms, drawn as the README's demo draws them, and one radiograph of NIH ChestX-ray14.
"""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from golden.command import typed

MODELS = ("phantom", "nih-small")
INPUTS = ("phantoms", "nih")
NIH_PICTURE = "00000001_000.jpg"
DRAWN = ("--studies", 3, "--level", "standard", "--format", "dicom", "--seed", 7)
BASE64 = "data:image/"
UNSEEN = ("style", "script")
SHOWN = ("title", "alt", "aria-label", "data-general", "value", "style")
PLACED = ("x", "y", "width", "height", "viewbox")
"""Attributes that are seen or heard (`style`: how long a bar is), and those that say where something lies."""


def draw(folder: Path) -> Path:
    """The phantoms of the demo."""
    typed("phantom", folder, *DRAWN, "--quiet")
    return folder


def read(inputs: Path, model: str, out: Path) -> dict[str, Any]:
    """Read with one model; documents and pages by file name."""
    typed("read", inputs, "--model", model, "--out", out, "--format", "html,json", "--quiet")
    documents = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob("*.json"))}
    versions = {version for document in documents.values() for version in versions_in(document)}
    pages = {path.name: Page(path.read_text(encoding="utf-8")).to_dict() for path in sorted(out.glob("*.html"))}
    return {
        "documents": {name: without_versions(document) for name, document in documents.items()},
        "pages": {name: without_words(page, versions) for name, page in pages.items()},
    }


def versions_in(document: dict[str, Any]) -> set[str]:
    """Versions of software that a reading names."""
    return {document["author"]["version"], *document["provenance"]["software"].values()}


def without_versions(document: dict[str, Any]) -> dict[str, Any]:
    """The reading without versions of software; that they are named stays."""
    software = dict.fromkeys(document["provenance"]["software"], "")
    return {
        **document,
        "author": {**document["author"], "version": ""},
        "provenance": {**document["provenance"], "software": software},
    }


def without_words(value: Any, words: set[str]) -> Any:
    """The same with these words taken out of every text."""
    if isinstance(value, dict):
        return {key: without_words(inner, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_words(inner, words) for inner in value]
    if not isinstance(value, str):
        return value
    return re.sub("|".join(rf"(?<![\w.]){re.escape(word)}(?![\w.])" for word in sorted(words)), "", value)


class Page(HTMLParser):
    """What a page says and shows: its texts, the places of what is drawn, and a few figures of each picture."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.said: list[str] = []
        self.placed: list[str] = []
        self.pictures: list[dict[str, Any]] = []
        self.inside: list[str] = []
        self.feed(page)
        self.close()

    def to_dict(self) -> dict[str, Any]:
        return {"texts": self.texts, "said": self.said, "placed": self.placed, "pictures": self.pictures}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = [*self.inside, tag] if tag in UNSEEN else self.inside
        held = {name: value or "" for name, value in attrs}
        self.said += [held[name] for name in SHOWN if name in held]
        places = [f"{name} {held[name]}" for name in PLACED if name in held]
        self.placed += [f"{tag} {' '.join(places)}"] if places and tag not in ("meta", "data") else []
        self.pictures += [picture(value) for value in held.values() if value.startswith(BASE64)]

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside[:-1] if tag in UNSEEN else self.inside

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        self.texts += [text] if text and not self.inside else []


def picture(uri: str) -> dict[str, Any]:
    """Size, mode, and the mean and deviation of each channel of a picture in a page."""
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as opened:
        opened.load()
        pixels = np.asarray(opened, np.float64).reshape(opened.height * opened.width, -1)
        mean, deviation = (np.round(figures, 2).tolist() for figures in (pixels.mean(0), pixels.std(0)))
        return {"size": list(opened.size), "mode": opened.mode, "mean": mean, "deviation": deviation}
