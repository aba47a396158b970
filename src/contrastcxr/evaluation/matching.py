"""Readings and the references they are scored against: which belong together, and which are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set

from contrastcxr.data.tables.files import number
from contrastcxr.errors import DatasetError, RequestError, listed
from contrastcxr.evaluation.references import References, writes_reports
from contrastcxr.form import Reading
from contrastcxr.text.attribute_words import AttributeReader

SHOWN = 3
"""Ids that a message names at most."""


def matched(
    references: References, given: Sequence[Reading], failures: Sequence[str], *, allow_partial: bool
) -> tuple[References, list[Reading], list[str]]:
    """Return the readings in the order of their references, and notes on what is left out or empty.

    Readings of studies that the reference author did not read are left out before anything is counted.

    Args:
        references: the studies that are scored.
        given: readings, in any order.
        failures: a line for each picture that the reader could not read; their studies are left out and listed.
        allow_partial: score the studies that have a reading although others have none.

    Raises:
        RequestError: two readings of one study; or, unless partial is allowed, readings of unknown studies or
            studies without one; or no study with a reading at all.
        DatasetError: no picture can be read.
    """
    unheard = set(references.silent)
    given = [reading for reading in given if reading.study_id not in unheard]
    by_id = {reading.study_id: reading for reading in given}
    known = set(references.ids)
    unknown = [study for study in by_id if study not in known]
    missing = [study for study in references.ids if study not in by_id]
    _refuse_twice(given)
    alone = len(missing) == len(references.ids)
    if unknown and (not allow_partial or alone):
        raise RequestError(
            f"{len(unknown)} of {len(given)} readings are of studies that are not in the data: {_some(unknown)}; "
            f"the data have ids such as {_some(references.ids)}{_as_numbers(unknown, known)}; "
            "give one reading for each study of the split"
            + ("" if alone else ", or leave these out with --allow-partial")
        )
    if failures and alone:
        raise DatasetError(
            f"none of the {len(missing)} studies can be read: {'; '.join(failures[:SHOWN])}; check the pictures"
        )
    if missing and (alone or not (allow_partial or failures)):
        raise RequestError(
            f"{len(missing)} of {len(references.ids)} studies have no reading: {_some(missing)}; "
            "read them too, or score the others with --allow-partial"
        )
    kept = references.of(by_id)
    heard = [by_id[study] for study in kept.ids]
    return kept, heard, _remarks(len(references.ids), missing, unknown, heard)


def unread(references: References) -> list[str]:
    """Return a note on the studies that the reference author did not read; none where there are none."""
    silent, author = references.silent, references.readings[0].author.name
    whole = len(silent) + len(references.ids)
    said = f"{len(silent)} of {whole} studies have no reading by {author} and are left out ({_some(silent)})"
    return [said] if silent else []


def unwritten(references: References) -> list[str]:
    """Return a note on the studies whose reference holds no report beside others that do; none without such."""
    said = zip(references.ids, references.answers(), strict=True)
    blank = [study for study, answer in said if references.written and not answer.words.strip()]
    whole = len(references.ids)
    note = f"{len(blank)} of {whole} references hold no report: words are scored on the others ({_some(blank)})"
    return [note] if blank else []


def unstated(references: References) -> list[str]:
    """Return a note where no reference states an attribute of the list; none of references without reports."""
    if references.attributes is None or not references.written:
        return []
    reader = AttributeReader(references.attributes)
    if any(reader.stated(reading.report) for reading in references.readings):
        return []
    author = references.readings[0].author.name
    return [
        f"no reading by {author} states an attribute of {references.attributes.name}: attributes are not scored"
    ]


def _refuse_twice(given: Sequence[Reading]) -> None:
    counts = Counter(reading.study_id for reading in given)
    twice = [study for study, count in counts.items() if count > 1]
    if twice:
        raise RequestError(
            f"{len(twice)} {'study has' if len(twice) == 1 else 'studies have'} more than one reading: "
            f"{_some(twice)}; give one reading for each study of the split"
        )


def _as_numbers(unknown: Sequence[str], known: Set[str]) -> str:
    """Return in words that ids differ as texts and not as numbers, as `004` and `4`; nothing where they do not."""
    numbers = {number(study): study for study in known}
    alike = next((study for study in unknown if number(study) is not None and number(study) in numbers), None)
    if alike is None:
        return ""
    return f", and '{alike}' is '{numbers[number(alike)]}' as a number, but ids are compared as texts"


def _remarks(studies: int, missing: Sequence[str], unknown: Sequence[str], heard: Sequence[Reading]) -> list[str]:
    """Return what a reader of the figures must know of the readings."""
    notes = []
    if missing:
        notes.append(
            f"partial: {len(missing)} of {studies} studies have no reading and are left out ({_some(missing)})"
        )
    if unknown:
        notes.append(f"partial: {len(unknown)} readings of unknown studies are left out ({_some(unknown)})")
    empty = [r.study_id for r in heard if not (r.report.findings.strip() or r.report.impression.strip())]
    if empty and writes_reports(heard):
        notes.append(f"{len(empty)} of {len(heard)} readings are empty and scored as such ({_some(empty)})")
    return notes


def _some(ids: Sequence[str]) -> str:
    return listed(ids, most=SHOWN)
