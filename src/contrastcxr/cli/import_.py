"""`contrastcxr import r2gen CHECKPOINT --vocabulary FILE`: checkpoints of other projects become ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from contrastcxr import api
from contrastcxr.cli import output

import_ = typer.Typer(
    help="Turn a checkpoint of another project into one of ours.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@import_.callback()
def _every_project() -> None:
    """Keep the name of the project on the command line while there is only one."""


@import_.command()
@output.verb
def r2gen(
    said: output.Output,
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Their model_best.pth; its weights only are read.")
    ],
    vocabulary: Annotated[
        Path,
        typer.Option(
            "--vocabulary", metavar="FILE", help="token2idx of their tokenizer as JSON, or their annotation.json."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: CHECKPOINT with .safetensors.")
    ] = None,
    dataset: Annotated[
        Literal["iu_xray", "mimic_cxr"] | None,
        typer.Option("--dataset", help="Two views a study, or one; default: the annotation's, else iu_xray."),
    ] = None,
    heads: Annotated[int, typer.Option("--heads", min=1, help="num_heads of their run.")] = 8,
    memory_heads: Annotated[int, typer.Option("--memory-heads", min=1, help="rm_num_heads of their run.")] = 8,
    min_count: Annotated[
        int | None,
        typer.Option("--min-count", min=1, help="threshold of their run; annotation.json only; default 3 or 10."),
    ] = None,
) -> None:
    """Import a checkpoint of R2Gen or WCL. Research use; not a medical device."""
    path, made = api.import_r2gen(
        checkpoint,
        vocabulary=vocabulary,
        out=out,
        dataset=dataset,
        heads=heads,
        memory_heads=memory_heads,
        min_count=min_count,
    )
    views, words = made.config.data.max_views, 0 if made.tokenizer is None else len(made.tokenizer)
    said.say(
        f"{made.config.encoder.name}, {made.config.data.source} with {views} view{'s' * (views > 1)} a study, "
        f"{words:,} ids, heads {heads} and {memory_heads} (no shape shows them: give --heads and "
        "--memory-heads if the run had others)"
    )
    said.result(str(path))
    said.result_json({"checkpoint": str(path), "config": made.config.to_dict(), "vocabulary": words})
