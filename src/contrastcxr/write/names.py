"""File names that any study id gives."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 100


def file_stem(study_id: str) -> str:
    """Return a file stem for a study id: itself where that is a plain name, else a readable part and a hash."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", study_id).strip("._-")[:_LONGEST]
    if plain and plain == study_id and plain.lower() != "index":
        return plain
    digest = hashlib.sha256(study_id.encode()).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest
