"""Studies to look at: the best and the worst, both texts side by side, with what agrees and what does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from contrastcxr.data.pixels import load_pixels
from contrastcxr.errors import InputError
from contrastcxr.evaluation.report.localization import overlay, place_rows
from contrastcxr.form import Finding, Status, Study
from contrastcxr.metrics.bootstrap import Floats, divide
from contrastcxr.metrics.clinical import STATUS_CODES
from contrastcxr.text.clean import split_sentences
from contrastcxr.vocab.labels import NO_FINDING
from contrastcxr.write.overlay import picture_uri

if TYPE_CHECKING:
    from contrastcxr.evaluation.references import References
    from contrastcxr.evaluation.report.material import Material
    from contrastcxr.metrics.table import Answer, StudyTable

SHOWN = 4
SIDE = 320
"""Longest side of an embedded picture, in pixels."""
PERFECT = 1 - 1e-9

AGREED, MISSED, INVENTED = "agreed", "missed", "invented"
MARKS = {AGREED: "✓", MISSED: "–", INVENTED: "+"}
_SAID = {"absent": "denied", "uncertain": "called uncertain", "unmentioned": "not mentioned"}

Values = dict[str, Any]


def case_values(table: StudyTable, material: Material) -> list[Values]:
    """Return the best and the worst studies; no study is both."""
    if table.rouge_l is None and table.claimed is None and table.iou is None:
        return []
    best, worst = extremes(table, _keys(material))
    groups = (("Best", best), ("Worst", worst))
    return [
        {"title": title, "studies": [_case(i, table, material) for i in places]}
        for title, places in groups
        if places
    ]


def _keys(material: Material) -> list[str]:
    """Return what makes studies alike, of which one is shown: the reference's report, else nothing."""
    pairs = zip(material.wanted, material.references.ids, strict=True)
    return [study if answer.report is None else answer.report for answer, study in pairs]


def ranked_by(table: StudyTable) -> str:
    """Return how studies are put in order, in words."""
    if table.rouge_l is None and table.claimed is None:
        return "by the mean IoU of the findings with a reference box; studies without one are left out"
    if table.truth is None or table.claimed is None:
        return "by ROUGE-L, since no findings can be compared"
    return "by findings missed or invented, then called right, then by ROUGE-L; of equal references the first"


