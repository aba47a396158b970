"""`contrastcxr phantom DIR`: synthetic studies with known lesions, boxes and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from contrastcxr import api
from contrastcxr.cli import output


@output.verb
def phantom(
    said: output.Output,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the studies go.")],
    studies: Annotated[int, typer.Option("--studies", "-n", min=1, help="How many.")] = 3,
    level: Annotated[str, typer.Option("--level", help="smoke, easy, standard or hard.")] = "standard",
    format_: Annotated[str, typer.Option("--format", "-f", help="png or dicom.")] = "png",
    seed: output.Seed = 0,
) -> None:
    """Draw synthetic studies whose findings, boxes and reports are known."""
    written = api.draw_phantoms(folder, studies=studies, level=level, format=format_, seed=seed)  # type: ignore[arg-type]
    said.result(f"{studies} phantom studies at level {level}: {len(written)} files in {folder}")
    said.say(f"to read them, both views of a study together: contrastcxr read {folder}")
    said.result_json({"folder": str(folder), "files": [str(path) for path in written]})
