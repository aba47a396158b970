"""What a decoder planned or retrieved, as the evidence of a reading has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from contrastcxr.form import PlannedSentence, Tag

_DECIMALS = 4


def planned(
    plan: Mapping[str, np.ndarray], *, sources: Sequence[Sequence[str]] = ()
) -> tuple[PlannedSentence, ...]:
    """Return what is known of each sentence that was planned.

    Args:
        plan: of one study, from `Generated.plan`: `sentences`, and per sentence `stop`, `abnormal`,
            or `retrieved` with `scores`.
        sources: per sentence of a library, the studies it comes from.
    """
    return tuple(
        PlannedSentence(
            stop=_number(plan, "stop", place),
            abnormal=_number(plan, "abnormal", place),
            score=_number(plan, "scores", place),
            studies=tuple(sources[int(plan["retrieved"][place])]) if "retrieved" in plan and sources else (),
        )
        for place in range(int(plan.get("sentences", 0)))
    )


def predicted_tags(plan: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[Tag, ...]:
    """Return the tags that were attended to; `plan` has log-probabilities `tags [L]` and `kept_tags [M]`."""
    if "kept_tags" not in plan or not names:
        return ()
    kept = plan["kept_tags"].tolist()
    return tuple(Tag(name=names[tag], probability=_rounded(np.exp(plan["tags"][tag]))) for tag in kept)


def _number(plan: Mapping[str, np.ndarray], name: str, place: int) -> float | None:
    return _rounded(plan[name][place]) if name in plan else None


def _rounded(value: float) -> float:
    return round(float(value), _DECIMALS)
