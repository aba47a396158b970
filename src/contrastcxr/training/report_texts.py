"""The report of a study as training takes it: as it was written, and in the order in which it is learnt."""

from __future__ import annotations

from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import reading_of, report_text
from contrastcxr.form import Study
from contrastcxr.reading.provenance import writes_grammar
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.labeler import label
from contrastcxr.text.sentence_order import in_canonical_order


def written_text(study: Study, config: SystemConfig) -> str:
    """Return the sections of the report that is learnt, as its author wrote them.

    Raises:
        DatasetError: the study has no reading by the author that is learnt.
    """
    return report_text(reading_of(study, author=config.data.author), sections=config.text.sections)


def learnt_text(study: Study, config: SystemConfig) -> str:
    """Return the same with the sentences of each section in the order of `text.order`.

    What a sentence says is read as evaluation reads it: by the grammar where it wrote the reports, else by the
    labeler.

    Raises:
        DatasetError: the study has no reading by the author that is learnt.
    """
    if config.text.order == "as_written":
        return written_text(study, config)
    findings_in = parse if writes_grammar(config) else label
    reading = reading_of(study, author=config.data.author)
    sections = (report_text(reading, sections=(section,)) for section in config.text.sections)
    return " ".join(in_canonical_order(section, findings_in) for section in sections if section)
