"""Studies side by side (paper C, Tables 3 and 4), chosen by a rule that does not look at what the system says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from contrastcxr.evaluation.report.cases import AGREED, INVENTED, MISSED, chips

if TYPE_CHECKING:
    from contrastcxr.evaluation.report.material import Material
    from contrastcxr.evaluation.result import Evaluation
    from contrastcxr.metrics.table import Answer

SHOWN = 8
_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~&]")
_KINDS = {AGREED: "Both call", MISSED: "Missed", INVENTED: "Invented"}


def samples_page(found: Evaluation, material: Material) -> str | None:
    """Return studies with the reference's and the system's report side by side, in Markdown.

    None where no reference holds a word, or the system writes no report.

    Args:
        found: the scores.
        material: the texts, and whether they may be passed on.
    """
    system, ids = found.systems["system"], material.references.ids
    places = [int(place) for place in system.table.scored_texts.nonzero()[0]]
    if not places:
        return None
    chosen = [places[k] for k in spread([ids[place] for place in places])]
    lines = [
        f"# Side by side: {_plain(found.data)}, {found.split}",
        "",
        f"{len(chosen):,} of the {len(places):,} studies with a reference report, evenly over their ids in order "
        f"of the alphabet, whatever either side says. The system is {_plain(system.description)}.",
    ]
    if material.quotes_restricted_text:
        lines += [
            "",
            "**Keep this file where the data are.** It quotes reports whose terms do not allow them to be passed "
            f"on ({material.licence.terms}).",
        ]
    for place in chosen:
        lines += _study(ids[place], material.wanted[place], material.answers["system"][place])
    return "\n".join(lines) + "\n"


def spread(ids: Sequence[str], count: int = SHOWN) -> list[int]:
    """Return the places of so many ids, in order of the alphabet, from the middle of parts of equal size.

    All of them where there are no more.
    """
    order = sorted(range(len(ids)), key=ids.__getitem__)
    if len(order) <= count:
        return order
    return [order[(2 * k + 1) * len(order) // (2 * count)] for k in range(count)]


def _study(study: str, wanted: Answer, said: Answer) -> Iterator[str]:
    yield from ("", f"## {_plain(study)}", "", "| Reference | This system |", "| --- | --- |")
    yield f"| {_text(wanted)} | {_text(said)} |"
    if wanted.findings is not None and said.findings is not None:
        yield from ("", _findings(wanted, said))


def _findings(wanted: Answer, said: Answer) -> str:
    """Return what both reports call present, and what one of them alone does."""
    named: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for chip in chips(wanted.findings, said.findings):
        named[chip["kind"]].append(chip["name"] + (f" ({chip['how']})" if chip["how"] else ""))
    parts = [f"{_KINDS[kind]}: {', '.join(names)}." for kind, names in named.items() if names]
    return " ".join(parts) or "No abnormality on either side."


def _text(answer: Answer) -> str:
    return _plain(answer.words) or "*nothing written*"


def _plain(text: str) -> str:
    """Return words of others as one line that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))
