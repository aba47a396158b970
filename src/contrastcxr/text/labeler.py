"""The rule-based labeler: the 14 CheXpert findings of a report, and the words that said so.

What is looked for, what denies or doubts it and how far that reaches is data (`labeling/rules/*.yaml`); the
pipeline is sentences -> signs (one automaton over words) -> scope -> statements -> the account of a report.
After the idea of Irvin et al. 2019 (CheXpert); rules and wording are ours.  docs/labeler.md has definitions and
figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from contrastcxr.form import Finding, Report, Severity
from contrastcxr.text.labeling.account import PlacedStatement, account
from contrastcxr.text.labeling.attributes import attach
from contrastcxr.text.labeling.mentions import TermMention, TermStatement
from contrastcxr.text.labeling.rules import Rules, default_rules
from contrastcxr.text.labeling.scope import Scope
from contrastcxr.text.labeling.sentences import sentences, words
from contrastcxr.text.sections import SaidSection, said_ranges

NAME = "contrastcxr labeler"
VERSION = "1"
_KEPT = 1 << 15


class Labeler:
    """Labels texts and reports by rules.

    Sentences repeat across reports: the statements of the last ones read are kept, in a store that is emptied when
    it holds `keep` sentences, so that memory stays flat however many reports pass.
    """

    def __init__(self, rules: Rules | None = None, *, keep: int = _KEPT) -> None:
        self._rules = rules or default_rules()
        self._keep = keep
        self._known: dict[str, tuple[TermStatement, ...]] = {}

    def label(self, text: str) -> tuple[Finding, ...]:
        """Return the 14 findings of a text, in CheXpert's order.

        Where the text has headings, what stands under indication, comparison or technique is passed over.  A span
        counts characters of `text` as it was given; its section is the heading's.
        """
        placed: list[PlacedStatement] = []
        for section, start, end in said_ranges(text):
            self._read(placed, text, section, start, end)
        return account(placed)

    def label_report(self, report: Report) -> tuple[Finding, ...]:
        """Return the 14 findings of a report.

        Spans count characters of its findings and impression sections; `sentences` are the indices of those of the
        report's sentences, where it has them, that the spans stand in.
        """
        placed: list[PlacedStatement] = []
        self._read(placed, report.findings, "findings", 0, len(report.findings))
        self._read(placed, report.impression, "impression", 0, len(report.impression))
        places = _places(report)
        findings = account(placed)
        return tuple(_in_sentences(finding, places) for finding in findings) if places else findings

    def label_all(self, texts: Iterable[str]) -> Iterator[tuple[Finding, ...]]:
        """Yield the findings of each text in turn; nothing is read ahead."""
        return map(self.label, texts)

    def _read(self, placed: list[PlacedStatement], text: str, section: SaidSection, start: int, end: int) -> None:
        for offset, sentence in sentences(text, start, end):
            for statement in self._statements(sentence):
                placed.append(PlacedStatement(statement, section, offset))

    def _statements(self, sentence: str) -> tuple[TermStatement, ...]:
        found = self._known.get(sentence)
        if found is None:
            if len(self._known) >= self._keep:
                self._known.clear()
            found = self._known[sentence] = read_sentence(sentence, self._rules)
        return found


_Place = tuple[SaidSection, int, int]


def _places(report: Report) -> list[_Place | None]:
    """Return where each sentence of a report stands: its section and characters.

    None for one that is not found.
    """
    places: list[_Place | None] = []
    section: SaidSection = "findings"
    at = 0
    for sentence in report.sentences:
        start = getattr(report, section).find(sentence, at)
        if start < 0 and section == "findings" and (start := report.impression.find(sentence)) >= 0:
            section = "impression"
        places.append(None if start < 0 else (section, start, start + len(sentence)))
        at = at if start < 0 else start + len(sentence)
    return places


def _in_sentences(finding: Finding, places: Sequence[_Place | None]) -> Finding:
    if not finding.spans:
        return finding
    inside = tuple(
        index
        for index, place in enumerate(places)
        if place is not None
        and any(span.section == place[0] and place[1] <= span.start < place[2] for span in finding.spans)
    )
    return finding.model_copy(update={"sentences": inside})


def read_sentence(sentence: str, rules: Rules) -> tuple[TermStatement, ...]:
    """Return what one sentence says of each finding that it names."""
    tokens, starts, ends = words(sentence)
    signs = rules.automaton.signs(tokens)
    mentions = Scope(signs, len(tokens), rules).read()
    if not mentions:
        return ()
    attach(mentions, signs)
    return tuple(
        TermStatement(
            name, mention.said, mention.side, _severity(name, mention, rules), _characters(mention, starts, ends)
        )
        for mention in mentions
        for name in mention.names
    )


def _severity(name: str, mention: TermMention, rules: Rules) -> Severity | None:
    return None if name in rules.without_severity else mention.severity


def _characters(mention: TermMention, starts: list[int], ends: list[int]) -> tuple[tuple[int, int], ...]:
    places = {(mention.first, mention.last), *mention.decided_by}
    return tuple((starts[first], ends[last - 1]) for first, last in sorted(places))


@cache
def default_labeler() -> Labeler:
    """Return the labeler with the rules that the package ships."""
    return Labeler()


def label(text: str) -> tuple[Finding, ...]:
    """Return the 14 findings of a text, by the rules that the package ships (see `Labeler.label`)."""
    return default_labeler().label(text)
