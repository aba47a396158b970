"""`contrastcxr train CONFIG`: a configuration becomes a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from contrastcxr import api
from contrastcxr.cli import output


@output.verb
def train(
    said: output.Output,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Such as configs/cpu/phantom.yaml.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Change one value, such as decoder.kind=nic; may come again."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run folder; default runs/NAME-seedS.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole epoch.")] = False,
    accelerator: Annotated[str, typer.Option("--accelerator", help="cpu, cuda, or auto: a GPU if any.")] = "auto",
    devices: Annotated[
        int, typer.Option("--devices", min=1, help="Processes, or GPUs, of each node; all share each batch.")
    ] = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines, started by torchrun or srun.")] = 1,
    seed: Annotated[int | None, typer.Option("--seed", help="The same as --set train.seed=N.")] = None,
    cache: output.Cache = None,
) -> None:
    """Train a system: a folder with checkpoint, configuration, log, metrics and run record."""
    # PyTorch reads it when it is imported: with several processes each would be told of a cost that is accepted.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    overrides = [*(set_ or []), *([f"train.seed={seed}"] if seed is not None else [])]
    folder = api.train(
        config,
        overrides=overrides,
        out=out,
        cache=cache,
        resume=resume,
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        progress=False if said.quiet else None,
    )
    if folder.writes:
        said.result(str(folder.path))
        said.result_json(
            {"run": str(folder.path), "best": dict(folder.best), "unreadable": list(folder.unreadable)}
        )
    said.fail_if(folder.unreadable)
