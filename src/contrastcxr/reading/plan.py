"""What a decoder planned or retrieved, as the evidence of a reading has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from contrastcxr.form import PlannedSentence, Tag, TagShare
from contrastcxr.reading.sentences import Sentence

TAGS_OF_A_SENTENCE = 3
_DECIMALS = 4


def planned(
    plan: Mapping[str, np.ndarray],
    sentences: Sequence[Sentence],
    *,
    sources: Sequence[Sequence[str]] = (),
    tags: Sequence[str] = (),
) -> tuple[PlannedSentence, ...]:
    """Return what was planned of each sentence that stands in the report; nothing where nothing was planned.

    Args:
        plan: of one study, from `GeneratedReports.plan`, by place in the plan: `stop`, `topic_cosine`, `abnormal`,
            `tag_attention` over `kept_tags`, or `retrieved` with `scores`.
        sentences: of the report, each with its place in the plan.
        sources: per sentence of a library, the studies it comes from.
        tags: names of the tags that the decoder predicts.
    """
    places = [sentence.planned for sentence in sentences if sentence.planned is not None]
    return tuple(
        PlannedSentence(
            stop=_number(plan, "stop", place),
            abnormal=_number(plan, "abnormal", place),
            topic=_number(plan, "topic_cosine", place) if place else None,
            tags=_looked_at(plan, place, tags),
            score=_number(plan, "scores", place),
            studies=tuple(sources[int(plan["retrieved"][place])]) if "retrieved" in plan and sources else (),
        )
        for place in places
    )


def predicted_tags(plan: Mapping[str, np.ndarray], names: Sequence[str]) -> tuple[Tag, ...]:
    """Return the tags that were attended to; `plan` has log-probabilities `tags [L]` and `kept_tags [M]`."""
    if "kept_tags" not in plan or not names:
        return ()
    kept = plan["kept_tags"].tolist()
    return tuple(Tag(name=names[tag], probability=_rounded(np.exp(plan["tags"][tag]))) for tag in kept)


def _looked_at(plan: Mapping[str, np.ndarray], place: int, names: Sequence[str]) -> tuple[TagShare, ...]:
    """Return the tags that the topic at `place` looked at most, of `kept_tags [M]` by `tag_attention [S, M]`."""
    if "tag_attention" not in plan or not names:
        return ()
    shares = plan["tag_attention"][place]
    most = np.argsort(-shares, kind="stable")[:TAGS_OF_A_SENTENCE]
    return tuple(TagShare(name=names[int(plan["kept_tags"][m])], share=_rounded(shares[m])) for m in most)


def _number(plan: Mapping[str, np.ndarray], name: str, place: int) -> float | None:
    return _rounded(plan[name][place]) if name in plan else None


def _rounded(value: float) -> float:
    return round(float(value), _DECIMALS)
