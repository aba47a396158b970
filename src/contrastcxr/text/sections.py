"""Raw report text becomes the sections of the form.

Headings are those of MIMIC-CXR's and IU X-ray's reports.  A heading opens a section when it starts a line in any
case, or stands inside a line in capitals, and ends in a colon.
"""

from __future__ import annotations

import re
from typing import Literal

from contrastcxr.form import Report
from contrastcxr.text.clean import clean, split_sentences

_HEADINGS = {
    "findings": "findings",
    "finding": "findings",
    "findings and impression": "findings",
    "findings/impression": "findings",
    "impression": "impression",
    "impressions": "impression",
    "conclusion": "impression",
    "opinion": "impression",
    "indication": "indication",
    "indications": "indication",
    "clinical indication": "indication",
    "history": "indication",
    "clinical history": "indication",
    "clinical information": "indication",
    "reason for exam": "indication",
    "reason for examination": "indication",
    "comparison": "comparison",
    "comparisons": "comparison",
    "comparison exam": "comparison",
    "technique": "other",
    "examination": "other",
    "exam": "other",
    "study": "other",
    "procedure": "other",
    "views": "other",
    "wet read": "other",
    "recommendation": "other",
    "recommendations": "other",
    "recommendation(s)": "other",
    "notification": "other",
    "signed by": "other",
}
_NAMES = "|".join(re.escape(name) for name in sorted(_HEADINGS, key=len, reverse=True))
_HEADING = re.compile(
    rf"(?:^[ \t]*(?P<line>(?i:{_NAMES}))|(?<=\s)(?P<inline>{_NAMES.upper()}))[ \t]*:"
    r"|^[ \t]*(?P<chest>(?:PORTABLE |AP |PA |FRONTAL |SINGLE |UPRIGHT )*CHEST[A-Z ,&\-]*):",
    re.MULTILINE,
)
_BANNER = re.compile(r"^[ \t]*(?:FINAL|PRELIMINARY|WET READ) (?:REPORT|VERSION.*)[ \t]*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
SaidSection = Literal["findings", "impression"]
_LONG = frozenset({"findings", "impression"})
_NONE_GIVEN = frozenset({"", "none", "none.", "n/a"})


def split_sections(raw: str) -> Report:
    """Return the sections of a raw report, cleaned, with `sentences` of findings then impression.

    A findings or impression section runs to the next heading; the others hold one paragraph, and what follows
    is free text.  Without a findings heading the findings are the text under a `CHEST …:` heading, else the free
    text, else, in a report without an impression either, the text before the first heading, else the last
    paragraph of all (ours).  A joint `FINDINGS AND IMPRESSION` is findings.
    """
    parts = _parts(_BANNER.sub("", raw.replace("\r\n", "\n")))
    findings = parts["findings"] or parts["chest"] or parts["free"]
    if not (findings or parts["impression"]):
        findings = parts["title"] or _PARAGRAPH.split(raw.strip())[-1]
    return report(
        findings=findings,
        impression=parts["impression"],
        indication=parts["indication"],
        comparison=parts["comparison"],
    )


def has_findings(raw: str) -> bool:
    """Return True when a raw report has a findings section of its own.

    Text under its heading counts, and text under `CHEST …:`.
    """
    parts = _parts(_BANNER.sub("", raw.replace("\r\n", "\n")))
    return bool(parts["findings"] or parts["chest"])


def report(*, findings: str, impression: str = "", indication: str = "", comparison: str = "") -> Report:
    """Return a `Report` of cleaned sections with its sentences filled in.

    A comparison with `none` is no comparison.
    """
    findings, impression = clean(findings), clean(impression)
    comparison = clean(comparison)
    return Report(
        findings=findings,
        impression=impression,
        indication=clean(indication),
        comparison="" if comparison.lower() in _NONE_GIVEN else comparison,
        sentences=(*split_sentences(findings), *split_sentences(impression)),
    )


def _parts(raw: str) -> dict[str, str]:
    parts = dict.fromkeys((*_HEADINGS.values(), "chest", "free", "title"), "")
    matches = list(_HEADING.finditer(raw))
    first = matches[0].start() if matches else len(raw)
    parts["title"] = raw[:first].strip()
    ends = [*(match.start() for match in matches[1:]), len(raw)]
    for match, end in zip(matches, ends, strict=False):
        body = raw[match.end() : end]
        _file(parts, _section(match), body)
    return parts


def _section(match: re.Match[str]) -> str:
    name = match["line"] or match["inline"]
    return _HEADINGS[name.lower()] if name else "chest"


def _file(parts: dict[str, str], section: str, body: str) -> None:
    if section in _LONG or section == "chest":
        parts[section] = _joined(parts[section], body)
        return
    first, *rest = _PARAGRAPH.split(body.strip(), maxsplit=1)
    parts[section] = _joined(parts[section], first)
    parts["free"] = _joined(parts["free"], *rest)


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip())


def said_ranges(raw: str) -> list[tuple[SaidSection, int, int]]:
    """Return the stretches `[start, end)` of a raw report that describe the picture, each with its section.

    Without headings that is the whole text, as findings.  What stands under another heading is left out, down to
    the first empty line; free text after it, and text before the first heading, count as findings.
    """
    matches = list(_HEADING.finditer(raw)) if ":" in raw else []
    if not matches:
        return [("findings", 0, len(raw))]
    ranges: list[tuple[SaidSection, int, int]] = [("findings", 0, matches[0].start())]
    ends = [*(match.start() for match in matches[1:]), len(raw)]
    for match, end in zip(matches, ends, strict=True):
        name, start = _section(match), match.end()
        if name == "impression":
            ranges.append(("impression", start, end))
            continue
        if name not in _LONG and name != "chest":
            gap = _PARAGRAPH.search(raw, start, end)
            start = gap.end() if gap else end
        ranges.append(("findings", start, end))
    return [one for one in ranges if one[1] < one[2]]
