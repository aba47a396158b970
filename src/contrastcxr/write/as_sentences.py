"""The sentences of a report as a page shows them: what each states, what was planned, how far it looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastcxr.form import Evidence, Finding, Mention, Reading, Report
from contrastcxr.text.clean import split_sentences
from contrastcxr.write.overlay import NEARLY_EVEN, cells_of, extremes

MARKS = {"present": "●", "uncertain": "◐", "absent": "○", "unmentioned": "·"}
_STUDIES = 3

Values = dict[str, Any]


def sentence_values(reading: Reading) -> list[Values]:
    """Return each sentence with its chips, its attention in words and its line of the plan."""
    report = reading.report
    texts = report.sentences or tuple(text for text in (report.findings, report.impression) if text)
    impression = _first_of_impression(report, texts)
    return [
        {
            "index": i,
            "text": text,
            "heading": "Impression" if i == impression else None,
            "attention": _sentence_attention(reading.evidence, i),
            "findings": _chips(reading.findings, i),
            "planned": _planned(reading.evidence, i),
        }
        for i, text in enumerate(texts)
    ]


def writes_no_report(reading: Reading) -> bool:
    """Return whether the model has no decoder and writes no report, where another's report is merely empty."""
    model = reading.provenance.get("model")
    silent = isinstance(model, Mapping) and "decoder" in model and model["decoder"] is None
    return silent and not (reading.report.sentences or reading.report.findings or reading.report.impression)


def _first_of_impression(report: Report, texts: Sequence[str]) -> int | None:
    """Return the index of the sentence that the impression begins with, where both sections are there."""
    before = len(split_sentences(report.findings))
    return before if report.impression and 0 < before < len(texts) else None


def _sentence_attention(evidence: Evidence, sentence: int) -> str:
    if sentence >= len(evidence.attention):
        return ""
    maps = evidence.attention[sentence]
    cells = cells_of(maps)
    low, high = (value * cells for value in extremes(maps))
    even = ", nearly even: points at no place" if high < NEARLY_EVEN else ""
    return f"this sentence {low:.1f}× to {high:.1f}×{even}"


def _planned(evidence: Evidence, index: int) -> str:
    """Return what the decoder knew of a sentence before its first word, in one line of words."""
    if index >= len(evidence.plan):
        return ""
    planned = evidence.plan[index]
    said = (
        planned.stop is not None and f"ends here {planned.stop:.0%}",
        planned.abnormal is not None and f"abnormal {planned.abnormal:.0%}",
        planned.topic is not None and f"topic {signed(planned.topic)}",
        planned.tags and "tags " + ", ".join(f"{tag.name} {tag.share:.0%}" for tag in planned.tags),
        planned.score is not None and f"retrieved, score {signed(planned.score)}",
        planned.studies and f"from {_some(planned.studies)}",
    )
    return " · ".join(part for part in said if part)


def _some(studies: Sequence[str]) -> str:
    more = len(studies) - _STUDIES
    return ", ".join(studies[:_STUDIES]) + (f" and {more} more" if more > 0 else "")


def plan_sources(evidence: Evidence) -> list[Values]:
    """Return all studies that a retrieved sentence comes from, where its own line has no room for them."""
    plan = enumerate(evidence.plan, start=1)
    return [
        {"sentence": number, "studies": ", ".join(planned.studies)}
        for number, planned in plan
        if len(planned.studies) > _STUDIES
    ]


def _chips(findings: Iterable[Finding], sentence: int) -> list[Values]:
    """Return what one sentence states: of each finding what it says itself, else what the finding says."""
    said: list[Values] = []
    for finding in findings:
        own = next((mention for mention in finding.mentions if mention.sentence == sentence), None)
        if own is not None:
            said.append(_chip(_as_said(finding, own)))
        elif sentence in finding.sentences:
            said.append(_chip(finding))
    return said


def _as_said(finding: Finding, own: Mention) -> Finding:
    """Return the finding as one of its sentences has it, beside what the finding head makes of the picture."""
    status = own.status
    if finding.probability is not None and finding.threshold is not None and status != "uncertain":
        status = "present" if finding.probability >= finding.threshold else "absent"
    said = own.model_dump(exclude={"sentence"})
    return finding.model_copy(update={**said, "status": status, "stated": own.status})


def _chip(finding: Finding) -> Values:
    """Return a finding as its sentence states it, whatever the image is said to show."""
    status = finding.stated or finding.status
    details = (finding.side, finding.zone, finding.severity, _size(finding.size_mm))
    return {
        **finding_values(finding),
        "status": status,
        "mark": MARKS[status],
        "details": [detail for detail in details if detail],
    }


def finding_values(finding: Finding) -> Values:
    """Return a finding as the reading settles it: by the finding head, where there is one."""
    return {
        "name": finding.name,
        "status": finding.status,
        "mark": MARKS[finding.status],
        "probability": finding.probability,
        "threshold": finding.threshold,
        "differs": _differs(finding),
        "stated": _stated(finding),
        "source": finding.source,
        "said": bool(finding.sentences),
    }


def _differs(finding: Finding) -> bool:
    """Return whether the head contradicts the report; a report that leaves out what is absent does not."""
    if finding.stated in {None, finding.status}:
        return False
    return finding.stated != "unmentioned" or finding.status == "present"


def _stated(finding: Finding) -> str:
    return "silent" if finding.stated in {None, "unmentioned"} else f"says {finding.stated}"


def _size(millimetres: float | None) -> str | None:
    return None if millimetres is None else f"{millimetres:g} mm"


def signed(value: float) -> str:
    """Return a number with its sign and two decimals."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
