"""`contrastcxr models`: every part and checkpoint known, with its paper and licence."""

from __future__ import annotations

from dataclasses import asdict

from contrastcxr import api
from contrastcxr.cli import output


def models(quiet: output.Quiet = False, as_json: output.Json = False, verbose: output.Verbose = False) -> None:
    """List the parts and checkpoints known, with paper and licence."""
    said = output.begin(quiet=quiet, as_json=as_json, verbose=verbose)
    found = api.list_models()
    said.result(output.table([asdict(each) for each in found]))
    said.result_json([asdict(each) for each in found])
