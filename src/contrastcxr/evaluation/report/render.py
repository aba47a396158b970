"""The page: values of every section, poured into one template with its style inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from contrastcxr.evaluation.audit.verdict import Check, warnings_first
from contrastcxr.evaluation.report import cases, findings, headline, localization, texts
from contrastcxr.evaluation.report.forest import axis, key
from contrastcxr.evaluation.report.material import Material
from contrastcxr.metrics.calibration import BINS
from contrastcxr.metrics.table import writes
from contrastcxr.version import __version__
from contrastcxr.write.html import NOTICE, page_source, page_template

if TYPE_CHECKING:
    from contrastcxr.evaluation.result import Evaluation

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

Values = dict[str, Any]


def report_page(found: Evaluation, material: Material | None = None) -> str:
    """Return the page of an evaluation.

    Args:
        found: the scores.
        material: texts, studies and checks; without it the page has the figures alone.
    """
    page = {**_figures(found, material), **_words_and_studies(found, material)}
    css = Markup(page_source(__package__, "report.css"))
    fixed = {"css": css, "policy": POLICY, "notice": NOTICE, "version": __version__}
    return page_template(__package__, "report.html.j2").render(page, **fixed)


def _figures(found: Evaluation, material: Material | None) -> Values:
    cards = headline.cards(found, material.differences if material else {})
    system = found.systems["system"]
    return {
        "data": found.data,
        "split": found.split,
        "n": len(system.table),
        "patients": len(set(system.table.groups)),
        "described": system.description,
        "facts": found.facts,
        "signature": found.signature,
        "signature_parts": headline.signature_parts(found.signature),
        "systems": headline.readers(found),
        "trivial": [headline.NAMES.get(name, name) for name in headline.beside_words(found.systems)],
        "keys": {name: key(name) for name in found.systems},
        "cards": cards,
        "tally": headline.tally(cards),
        "scores": headline.all_scores(found.systems),
        "exchanged": headline.exchanged(found.systems),
        "empty_scores": headline.empty_scores(found.systems),
        "definitions": headline.definitions(found.systems),
        "every_count": headline.every_count(found.systems),
        "finding_rows": findings.finding_rows(found),
        "unspoken": findings.unspoken(found),
        "few": findings.FEW,
        "stated": system.table.claimed is not None,
        "localization": localization.localization_values(found.systems),
        "axis": axis(),
        "rates": findings.abnormality_rates(found.systems),
        "calibration": findings.calibration(system.table),
        "lengths": texts.length_values(system.table, system.scores),
        "bins": BINS,
        "notes": found.notes,
        "failures": found.failures,
    }


def _words_and_studies(found: Evaluation, material: Material | None) -> Values:
    empty: Values = {"sentences": [], "groups": [], "constant": "", "checks": [], "terms": ""}
    if material is None:
        return {**empty, "ranked_by": "", "restricted": False, "case_marks": cases.MARKS}
    table, said = found.systems["system"].table, material.answers["system"]
    both = writes(material.wanted) and writes(said)
    written = both and any(answer.report for answer in (*material.wanted, *said))
    constant = material.answers.get("constant")
    return {
        "sentences": texts.sentence_values(material.wanted, said) if written else [],
        "groups": cases.case_values(table, material),
        "ranked_by": cases.ranked_by(table),
        "case_marks": cases.MARKS,
        "constant": constant[0].words if constant else "",
        "checks": _checks(material.checks),
        "terms": material.licence.terms,
        "restricted": material.quotes_restricted_text,
    }


def _checks(checks: Sequence[Check]) -> list[Values]:
    """Return the checks, warnings first; the cases behind a check stand in the full audit."""
    return [
        {**vars(check), "kind": check.kind, "rows": check.rows[:5] if check.verdict == "warning" else []}
        for check in warnings_first(checks)
    ]