def extremes(table: StudyTable, texts: Sequence[str], *, shown: int = SHOWN) -> tuple[list[int], list[int]]:
    """Return the places of the best studies, best first, and of the worst, worst first.

    Of few studies, each side gets half.

    Args:
        table: of the system.
        texts: the references; of studies whose references are equal the first of each side is shown.
        shown: studies on each side at most.
    """
    errors, hits = _errors_and_hits(table)
    likeness = _likeness(table)
    known = np.isfinite(likeness)
    few = min(shown, max(1, int(known.sum()) // 2))
    ranked = [int(i) for i in np.lexsort((-likeness, -hits, errors)) if known[i]]
    best = _differing(ranked, texts)[:few]
    order = [int(i) for i in np.lexsort((likeness, hits, -errors)) if known[i]]
    flawed = [i for i in order if i not in best and (errors[i] or likeness[i] < PERFECT)]
    return best, _differing(flawed, texts)[:few]


def _likeness(table: StudyTable) -> Floats:
    """Return how near each study is to its reference: ROUGE-L, else mean IoU, which is NaN without a box."""
    if table.rouge_l is not None or table.iou is None:
        return np.zeros(len(table)) if table.rouge_l is None else table.rouge_l
    return mean_iou(table.iou)


def mean_iou(iou: Floats) -> Floats:
    """Return the mean IoU `[S]` over the findings with a reference box; NaN where there is none."""
    known = np.isfinite(iou)
    return divide(np.where(known, iou, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def _differing(places: Iterable[int], texts: Sequence[str]) -> list[int]:
    """Return the places in their order, the first of each text alone."""
    first: dict[str, int] = {}
    for place in places:
        first.setdefault(texts[place], int(place))
    return list(first.values())


def _errors_and_hits(table: StudyTable) -> tuple[Any, Any]:
    if table.truth is None or table.claimed is None:
        none = np.zeros(len(table), np.int64)
        return none, none
    columns = [k for k, name in enumerate(table.names) if name != NO_FINDING]
    truth, claimed = (codes[:, columns] == STATUS_CODES["present"] for codes in (table.truth, table.claimed))
    return (truth != claimed).sum(axis=1), (truth & claimed).sum(axis=1)


def _case(place: int, table: StudyTable, material: Material) -> Values:
    references, study = material.references, material.references.studies[place]
    wanted, said = material.wanted[place], material.answers["system"][place]
    return {
        "study_id": study.study_id,
        "figure": _figure(place, table),
        **_picture(study, wanted, said, material),
        "chips": chips(wanted.findings, said.findings),
        "places": place_rows(wanted.places, said.places, table.names) if wanted.places and said.places else [],
        "texts": [
            {"title": title, "parts": marked(own, other, references, differing=differing)}
            for title, own, other, differing in (
                ("Reference", wanted, said, MISSED),
                ("This system", said, wanted, INVENTED),
            )
            if own.report is not None
        ],
        "compared": wanted.findings is not None and said.findings is not None,
    }


def _figure(place: int, table: StudyTable) -> str:
    if table.rouge_l is not None:
        return f"ROUGE-L {table.rouge_l[place]:.2f}"
    return "" if table.iou is None else f"mean IoU {mean_iou(table.iou)[place]:.2f}"


def _picture(study: Study, wanted: Answer, said: Answer, material: Material) -> Values:
    """Return the first view, small, with the boxes of a localizer over it, or why there is none."""
    if not material.shows_pictures:
        return {"src": None, "why": "picture not embedded: the terms of the data do not let it be passed on"}
    try:
        pixels = load_pixels(study.views[0])
    except InputError:
        return {"src": None, "why": "picture is not there"}
    shape, names = (pixels.shape[0], pixels.shape[1]), material.references.names
    over = overlay(wanted.places, said.places, names, shape=shape) if wanted.places and said.places else ""
    return {"src": picture_uri(pixels, max_side=SIDE, quality=80), "why": "", "overlay": over}


def chips(wanted: Sequence[Finding] | None, said: Sequence[Finding] | None) -> list[Values]:
    """Return what both call, what is missed (and how), and what is invented."""
    if wanted is None or said is None:
        return []
    there, called = _status(wanted), _status(said)
    present = [{n for n, status in side.items() if status == "present"} for side in (there, called)]
    return [
        *({"kind": AGREED, "name": n, "how": ""} for n in sorted(present[0] & present[1])),
        *({"kind": MISSED, "name": n, "how": _how(called, n)} for n in sorted(present[0] - present[1])),
        *(
            {"kind": INVENTED, "name": n, "how": f"reference: {_how(there, n)}"}
            for n in sorted(present[1] - present[0])
        ),
    ]


def marked(own: Answer, other: Answer, references: References, *, differing: str) -> list[Values]:
    """Return a report in sentences, each marked by the findings it calls present.

    The mark tells whether a finding is shared with the other side or not.
    """
    if own.findings is None or other.findings is None:
        return [{"text": own.words, "kind": "", "names": ""}] if own.report else []
    shared, mine = _present(other.findings), _present(own.findings)
    parts = []
    for sentence in split_sentences(own.words):
        named = _present(references.findings_in(sentence) or ()) & mine
        kind = (AGREED if named <= shared else differing) if named else ""
        parts.append({"text": sentence, "kind": kind, "names": ", ".join(sorted(named))})
    return parts


def _how(statuses: dict[str, Status], name: str) -> str:
    return _SAID.get(statuses.get(name, "unmentioned"), "not mentioned")


def _status(findings: Sequence[Finding]) -> dict[str, Status]:
    """Return the strongest statement on each finding."""
    found: dict[str, Status] = {}
    for finding in sorted(findings, key=lambda finding: STATUS_CODES[finding.status]):
        if finding.name != NO_FINDING:
            found[finding.name] = finding.status
    return found


def _present(findings: Sequence[Finding]) -> set[str]:
    return {f.name for f in findings if f.status == "present" and f.name != NO_FINDING}
