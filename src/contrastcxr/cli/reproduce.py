"""`contrastcxr reproduce PAPER TABLE`: the rows of a table, trained, scored and recorded one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contrastcxr import api
from contrastcxr.cli import complete, output
from contrastcxr.errors import RequestError

if TYPE_CHECKING:
    from contrastcxr.reproduce.estimate import Expectation


Published = Annotated[
    bool, typer.Option("--published", help="Print the paper's own figures and what is known of them; run nothing.")
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="cpu or cuda, where rows train and read; default cuda where there is a GPU."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change one value in every row.")
]


@output.verb
def reproduce(
    said: output.Output,
    paper: Annotated[
        str, typer.Argument(metavar="PAPER", help="contrastive-attention, cia-net, wcl or cross-attention.")
    ],
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A paper's; ours: first, decoders, localizers, nih, captions …")
    ],
    data: Annotated[
        str, typer.Option("--data", help="phantom:standard, or nih14-cv:/path.", autocompletion=complete.sources)
    ] = "phantom:standard",
    rows: Annotated[
        str, typer.Option("--rows", help="Comma between rows, such as nic-none,nic-normal; default all.")
    ] = "",
    seeds: Annotated[str, typer.Option("--seeds", help="Comma between; default the plan's, to show all.")] = "",
    published: Published = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print published and measured of what is recorded; run nothing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the expected hours and do nothing.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the records.")] = Path("results"),
    runs: Annotated[Path, typer.Option("--runs", help="Folder for the run folders.")] = Path("runs"),
    plan: Annotated[Path | None, typer.Option("--plan", help="Another file of rows.")] = None,
    set_: Overrides = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="A rehearsal: so many test studies and twins only.")
    ] = None,
    cache: output.Cache = None,
    device: Device = None,
) -> None:
    """Run the rows of a table that are not recorded yet, then print published and measured side by side."""
    if published:
        _print_published(said, paper, table)
        return
    wanted, numbers, changes = output.parts(rows), _numbers(seeds), set_ or ()
    if dry_run:
        expected, records = api.estimate_table(
            paper, table, data=data, rows=wanted, seeds=numbers, overrides=changes, plan=plan, out=out, cache=cache
        )
        _print_hours(said, expected, records)
        return
    found = api.reproduce_table(
        paper,
        table,
        data=data,
        rows=wanted,
        seeds=numbers,
        overrides=changes,
        plan=plan,
        limit=limit,
        run=not show,
        out=out,
        runs=runs,
        cache=cache,
        device=device,
    )
    _print_tables(said, found)
    said.result(_ending(found, show=show))
    for row, reason in found.failed:
        said.complain(f"failed: {row}: {reason}")
    said.fail_if(found.failed)


def _ending(found: api.Reproduction, *, show: bool) -> str:
    """Return where the records are, or that there is none to show."""
    if show and not found.recorded:
        return f"no row is recorded in {found.folder}; the same command without --show runs them"
    return str(found.folder)


def _print_hours(said: output.Output, expected: Sequence[Expectation], records: int) -> None:
    from contrastcxr.reproduce.estimate import in_words

    for line in in_words(expected, records):
        said.result(line)
    said.result_json([{"row": e.name, "seconds": e.seconds, "basis": e.basis} for e in expected])


def _print_tables(said: output.Output, found: api.Reproduction) -> None:
    from contrastcxr.reproduce.shown import NAMES, heading, meaning, table_rows

    _print_rows(said, found)
    for part in found.tables:
        said.result(f"{heading(part)}: {part.title}")
        said.result("\n".join((output.table(table_rows(part), names=NAMES), *meaning(part), "")))
    rows = [{"row": record.row, "seed": record.seed} for record in found.recorded]
    said.result_json({"recorded": rows, "tables": [part.to_dict() for part in found.tables]})


def _print_rows(said: output.Output, found: api.Reproduction) -> None:
    """Print the rows beside those that cannot see, where they have tables of their own."""
    if not found.pooled:
        return
    from contrastcxr.reproduce.row_page import said_below, tables_of, verdicts

    for task, pooled in found.pooled:
        said.result(f"{task.plan.name} on {pooled.data}: {task.plan.title}")
        shown = (
            f"{above}\n{output.table(rows, names=names)}\n".lstrip()
            for above, rows, names in tables_of(task, pooled)
            if rows
        )
        said.result("\n".join((*verdicts(task, pooled), *shown, *said_below(task, pooled), "")))


def _print_published(said: output.Output, paper: str, table: str) -> None:
    from contrastcxr.published import published_table

    printed = published_table(paper, table)
    rows = [{**row.keys, **row.cells} for row in printed.rows]
    shown = [{name: value or "-" for name, value in row.items()} for row in rows]
    unit = "in percent" if printed.percent else "as fractions"
    said.result(f"{paper} {table}: {printed.title} ({unit})")
    said.result(output.table(shown))
    for note in printed.notes:
        said.result(f"note: {note}")
    said.result_json({"title": printed.title, "percent": printed.percent, "rows": rows, "notes": printed.notes})


def _numbers(text: str) -> list[int]:
    parts = output.parts(text)
    if not all(part.isdigit() for part in parts):
        raise RequestError(f"--seeds {text}; expected whole numbers with commas between, such as 0,1,2")
    return [int(part) for part in parts]
