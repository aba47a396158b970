"""What a source holds and lacks, counted study by study."""

from __future__ import annotations

from collections import Counter
from typing import Any

from contrastcxr.data.readers.paths import Paths
from contrastcxr.data.recognise import recognised
from contrastcxr.data.source import Source


def check_source(source: Source, *, listed: int | None = None) -> dict[str, Any]:
    """Return what a source holds; so many of the missing images are listed, or all."""
    studies, patients = 0, set[str]()
    splits, views, readers = Counter[str](), Counter[str](), Counter[str]()
    for study in source.stream():  # one by one: a list of all may take gigabytes
        studies += 1
        splits[study.split or "none"] += 1
        if study.patient_id is not None:
            patients.add(study.patient_id)
        for view in study.views:
            views[view.position] += 1
        for reading in study.readings:
            readers[reading.author.name] += 1
    held = source.inventory()
    return {
        "source": source.name,
        "licence": source.licence.terms,
        "from": source.licence.where,
        "reports": "none" if held.reports is None else held.reports,
        "studies": studies,
        "patients": len(patients),
        "images": held.images,
        "splits": dict(splits),
        "views": dict(views),
        "read by": dict(readers),
        **held.counts,
        "notes": [*held.notes, *_hints(source)],
        "missing": len(source.missing),
        "first missing": list(source.missing[:listed]),
    }


def _hints(source: Source) -> list[str]:
    """Return what a bare folder could have been opened as."""
    names = recognised(source.path) if isinstance(source, Paths) else ()
    return [f"the folder has tables that a bare path does not read; with them it is {name}" for name in names]
