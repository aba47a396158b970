"""The papers' claim on twins: what Contrastive Attention leaves of an image answers to disease more than to pose.

Twins are four phantoms of one anatomy: normal, with a lesion, in another pose, and the lesion mirrored.  With
`R(f) = ‖f(lesion) − f(normal)‖ / ‖f(pose) − f(normal)‖` the claim holds only if `R(v^d) > R(v̂)`, of paper B
`R(ΔM) > R(F)`, by paired bootstrap (docs/design/phantoms.md; the papers only state it).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrastcxr.form import Finding, Side
from contrastcxr.metrics.bootstrap import (
    REPLICATES,
    Floats,
    Interval,
    Statistic,
    divide,
    interval,
    paired_difference,
    ratio_of,
    study_weights,
)

PAIRS = (("pooled", "difference"), ("patches", "difference_map"))
"""What contrast is given, and what it makes of it: `v̂` and `v^d` of paper A, `F` and `ΔM` of paper B."""
_OPPOSITE: dict[Side, Side] = {"left": "right", "right": "left"}


def lesion_to_pose(
    normal: NDArray[np.floating], lesion: NDArray[np.floating], pose: NDArray[np.floating]
) -> Floats:
    """Return `R` of each quadruple, `[Q]`, from features `[Q, d]` of three twins.

    NaN where pose changes nothing.
    """
    moved = np.linalg.norm(np.asarray(lesion, np.float64) - normal, axis=1)
    turned = np.linalg.norm(np.asarray(pose, np.float64) - normal, axis=1)
    return divide(moved, turned)


@dataclass(frozen=True)
class Claim:
    """`R` before contrast and of what it makes, as geometric means over quadruples, with intervals.

    Attributes:
        pooled: of `v̂`, or of paper B's patches `F`.
        difference: of `v^d`, or of `ΔM`.
        gain: the second over the first, less 1, paired; above zero with its whole interval is what is claimed.
    """

    pooled: Interval
    difference: Interval
    gain: Interval

    @property
    def holds(self) -> bool:
        """True when the whole interval of the gain lies above zero."""
        return self.gain.low > 0


def pair_of(names: Collection[str]) -> tuple[str, str] | None:
    """Return the two of these names that the claim compares, as in `PAIRS`; None without contrast."""
    return next((pair for pair in PAIRS if set(pair) <= set(names)), None)


def compare_ratios(
    pooled: Sequence[Floats], difference: Sequence[Floats], *, replicates: int = REPLICATES, seed: int = 0
) -> Claim:
    """Compare `R` before contrast and of what it makes by paired bootstrap over quadruples.

    Args:
        pooled: `[Q]` ratios of `v̂` or `F`, one array per seed, all over the same quadruples.
        difference: `[Q]` ratios of `v^d` or `ΔM`, likewise.
        replicates: bootstrap draws.
        seed: of the draws.
    """
    before, after = _log_mean(pooled), _log_mean(difference)
    weights = study_weights([str(k) for k in range(len(before))], replicates=replicates, seed=seed)
    first, second = _weighted(before), _weighted(after)
    gain = paired_difference(second, first, weights)
    return Claim(
        pooled=_exponential(interval(first, weights), shift=0),
        difference=_exponential(interval(second, weights), shift=0),
        gain=_exponential(gain, shift=1),
    )


def swapped_sides(
    truth: Sequence[Sequence[Finding]],
    lesion: Sequence[Sequence[Finding]],
    mirrored: Sequence[Sequence[Finding]],
) -> NDArray[np.int64]:
    """Return counts `[Q, 2]` of the true findings called with a side on both twins of a quadruple.

    The first count is of those whose side swaps, the second of them all.

    Args:
        truth: findings of the lesion twin, stated by the reference.
        lesion: what the system says of the lesion twin.
        mirrored: what it says of the mirrored twin.
    """
    rows = [_swaps(*said) for said in zip(truth, lesion, mirrored, strict=True)]
    return np.asarray(rows, np.int64).reshape(len(rows), 2)


def swap_share(counts: NDArray[np.int64], *, replicates: int = REPLICATES, seed: int = 0) -> Interval:
    """Return the share of findings called with a side on both twins whose side word swaps; NaN where none is."""
    weights = study_weights([str(k) for k in range(len(counts))], replicates=replicates, seed=seed)
    found = interval(ratio_of(counts[:, 0], counts[:, 1]), weights)
    return Interval(found.value, found.low, found.high, int(counts[:, 1].sum()))


def _swaps(truth: Sequence[Finding], lesion: Sequence[Finding], mirrored: Sequence[Finding]) -> tuple[int, int]:
    names = [f.name for f in truth if f.status == "present" and f.side in _OPPOSITE]
    pairs = [(_side(lesion, name), _side(mirrored, name)) for name in dict.fromkeys(names)]
    sided = [(one, other) for one, other in pairs if one in _OPPOSITE and other is not None]
    return sum(_OPPOSITE[one] == other for one, other in sided if one is not None), len(sided)


def _side(findings: Sequence[Finding], name: str) -> Side | None:
    called = [f.side for f in findings if f.name == name and f.status == "present" and f.side is not None]
    return called[0] if len(called) == 1 else None


def _log_mean(parts: Sequence[Floats]) -> Floats:
    """Return the mean over seeds of the logarithm of each quadruple's ratio, `[Q]`.

    NaN where a ratio is nil or undefined.
    """
    stacked = np.stack([np.asarray(part, np.float64) for part in parts])
    logs = np.full(stacked.shape, np.nan)
    np.log(stacked, out=logs, where=stacked > 0)
    mean: Floats = logs.mean(axis=0)
    return mean


def _weighted(values: Floats) -> Statistic:
    known = np.isfinite(values)
    return ratio_of(np.where(known, values, 0.0), known)


def _exponential(found: Interval, *, shift: int) -> Interval:
    value, low, high = (float(np.exp(x)) - shift for x in (found.value, found.low, found.high))
    return Interval(value, low, high, found.n)
