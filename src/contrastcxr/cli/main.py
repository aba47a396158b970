"""The command `contrastcxr`: one verb per file, and the exit statuses.

0 all done; 1 some inputs failed or a result could not be written (listed, the rest done); 2 the request itself is
wrong; 130 interrupted. No module of this room imports torch before a verb needs it.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from keyword import iskeyword
from typing import Annotated

import typer

from contrastcxr.cli import output
from contrastcxr.cli.output import SOME_FAILED
from contrastcxr.errors import ContrastCXRError, RequestError, is_out_of_memory
from contrastcxr.version import __version__

VERBS = {
    "read": "contrastcxr.cli.read",
    "train": "contrastcxr.cli.train",
    "evaluate": "contrastcxr.cli.evaluate",
    "compare": "contrastcxr.cli.compare",
    "reproduce": "contrastcxr.cli.reproduce",
    "label": "contrastcxr.cli.label",
    "phantom": "contrastcxr.cli.phantom",
    "data": "contrastcxr.cli.data",
    "models": "contrastcxr.cli.models",
    "import": "contrastcxr.cli.import_",
    "doctor": "contrastcxr.cli.doctor",
}

DONE, WRONG_REQUEST, INTERRUPTED = 0, 2, 130


def build_app() -> typer.Typer:
    """Return the command with every verb mounted.

    A verb is the function of its name, or its own Typer app of verbs.
    """
    app = typer.Typer(
        name="contrastcxr",
        help="Reads chest radiographs by contrast. Research use; not a medical device.",
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_every_verb)
    for verb, module in VERBS.items():
        _mount(app, verb, module)
    return app


def _mount(app: typer.Typer, verb: str, module: str) -> None:
    command = getattr(import_module(module), f"{verb}_" if iskeyword(verb) else verb)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=verb, short_help=command.info.help)
    else:  # said whole; without a short help the list of verbs cuts their sentences off
        app.command(verb, short_help=(command.__doc__ or "").strip().splitlines()[0])(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"contrastcxr {__version__}")
        raise typer.Exit


def _every_verb(
    quiet: output.Quiet = False,
    as_json: output.Json = False,
    verbose: output.Verbose = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    output.begin(quiet=quiet, as_json=as_json, verbose=verbose, fresh=True)


def run(arguments: list[str] | None = None) -> int:
    """Run one command line (without the program's name) and return its exit status."""
    with output.as_found():
        return _run(arguments)


NO_MEMORY = "the memory of the GPU does not hold what is computed at once; choose the CPU, or another GPU"


def _run(arguments: list[str] | None) -> int:
    try:
        build_app()(args=arguments, prog_name="contrastcxr")
    except ContrastCXRError as error:
        return _report(error)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return _report(ContrastCXRError(NO_MEMORY))
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # Typer has seen the interruption before us
            return _interrupted()
        return stop.code if isinstance(stop.code, int) else SOME_FAILED
    return DONE


def _interrupted() -> int:
    typer.echo("interrupted; what was finished is kept", err=True)
    return INTERRUPTED


def _report(error: ContrastCXRError) -> int:
    if output.current().verbose:
        traceback.print_exception(error)
    typer.echo(f"error: {error}", err=True)
    return WRONG_REQUEST if isinstance(error, RequestError) else SOME_FAILED


def _nobody_reads() -> int:
    # `contrastcxr models | head -1` closes our output; Python would complain again at exit.
    sys.stdout = None
    return SOME_FAILED


def main() -> None:
    """Run the installed command."""
    sys.exit(run())
