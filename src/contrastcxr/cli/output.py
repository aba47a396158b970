"""What every verb says and how: results on standard output, everything else on standard error.

A progress bar on a terminal, plain lines otherwise, neither with `--quiet`.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")
SOME_FAILED = 1
"""The exit status of a command that could not do all of its work."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more; show where an error came from.")]
Seed = Annotated[int, typer.Option("--seed", help="Everything drawn at random follows from this number.")]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps …")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; default float32.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Folder for features; default $CONTRASTCXR_CACHE or .cache.")
]
Search = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="generate.A=B", help="Change the model's search, such as generate.method=votes."
    ),
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read a training state (last.ckpt) too, its weights only.")
]


@dataclass(frozen=True)
class Output:
    """How much one command says, and in which form."""

    quiet: bool = False
    as_json: bool = False
    verbose: bool = False

    def say(self, line: str) -> None:
        """Print a line for a person on standard error, unless quiet."""
        if not self.quiet:
            typer.echo(line, err=True)

    def complain(self, line: str) -> None:
        """Print a line on standard error, quiet or not."""
        typer.echo(line, err=True)

    def result(self, text: str) -> None:
        """Print what was asked for on standard output, unless quiet or JSON was asked for instead."""
        if not self.quiet and not self.as_json:
            typer.echo(text)

    def result_json(self, value: Any) -> None:
        """Print what was asked for as one JSON document, when JSON was asked for."""
        if self.as_json:
            typer.echo(json.dumps(value, ensure_ascii=False, indent=2))

    def fail_if(self, failed: object) -> None:
        """End with exit status 1 where anything failed; all else has been said."""
        if failed:
            raise typer.Exit(SOME_FAILED)

    def progress(self, steps: Iterable[T], *, total: int, doing: str) -> Iterator[T]:
        """Yield the same steps: beneath a bar on a terminal, else with a plain line at each tenth."""
        if self.quiet:
            return iter(steps)
        return _bar(steps, total, doing) if sys.stderr.isatty() else self._lines(steps, total, doing)

    def _lines(self, steps: Iterable[T], total: int, doing: str) -> Iterator[T]:
        spacing = max(1, total // 10)
        for done, step in enumerate(steps, start=1):
            yield step
            if done % spacing == 0 or done == total:
                self.say(f"{doing} {done}/{total}")


def _bar(steps: Iterable[T], total: int, doing: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import track

    yield from track(steps, total=total, description=doing, console=Console(stderr=True), transient=True)


class _Lines(logging.Handler):
    """The one handler of every command: our lines, warnings marked, and those of others behind their name."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line on what standard error is now."""
        ours, line = record.name.partition(".")[0] == _OURS.name, self.format(record)
        if ours and record.levelno >= logging.WARNING:
            line = f"warning: {line}"
        typer.echo(line if ours else f"{record.name}: {line}", err=True)


_OURS = logging.getLogger("contrastcxr")
_LINES = _Lines()
_CURRENT: ContextVar[Output | None] = ContextVar("output", default=None)


def current() -> Output:
    """Return the settings of the command that runs."""
    return _CURRENT.get() or Output()


def verb(run: Callable[..., None]) -> Callable[..., None]:
    """Make a command of a function that takes its `Output` first: the options of every verb follow its own."""

    @wraps(run)
    def command(*, quiet: bool, as_json: bool, verbose: bool, **own: Any) -> None:
        run(begin(quiet=quiet, as_json=as_json, verbose=verbose), **own)

    _said, *own = signature(run, eval_str=True).parameters.values()
    shared = signature(begin, eval_str=True).parameters
    options = [*own, *(shared[name] for name in ("quiet", "as_json", "verbose"))]
    command.__signature__ = signature(run).replace(parameters=options)  # type: ignore[attr-defined]
    return command


def begin(*, quiet: Quiet = False, as_json: Json = False, verbose: Verbose = False, fresh: bool = False) -> Output:
    """Join the options before the verb with those after it; `fresh` forgets an earlier command."""
    before = Output() if fresh else current()
    joined = Output(
        quiet=quiet or before.quiet, as_json=as_json or before.as_json, verbose=verbose or before.verbose
    )
    logging.getLogger().setLevel(logging.INFO if joined.verbose else logging.WARNING)
    _OURS.setLevel(logging.WARNING if joined.quiet else logging.INFO)
    logging.getLogger().addHandler(_LINES)  # once: it is the same handler
    _CURRENT.set(joined)
    return joined


@contextmanager
def as_found() -> Iterator[None]:
    """Leave logging, and how much is said, as they were found, for a program that runs commands in its process."""
    root = logging.getLogger()
    levels, before = (root.level, _OURS.level), _CURRENT.get()
    try:
        yield
    finally:
        root.removeHandler(_LINES)
        root.setLevel(levels[0])
        _OURS.setLevel(levels[1])
        _CURRENT.set(before)


def parts(text: str) -> tuple[str, ...]:
    """Return what stands between the commas of an option's value."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


_SHORT, _LEAST = 28, 14
"""Characters up to which a column of a table is kept whole, and that any other column has at least."""


def table(rows: Sequence[Mapping[str, object]], *, names: int = 1) -> str:
    """Return rows of equal keys as a table as wide as the terminal, in several where that is too narrow.

    Args:
        rows: short texts stay whole, long ones are folded.
        names: how many of the first columns say what a row is of; they stay whole too, and stand in each table.
    """
    heads = list(rows[0]) if rows else []
    widths = {head: max(len(head), *(len(str(row[head])) for row in rows)) for head in heads}
    kept = heads[:names]
    whole = {head for head in heads if widths[head] <= (_width() // 2 if head in kept else _SHORT)}
    taken = {head: (width if head in whole else _LEAST) + 2 for head, width in widths.items()}
    room, blocks = _width() - sum(taken[head] for head in kept), [list[str]()]
    for head in heads[names:]:
        if blocks[-1] and sum(taken[each] for each in (*blocks[-1], head)) > room:
            blocks.append([])
        blocks[-1].append(head)
    return "\n\n".join(_table(rows, [*kept, *block], whole) for block in blocks)


def _table(rows: Sequence[Mapping[str, object]], heads: Sequence[str], whole: Collection[str]) -> str:
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        made.add_column(head, overflow="fold", no_wrap=head in whole)
    for row in rows:
        made.add_row(*(escape_markup(str(row[head])) for head in heads))
    return render(made)


def _width() -> int:
    return min(shutil.get_terminal_size((110, 24)).columns, 140)


def render(made: object) -> str:
    """Return something of rich as text, at most 140 characters wide."""
    from rich.console import Console

    console = Console(width=_width(), highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(made)
    return captured.get().rstrip("\n")


def escape_markup(text: str) -> str:
    """Return text in which square brackets are square brackets."""
    from rich.markup import escape

    return escape(text)
