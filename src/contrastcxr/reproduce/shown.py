"""A published table beside ours as rows of text, for a terminal and for a page of Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from contrastcxr.files import atomic_write
from contrastcxr.metrics.seeds import SeedDifference
from contrastcxr.metrics.sheet import ROWS
from contrastcxr.reproduce.plan import PLAIN
from contrastcxr.reproduce.side_by_side import SCORES, Change, RowScore, SideBySide, SystemLine

NOTHING = "–"
NAMES = 3
"""Columns of a published table beside ours that say what a line is of."""


def table_rows(found: SideBySide) -> list[dict[str, str]]:
    """Return one row of text per line, equal keys in all of them; all figures are fractions.

    How many seeds has a column where not all rows have the same ones; the paper has two where the table is its.
    """
    scale = 100.0 if found.percent else 1.0
    seeds_differ = len(_seed_sets(found)) > 1
    systems = _compares_systems(found)
    plain, other = ("other", "row") if systems else ("without", "with")
    return [
        {
            **_named(line, systems=systems),
            **({"seeds": _seeds(line)} if seeds_differ else {}),
            "score": ROWS.get(line.score or SCORES.get(line.metric, ("",))[0], line.metric),
            **(_published(line, scale, f"{plain} → {other}") if found.published else {}),
            f"ours, {plain}": _measured(line.measured[0]),
            f"ours, {other}": _measured(line.measured[1]),
            "our change (95%)": change_text(line.change),
            "p (Holm)": _p(line.change),
        }
        for line in found.lines
    ]


def _compares_systems(found: SideBySide) -> bool:
    return any(line.against is not None for line in found.lines)


def _named(line: SystemLine, *, systems: bool) -> dict[str, str]:
    """Return what a line is of: a decoder and its contrast, or where systems are compared both rows."""
    plain, row = line.rows
    return {"row": row, "other": plain} if systems else {"decoder": line.system, "with": line.contrast}


def _published(line: SystemLine, scale: float, which: str) -> dict[str, str]:
    return {
        f"published: {which}": " → ".join(_printed(figure, scale) for figure in line.published),
        "published change": _signed(line.published_change, scale),
    }


def heading(found: SideBySide) -> str:
    """Return what the table is: the published one and our data, or our own rows on them."""
    return f"{found.published} beside {found.data}" if found.published else f"rows compared on {found.data}"


def meaning(found: SideBySide) -> list[str]:
    """Return what the columns mean and what else a reader must know, a sentence or two a line."""
    sets = _seed_sets(found)
    every = ", ".join(map(str, sorted({seed for seeds in sets for seed in seeds}))) or "none yet"
    those = f"as many as named of {every}" if len(sets) > 1 else every
    tested = f"{found.tests} tests" if found.tests != 1 else "one test"
    change = "row minus the other one" if _compares_systems(found) else f"with minus without contrast ({PLAIN})"
    unit = "folds" if found.folds else "seeds"
    ours = f"all recorded folds ({those}) as one" if found.folds else f"mean over the recorded seeds ({those})"
    return [
        f"Ours: {ours} with a 95% bootstrap interval over patients. Change: "
        f"{change}, paired on the same patients and {unit}, with a 95% interval over {unit} and patients and its "
        f"p-value, Holm over {tested}.",
        *([_ALONE] if any(_is_alone(line) for line in found.lines) else []),
        *found.notes,
        *signed(found.signatures, found.recipe),
    ]


_ALONE = (
    "One seed: what another would change is not known, so there is no p-value and no verdict; the interval of "
    "such a change (p.) is over patients alone."
)


def _is_alone(line: SystemLine) -> bool:
    return line.change is not None and not line.change.difference.known


def signed(signatures: Sequence[str], recipe: str) -> list[str]:
    """Return the lines that say what figures are comparable with: each signature, and the rows' recipe."""
    return [f"signature: {signature}; recipe: {recipe}" for signature in signatures]


def write_tables(tables: Sequence[SideBySide], path: Path, *, first: Sequence[str] = ()) -> None:
    """Write published tables beside ours as one page of Markdown.

    Args:
        tables: in their order.
        path: of the page.
        first: parts of the page before them.

    Raises:
        OutputError: the page cannot be written.
    """
    with atomic_write(path) as file:
        file.write("\n".join([*first, *(markdown(table) for table in tables)]))


def markdown(found: SideBySide) -> str:
    """Return the table as Markdown, its title above and what it means below."""
    rows = table_rows(found)
    lines = [f"## {heading(found)}", "", f"{found.title}.", "", *markdown_table(rows, names=NAMES)]
    return "\n".join([*lines, "", *(f"- {said}" for said in meaning(found)), ""])


def markdown_table(rows: Sequence[Mapping[str, str]], *, names: int) -> list[str]:
    """Return rows of equal keys as lines of Markdown; the first columns are names, the others figures."""
    if not rows:
        return []
    columns = list(rows[0])
    lines = [_line(columns), _line(["---"] * names + ["---:"] * (len(columns) - names))]
    return lines + [_line(list(row.values())) for row in rows]


def _seed_sets(found: SideBySide) -> set[tuple[int, ...]]:
    return {each.seeds for line in found.lines for each in line.measured if each is not None}


def _seeds(line: SystemLine) -> str:
    """Return how many, of the row without and with contrast, said once where they agree."""
    said = (NOTHING if each is None else str(len(each.seeds)) for each in line.measured)
    return " → ".join(dict.fromkeys(said))


def _printed(value: float | None, scale: float) -> str:
    return NOTHING if value is None else _short(f"{value / scale:.3f}")


def _measured(found: RowScore | None) -> str:
    return NOTHING if found is None else found.score.text()


def _signed(value: float | None, scale: float = 1.0) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    return ("+" if value >= 0 else "-") + _short(f"{abs(value) / scale:.3f}")


def change_text(change: Change | None) -> str:
    """Return a change as text; nothing where there is none."""
    return NOTHING if change is None else difference_text(change.difference)


def difference_text(found: SeedDifference) -> str:
    """Return a difference and its interval, such as `-.029 (-.080 to +.022)`, or `(p. …)` over patients alone."""
    ends, which = (found, "") if found.known else (found.patients, "p. ")
    return f"{_signed(found.value)} ({which}{_signed(ends.low)} to {_signed(ends.high)})"


def _p(change: Change | None) -> str:
    if change is None:
        return NOTHING
    if not change.difference.known:
        return "one seed"
    return NOTHING if math.isnan(change.p_holm) else f"{change.p_holm:.4f}"


def _short(figure: str) -> str:
    return figure.removeprefix("0")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
