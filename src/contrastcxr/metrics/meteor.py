"""METEOR 1.5 through the Java program that `pycocoevalcap` ships; an empty row with a reason where it cannot run.

Java is asked for nothing but the match counts of each pair; the score is computed here from summed counts
(Denkowski and Lavie 2014, English parameters), which gives the value of the program and makes the bootstrap
cheap.  One Java process serves a whole call, always ends with it, and is killed when it takes too long.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrastcxr.metrics.bootstrap import Floats, Statistic, divide

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
MODULE_WEIGHTS = np.asarray([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase
COUNTS = 23
_START_SECONDS, _SECONDS_A_PAIR = 90.0, 0.25
_JAR = Path("meteor") / "meteor-1.5.jar"


@dataclass(frozen=True)
class MeteorCounts:
    """Match counts per study `[S, 23]`, or the reason why there are none."""

    counts: Floats | None
    reason: str | None = None

    def statistic(self) -> Statistic:
        """Return corpus METEOR as a statistic of study weights; only where there are counts."""
        counts = self.counts
        if counts is None:
            raise ValueError(f"no METEOR counts: {self.reason}")
        return lambda weights: score_from_totals(weights @ counts)


def meteor_counts(
    references: Sequence[str], candidates: Sequence[str], *, java: str | None = None, seconds: float | None = None
) -> MeteorCounts:
    """Return the counts of every pair of reference and candidate, from one Java process.

    Args:
        references: one text a study; line breaks and `|||`, which the program reads as commands, are taken out.
        candidates: one text a study.
        java: the Java program; by default the one on the PATH.
        seconds: time-out of the call; by default 90 and a quarter of a second for each pair.
    """
    program, jar = java or shutil.which("java"), _jar()
    if program is None:
        return MeteorCounts(None, "METEOR needs Java, which is not on this machine's PATH")
    if jar is None:
        return MeteorCounts(None, "METEOR needs pycocoevalcap; install contrastcxr[metrics]")
    limit = _START_SECONDS + _SECONDS_A_PAIR * len(references) if seconds is None else seconds
    lines = [f"SCORE ||| {_plain(r)} ||| {_plain(c)}" for r, c in zip(references, candidates, strict=True)]
    return _ask(program, jar, lines, seconds=limit)


def score_from_totals(totals: Floats) -> Floats:
    """Return METEOR, `[...]`, from summed counts `[..., 23]`."""
    words = totals[..., 0:4]  # candidate, reference; function words of candidate, of reference
    content = totals[..., 4:20].reshape(*totals.shape[:-1], 4, 4)  # [..., module, (content c, r; function c, r)]
    matched = np.einsum("...mk,m->...k", content, MODULE_WEIGHTS)
    precision = _weighted_share(matched[..., 0], matched[..., 2], words[..., 0], words[..., 2])
    recall = _weighted_share(matched[..., 1], matched[..., 3], words[..., 1], words[..., 3])
    f_mean = divide(precision * recall, ALPHA * precision + (1 - ALPHA) * recall, undefined=0.0)
    penalty = GAMMA * _fragmentation(totals) ** BETA
    result: Floats = f_mean * (1 - penalty)
    return result


def _weighted_share(content: Floats, function: Floats, words: Floats, function_words: Floats) -> Floats:
    total = DELTA * (words - function_words) + (1 - DELTA) * function_words
    return divide(DELTA * content + (1 - DELTA) * function, total, undefined=0.0)


def _fragmentation(totals: Floats) -> Floats:
    """Return the chunks per matched word."""
    return divide(totals[..., 20], (totals[..., 21] + totals[..., 22]) / 2, undefined=0.0)


def _without_whole_chunks(counts: Floats) -> Floats:
    """Return the counts in which a pair that matches as one whole adds no chunk, as the program adds them up."""
    whole = (counts[:, 21] == counts[:, 0]) & (counts[:, 22] == counts[:, 1]) & (counts[:, 20] == 1)
    counts[whole, 20] = 0
    return counts


def _ask(program: str, jar: Path, lines: list[str], *, seconds: float) -> MeteorCounts:
    # The program misreads a path with spaces where it looks for its own table, so it is told where that is.
    table = jar.parent / "data" / "paraphrase-en.gz"
    command = [program, "-Xmx1G", "-jar", str(jar), "-", "-", "-stdio", "-l", "en", "-norm", "-a", str(table)]
    try:
        done = subprocess.run(
            command,
            input="\n".join(lines) + "\n",
            capture_output=True,
            encoding="utf-8",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return MeteorCounts(None, f"METEOR did not answer within {seconds:.0f} s and was ended")
    except OSError as error:
        return MeteorCounts(None, f"METEOR could not start Java ('{program}'): {error.strerror}")
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode != 0 or len(rows) != len(lines) or any(len(row) != COUNTS for row in rows):
        return MeteorCounts(None, f"METEOR answered {len(rows)} of {len(lines)} pairs (exit {done.returncode})")
    return MeteorCounts(_without_whole_chunks(np.asarray(rows, np.float64).reshape(len(rows), COUNTS)))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|||", " ")).strip()


def _jar() -> Path | None:
    spec = importlib.util.find_spec("pycocoevalcap")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return next((Path(f) / _JAR for f in folders if (Path(f) / _JAR).is_file()), None)
