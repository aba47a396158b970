"""How long the rows that are still to run will take: from recorded rows like them, else a labelled guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contrastcxr.reproduce.plan import BASELINES, Row
from contrastcxr.reproduce.record import Record
from contrastcxr.reproduce.task import PriorRun, Task

GUESSED_SECONDS: Mapping[str, float] = {
    BASELINES: 300.0,
    "nic": 420.0,
    "transformer": 1800.0,
    "cam": 600.0,
    "li2018": 600.0,
    "align": 0.0,
}
"""Where nothing is recorded: 3,000 reports an epoch at about 140 (nic) and 32 (transformer) a second on two cores,
fifteen epochs, and reading the test and twin studies; of cam about 40 seconds an epoch, and to choose a cut some
minutes; of li2018 10 to 30 seconds an epoch, and of an aligner nothing, which is no row.
A guess, printed as one."""
READING = 60.0
"""Likewise, to read some tens of pictures with the models of five folds."""
WITHOUT_WORDS = 600.0
"""Likewise, to train a detector or an aligner that rows take something from."""
ENCODING = "first every picture is drawn and encoded once, 0.2 to 0.6 s each on two cores: not counted"


@dataclass(frozen=True)
class Expectation:
    """Seconds that a row will take, or a run that is trained before it, and where the figure comes from."""

    name: str
    seconds: float
    basis: str
    before: bool = False


def expect(rows: Sequence[Row], records: Sequence[Record], *, trained: bool = True) -> list[Expectation]:
    """Return the expected seconds of each row that is not among the records; untrained ones are read alone."""
    done = {(record.row, record.seed) for record in records}
    return [_expect(row, records, trained=trained) for row in rows if (row.name, row.seed) not in done]


def expect_before(task: Task, rows: Sequence[Row]) -> list[Expectation]:
    """Return the guessed seconds of the runs behind rows that the cache lacks, but those that a row is."""
    missing = {run.folder: run for row in rows for run in task.prior_runs(row) if not run.done}
    own = {run.folder for row in rows if missing and (run := task.same_run(row)) is not None}
    return [_expect_before(run) for folder, run in missing.items() if folder not in own]


def in_words(expected: Sequence[Expectation], recorded: int) -> list[str]:
    """Return the dry run as lines, the total last."""
    lines = [f"{e.name}: {e.seconds / 3600:.2f} h ({e.basis})" for e in expected]
    hours = sum(e.seconds for e in expected) / 3600
    guessed = sum(e.basis.startswith("guess") for e in expected)
    before = sum(e.before for e in expected)
    first = f", {_counted(before, 'run')} to train first" if before else ""
    said = f"{_counted(len(expected) - before, 'row')} to run{first}, {recorded} recorded: about {hours:.1f} h"
    lines += [ENCODING] if expected and not recorded else []
    return [*lines, said + (f"; {guessed} of them by guess" if guessed else ", from recorded rows")]


def _expect(row: Row, records: Sequence[Record], *, trained: bool) -> Expectation:
    same = [r for r in records if r.row == row.name]
    like = same or [r for r in records if _kind(r.row.partition("-")[0]) == _kind(row.system)]
    if like:
        mean = sum(sum(r.seconds.values()) for r in like) / len(like)
        return Expectation(row.stem, mean, f"mean of {_counted(len(like), 'recorded row')} like it")
    return Expectation(row.stem, _guess(_kind(row.system)) if trained else READING, "guess, nothing recorded")


def _expect_before(run: PriorRun) -> Expectation:
    decoder = run.config.decoder
    seconds = WITHOUT_WORDS if decoder is None else _guess(decoder.kind)
    return Expectation(run.folder.name, seconds, "guess, trained before rows that need it", before=True)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _kind(system: str) -> str:
    """Return what a system is without its setting: `cam@tuned+nic` is trained as `cam+nic` is."""
    return "+".join(part.partition("@")[0] for part in system.split("+"))


def _guess(kind: str) -> float:
    """Return the guess for a system, the sum for one of several heads."""
    most = max(GUESSED_SECONDS.values())
    return sum(GUESSED_SECONDS.get(part, most) for part in kind.split("+"))
