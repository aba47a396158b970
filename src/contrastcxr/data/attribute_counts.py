"""How often the reports of a source state the attributes of a list."""

from __future__ import annotations

from collections import Counter
from typing import Any

from contrastcxr.data.source import Source
from contrastcxr.errors import DatasetError
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.text.labeler import default_labeler
from contrastcxr.vocab.attribute_words import attribute_list


def count_attributes(source: Source, name: str) -> dict[str, Any]:
    """Return in how many reports of a source each attribute of the named list is stated, and written at all.

    Raises:
        UnknownNameError: there is no such list.
        DatasetError: no study has a report.
    """
    attributes = attribute_list(name)
    reader, labeler = AttributeReader(attributes), default_labeler()
    reports = positive = 0
    stated, written = Counter[str](), Counter[str]()
    counts: list[int] = []  # of attributes, report by report that states a finding of the list
    for study in source.stream():
        for report in (reading.report for reading in study.readings):
            if not (report.findings or report.impression):
                continue
            reports += 1
            written.update(reader.written(report))
            found = {f.name for f in labeler.label_report(report) if f.status in ("present", "uncertain")}
            if attributes.mentioned.isdisjoint(found):
                continue
            positive += 1
            here = reader.stated(report)
            stated.update(here)
            counts.append(len(here))
    if not reports:
        raise DatasetError(f"{source.name}: no study has a report; choose data with reports to count attributes")
    some = sum(count > 0 for count in counts)
    return {
        "list": name,
        "reports": reports,
        "with a finding of the list": positive,
        "with an attribute of it": some,
        "left out": positive - some,
        "attributes a report": round(sum(counts) / some, 2) if some else 0,
        "stated": {attribute: stated[attribute] for attribute in attributes.attributes},
        "written": {attribute: written[attribute] for attribute in attributes.attributes},
    }
