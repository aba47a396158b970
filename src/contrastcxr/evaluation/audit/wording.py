"""What reports say that no system can see in one study: masked words and earlier studies; and how often a side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from contrastcxr.data.authors import is_normal, report_text
from contrastcxr.evaluation.audit.verdict import Check, share
from contrastcxr.form import Study

OFTEN = 0.05
"""Share of reports from which masked words or earlier studies are worth a warning (ours)."""
MASKED, PRIOR, SIDE, NORMAL = "masked words", "an earlier study", "a side", "normal studies"
_SAYS: Mapping[str, re.Pattern[str]] = {
    MASKED: re.compile(r"XXXX|_{2,}"),
    PRIOR: re.compile(r"\b(?:previous(?:ly)?|prior|comparison|compared|interval|unchanged|stable|again)\b", re.I),
    SIDE: re.compile(r"\b(?:left|right|bilateral(?:ly)?|bibasilar|biapical|lingular?)\b", re.I),
}
"""Words that show it (ours); a rule of thumb, so shares are rough."""


def wording(splits: Mapping[str, Sequence[Study]]) -> Check:
    """Return how many findings sections hold masked words, speak of an earlier study, or name a side; by split."""
    name = "what reports speak of"
    texts = {split: [text for study in studies if (text := _text(study))] for split, studies in splits.items()}
    texts = {split: found for split, found in texts.items() if found}
    if not texts:
        return Check(name, "not run", "no reports")
    rows = [_row(split, found, splits[split]) for split, found in texts.items()]
    every = [text for found in texts.values() for text in found]
    counts = {kind: _count(kind, every) for kind in _SAYS}
    loud = [kind for kind in (MASKED, PRIOR) if counts[kind] >= OFTEN * len(every)]
    said = "; ".join(f"{kind} in {share(count, len(every))}" for kind, count in counts.items())
    why = f"; a system that sees one study can only invent {' and '.join(loud)}" if loud else ""
    return Check(name, "warning" if loud else "ok", f"{said} of the reports{why}", rows)


def _row(split: str, texts: Sequence[str], studies: Sequence[Study]) -> dict[str, object]:
    counts = {kind: share(_count(kind, texts), len(texts)) for kind in _SAYS}
    return {"split": split, **counts, NORMAL: share(sum(map(is_normal, studies)), len(studies))}


def _count(kind: str, texts: Sequence[str]) -> int:
    return sum(bool(_SAYS[kind].search(text)) for text in texts)


def _text(study: Study) -> str:
    found = (
        report_text(r, sections=("findings",)) or report_text(r, sections=("impression",)) for r in study.readings
    )
    return next((text for text in found if text), "")
