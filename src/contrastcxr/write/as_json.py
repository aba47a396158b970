"""A reading as JSON, and back."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contrastcxr.errors import DatasetError
from contrastcxr.files import atomic_write
from contrastcxr.form import SCHEMA, Reading, Study, reading_schema
from contrastcxr.write.names import file_stem

SCHEMA_FILE = "reading.schema.json"


class JsonWriter:
    """Writes `STUDY.json`: the reading and nothing of the patient."""

    name = "json"

    def write(self, reading: Reading, study: Study, folder: Path) -> Path:
        """Write one reading.

        Raises:
            OutputError: the file cannot be written.
        """
        del study  # a reading stands alone; pages need the study for its pictures
        path = folder / f"{file_stem(reading.study_id)}.json"
        with atomic_write(path, "w") as stream:
            stream.write(to_json(reading))
        return path


def to_json(reading: Reading) -> str:
    """Return the reading as indented JSON; equal readings give equal text."""
    return json.dumps(reading.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"


def from_json(text: str, *, where: str = "reading") -> Reading:
    """Return the reading that `to_json` wrote.

    Args:
        text: one JSON document.
        where: file name for messages.

    Raises:
        DatasetError: not JSON, or not of the schema `contrastcxr.reading/1`.
    """
    try:
        return Reading.model_validate(_document(text, where))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise DatasetError(f"{where}: {place}: {first['msg']}; expected a reading of schema {SCHEMA}") from error


def _document(text: str, where: str) -> Any:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DatasetError(f"{where}: not JSON ({error}); expected a reading of schema {SCHEMA}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise DatasetError(f"{where}: schema is {found!r}; expected {SCHEMA}, which `contrastcxr read` writes")
    return document


def schema_text() -> str:
    """Return the JSON Schema of a reading as the package ships it."""
    return json.dumps(schema(), ensure_ascii=False, indent=1) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `contrastcxr.reading/1`, made from the form."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **reading_schema(), "title": SCHEMA}


def shipped_schema() -> str:
    """Return the text of the schema file in the package."""
    return files("contrastcxr.write").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
