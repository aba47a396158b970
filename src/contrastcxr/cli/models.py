"""`contrastcxr models`: every part and checkpoint known, with paper and licence; of one part its options too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from contrastcxr import api
from contrastcxr.cli import complete, output

if TYPE_CHECKING:
    from contrastcxr.catalogue import PartDescription

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="A part, such as transformer, cam, contrast or train: its paper, licence and options.",
        autocompletion=complete.parts,
        show_default=False,
    ),
]


@output.verb
def models(said: output.Output, name: Name = None) -> None:
    """List the parts and checkpoints known, with paper and licence; with NAME the options of one."""
    if name is None:
        found = [asdict(each) for each in api.list_models()]
        said.result(output.table(found))
        said.result_json(found)
        return
    part = api.describe_part(name)
    said.result("\n".join(_lines(part)))
    said.result_json(asdict(part))


def _lines(part: PartDescription) -> Iterator[str]:
    yield f"{part.kind}: {part.name}" + (f", also {part.also}" if part.also else "")
    if part.summary:
        yield part.summary
    if part.paper:
        yield f"paper: {part.paper}"
    yield f"licence: {part.licence}"
    if part.options:
        yield ""
        yield output.table([asdict(option) for option in part.options])
