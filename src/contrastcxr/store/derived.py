"""What is read of a source again and again: its studies, cleaned reports, word counts and counts per split.

Everything is made in one pass over studies that are not kept.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from contrastcxr.errors import DatasetError, ImageError
from contrastcxr.files import atomic_write
from contrastcxr.form import Reading, Study, View, is_file_locator, locator_path
from contrastcxr.store.keys import view_key
from contrastcxr.store.study_lines import StudyLines, study_line
from contrastcxr.text.clean import clean
from contrastcxr.text.tokenizer import tokenize

STUDIES = "studies.jsonl"
REPORTS = "reports.jsonl"
VOCABULARY = "vocabulary.json"
COUNTS = "counts.json"
VIEWS = "views.npy"
NO_SPLIT = "none"
SECTIONS = ("findings", "impression")

VIEW_ROW = np.dtype([("key", "u1", (16,)), ("study", "<i4"), ("view", "<i2")])
"""A picture once: its key (zeros where the file is gone), and the first study and view that show it."""


class Tally:
    """Counts over studies that pass by."""

    def __init__(self) -> None:
        self._words: dict[str, Counter[str]] = defaultdict(Counter)
        self._counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._patients: dict[str, set[int]] = defaultdict(set)

    def add(self, study: Study) -> None:
        """Count a study, its views, and what each reading says."""
        split = study.split or NO_SPLIT
        counts = self._counts[split]
        counts["studies"]["all"] += 1
        counts["views of a study"][str(len(study.views))] += 1
        counts["views"].update(view.position for view in study.views)
        if study.patient_id is not None:
            self._patients[split].add(hash(study.patient_id))
        for reading in study.readings:
            self._add_reading(reading, split)

    def _add_reading(self, reading: Reading, split: str) -> None:
        author = reading.author.name
        counts = self._counts[split]
        counts["readings"][author] += 1
        counts["findings"].update(f"{author}: {f.name} {f.status}" for f in reading.findings)
        words = self._words[f"{author}/{split}"]
        for section in SECTIONS:
            text = getattr(reading.report, section)
            if text:
                counts["reports"][f"{author}: {section}"] += 1
                words.update(tokenize(text))

    def counts(self) -> dict[str, Any]:
        """Count per split studies, patients, views, readings, reports and findings."""
        return {
            split: {
                "patients": len(self._patients[split]),
                **{name: dict(sorted(counted.items())) for name, counted in sorted(counts.items())},
            }
            for split, counts in sorted(self._counts.items())
        }

    def vocabulary(self) -> dict[str, dict[str, int]]:
        """Count every word per author and split, most frequent first, ties in alphabet order."""
        return {
            name: dict(sorted(words.items(), key=lambda pair: (-pair[1], pair[0])))
            for name, words in sorted(self._words.items())
            if words
        }


def write_tables(folder: Path, studies: Iterable[Study]) -> int:
    """Write every table of the studies into a folder and return how many studies there are.

    Raises:
        DatasetError: a view is only in memory.
        OutputError: a table cannot be written; the others of before stay.
    """
    tally, rows = Tally(), _ViewRows()
    with ExitStack() as files:
        kept = files.enter_context(atomic_write(folder / STUDIES))
        reports = files.enter_context(atomic_write(folder / REPORTS))
        for study in map(_lasting, studies):
            kept.write(study_line(study))
            _write_reports(reports, study)
            tally.add(study)
            rows.add(study)
        _write_json(folder / VOCABULARY, tally.vocabulary())
        _write_json(folder / COUNTS, tally.counts())
        with atomic_write(folder / VIEWS, mode="wb") as file:
            np.save(file, rows.once())
    return rows.studies


class _ViewRows:
    """The pictures that pass by, in order."""

    def __init__(self) -> None:
        self.studies = 0
        self._keys = bytearray()
        self._places: list[NDArray[np.int32]] = []

    def add(self, study: Study) -> None:
        for index, view in enumerate(study.views):
            self._keys += _key_or_zeros(view)
            self._places.append(np.array([self.studies, index], dtype=np.int32))
        self.studies += 1

    def once(self) -> NDArray[Any]:
        """Return a row for each picture, `[n]` of `VIEW_ROW`; a picture of two studies has one row."""
        keys = np.frombuffer(bytes(self._keys), dtype=np.uint8).reshape(-1, 16)
        rows = np.zeros(len(keys), dtype=VIEW_ROW)
        rows["key"] = keys
        places = np.array(self._places, dtype=np.int32).reshape(-1, 2)
        rows["study"], rows["view"] = places[:, 0], places[:, 1]
        _, first = np.unique(keys.view("V16").ravel(), return_index=True)
        lost = np.flatnonzero(~keys.any(axis=1))
        return rows[np.union1d(first, lost)]


def _key_or_zeros(view: View) -> bytes:
    try:
        return bytes.fromhex(view_key(view))
    except ImageError:
        return bytes(16)


def _lasting(study: Study) -> Study:
    """Return the study with paths that hold wherever the table is read from."""
    return study.model_copy(update={"views": tuple(_absolute(view) for view in study.views)})


def _absolute(view: View) -> View:
    if view.locator is None:
        raise DatasetError(f"view '{view.view_id}' is only in memory; save its picture first")
    if not is_file_locator(view.locator):
        return view
    return view.model_copy(update={"locator": str(locator_path(view.locator).absolute())})


def _write_reports(file: IO[str], study: Study) -> None:
    for reading in study.readings:
        texts = {section: clean(getattr(reading.report, section)) for section in SECTIONS}
        if any(texts.values()):
            said = {"study_id": study.study_id, "split": study.split, "author": reading.author.name, **texts}
            file.write(json.dumps(said, ensure_ascii=False) + "\n")


def _write_json(path: Path, value: Any) -> None:
    with atomic_write(path) as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def stored_views(folder: Path) -> NDArray[Any]:
    """Return the pictures of a prepared source, mapped from the disk: `[n]` of `VIEW_ROW`."""
    rows: NDArray[Any] = np.load(folder / VIEWS, mmap_mode="r")
    return rows


def views_at(studies: StudyLines, rows: NDArray[Any]) -> Iterator[View]:
    """Yield the views that rows of `VIEW_ROW` point at."""
    for row in rows:
        yield studies[int(row["study"])].views[int(row["view"])]
