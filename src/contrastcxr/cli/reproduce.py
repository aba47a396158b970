"""`contrastcxr reproduce PAPER TABLE`: the rows of a table, trained, scored and recorded one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contrastcxr.cli import complete, output
from contrastcxr.errors import RequestError
from contrastcxr.files import default_cache

if TYPE_CHECKING:
    from contrastcxr.reproduce import Places, Record, Row, Task


@output.verb
def reproduce(
    said: output.Output,
    paper: Annotated[
        str, typer.Argument(metavar="PAPER", help="contrastive-attention, cia-net, wcl or cross-attention.")
    ],
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A table of the paper; `first` and `decoders` are our own.")
    ],
    data: Annotated[
        str, typer.Option("--data", help="phantom:standard, or nih14-cv:/path.", autocompletion=complete.sources)
    ] = "phantom:standard",
    rows: Annotated[
        str, typer.Option("--rows", help="Comma between rows, such as nic-none,nic-normal; default all.")
    ] = "",
    seeds: Annotated[str, typer.Option("--seeds", help="Comma between seeds; default those of the plan.")] = "",
    published: Annotated[
        bool,
        typer.Option("--published", help="Print the paper's own figures and what is known of them; run nothing."),
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print published and measured of what is recorded; run nothing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the expected hours and do nothing.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the records.")] = Path("results"),
    runs: Annotated[Path, typer.Option("--runs", help="Folder for the run folders.")] = Path("runs"),
    plan: Annotated[Path | None, typer.Option("--plan", help="Another file of rows.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change one value in every row.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="A rehearsal: so many test studies and twins only.")
    ] = None,
    cache: output.Cache = None,
) -> None:
    """Run the rows of a table that are not recorded yet, then print published and measured side by side."""
    if published:
        _print_published(said, paper, table)
        return
    # Imported here, and what trains only after the request is known to be right: PyTorch takes seconds.
    from contrastcxr.data.sources import parse_data
    from contrastcxr.reproduce import Places, find_plan, task_of

    task = task_of(*find_plan(paper, table, path=plan), parse_data(data), overrides=set_ or ())
    chosen = task.rows(wanted=output.parts(rows), seeds=_numbers(seeds))
    places = Places(results=out, runs=runs, cache=cache or default_cache())
    if dry_run:
        _print_hours(said, chosen, places.recorded(task, _numbers(seeds)))
        return
    if show:
        _print_table(said, task, places, table=table, seeds=_numbers(seeds))
        return
    from contrastcxr.reproduce.rows import Limits, run_rows

    limits = Limits(test=limit, twins=limit)
    failed = run_rows(task, chosen, places=places, limits=limits)
    _print_table(said, task, places, table=table, seeds=_numbers(seeds))
    said.result(str(places.record(task, chosen[0]).parent))
    _complain(said, failed)


def _complain(said: output.Output, failed: Sequence[tuple[Row, str]]) -> None:
    for row, reason in failed:
        said.complain(f"failed: {row.stem}: {reason}")
    said.fail_if(failed)


def _print_hours(said: output.Output, rows: Sequence[Row], done: Sequence[Record]) -> None:
    from contrastcxr.reproduce.estimate import expect, in_words

    expected = expect(rows, done)
    for line in in_words(expected, len(done)):
        said.result(line)
    said.result_json([{"row": e.row.stem, "seconds": e.seconds, "basis": e.basis} for e in expected])


def _print_table(said: output.Output, task: Task, places: Places, *, table: str, seeds: Sequence[int]) -> None:
    """Print the published tables beside what is recorded, and keep them in `TABLE.md` among the records."""
    from contrastcxr.reproduce.shown import meaning, table_rows, write_tables
    from contrastcxr.reproduce.side_by_side import side_by_side

    done = places.recorded(task, seeds)
    found = side_by_side(task, places, seeds=seeds)
    for part in found:
        said.result(f"{part.published} beside {part.data}: {part.title}")
        said.result("\n".join((output.table(table_rows(part)), *meaning(part), "")))
    if found and done:
        write_tables(found, places.folder(task) / f"{table}.md")
    rows = [{"row": record.row, "seed": record.seed} for record in done]
    said.result_json({"recorded": rows, "tables": [part.to_dict() for part in found]})


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
