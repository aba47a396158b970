"""`contrastcxr compare EVAL_A EVAL_B`: two evaluations of the same studies, score by score."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contrastcxr import api
from contrastcxr.cli import output
from contrastcxr.files import atomic_write

if TYPE_CHECKING:
    from contrastcxr.evaluation.compare import SystemComparison
    from contrastcxr.metrics.bootstrap import Interval


@output.verb
def compare(
    said: output.Output,
    first: Annotated[Path, typer.Argument(metavar="EVAL_A", help="A folder that `contrastcxr evaluate` wrote.")],
    second: Annotated[Path, typer.Argument(metavar="EVAL_B", help="Another.")],
    scores: Annotated[
        str,
        typer.Option("--scores", help="Comma between scores, such as bleu_4,positive_f1; default the table's."),
    ] = "",
    allow_different: Annotated[
        bool, typer.Option("--allow-different", help="Compare although the signatures differ, on shared studies.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write comparison.json here.")] = None,
    seed: output.Seed = 0,
) -> None:
    """Say by how much two systems differ, with paired intervals and tests corrected over the table."""
    wanted = output.parts(scores)
    found = api.compare(first, second, scores=wanted, allow_different=allow_different, seed=seed)
    said.result(_table(found))
    for note in (*found.notes, _MEANING):
        said.result(note)
    said.result_json(found.to_dict())
    if out is not None:
        with atomic_write(out / "comparison.json") as file:
            json.dump(found.to_dict(), file, indent=1)


NONE = "–"
"""What stands for a figure that is undefined; the reason stands below the table."""
_MEANING = (
    "Differences are A minus B with 95% paired bootstrap intervals over patients; p by approximate randomisation, "
    "corrected by Holm over the rows. They speak of other patients, not of other seeds: each side is one training."
)


def _table(found: SystemComparison) -> str:
    from contrastcxr.metrics.sheet import ROWS

    return output.table(
        [
            {
                "score": ROWS.get(score.name, score.name),
                "A": score.first.text(),
                "B": score.second.text(),
                "A - B": _signed(score.difference.value),
                "95% interval": _ends(score.difference),
                "p": _chance(score.p),
                "p (Holm)": _chance(score.p_holm),
            }
            for score in found.scores
        ]
    )


def _ends(difference: Interval) -> str:
    if not (math.isfinite(difference.low) and math.isfinite(difference.high)):
        return NONE
    return f"{_signed(difference.low)} to {_signed(difference.high)}"


def _chance(p: float) -> str:
    return f"{p:.4f}" if math.isfinite(p) else NONE


def _signed(value: float) -> str:
    if not math.isfinite(value):
        return NONE
    figure = f"{value:+.3f}"
    return figure.replace("0.", ".", 1) if figure[1:3] == "0." else figure
