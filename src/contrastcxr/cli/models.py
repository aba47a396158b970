"""`contrastcxr models`: every part and checkpoint known, with its paper and licence."""

from __future__ import annotations

from dataclasses import asdict

from contrastcxr import api
from contrastcxr.cli import output


@output.verb
def models(said: output.Output) -> None:
    """List the parts and checkpoints known, with paper and licence."""
    found = api.list_models()
    said.result(output.table([asdict(each) for each in found]))
    said.result_json([asdict(each) for each in found])
