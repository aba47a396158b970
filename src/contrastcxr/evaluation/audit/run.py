"""All checks of one data set, in the order in which a reader needs them."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastcxr.data.ref import DataRef
from contrastcxr.data.source import Source
from contrastcxr.errors import ContrastCXRError, DatasetError, listed
from contrastcxr.evaluation.audit import leaks, page, pictures
from contrastcxr.evaluation.audit.leaks import Splits
from contrastcxr.evaluation.audit.nuisance import nuisance
from contrastcxr.evaluation.audit.verdict import Check, share
from contrastcxr.evaluation.audit.wording import wording
from contrastcxr.evaluation.references import finding_names
from contrastcxr.files import atomic_write
from contrastcxr.form import Reading, Study
from contrastcxr.store.studies import load_studies, open_source
from contrastcxr.vocab.labels import NO_FINDING

logger = logging.getLogger(__name__)

SCHEMA = "contrastcxr.audit/1"
QUICK = 20_000
"""Studies up to which the quick checks compare reports (ours; the time is that of all pairs)."""
ORDER = ("train", "train_val", "validation", "val", "valid", "test")


@dataclass(frozen=True)
class Audit:
    """What the checks of a data set found.

    Attributes:
        data: its name, without folders of this machine.
        studies: number per split.
        labels: author whose labels were looked at; None without labels.
        checks: in order.
    """

    data: str
    studies: Mapping[str, int]
    labels: str | None
    checks: tuple[Check, ...]

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that a reader of figures made with these data must know."""
        return tuple(check for check in self.checks if check.verdict == "warning")

    def to_dict(self) -> dict[str, Any]:
        """Return what `audit.json` holds."""
        return {"schema": SCHEMA, **vars(self), "checks": [check.to_dict() for check in self.checks]}

    def write(self, folder: Path) -> None:
        """Write `audit.json` and `audit.html` into a folder."""
        with atomic_write(folder / "audit.html") as file:
            file.write(page.page(self.data, self.studies, self.labels, self.checks))
        with atomic_write(folder / "audit.json") as file:
            json.dump(self.to_dict(), file, indent=1, ensure_ascii=False)
            file.write("\n")


def audit(data: DataRef, *, author: str | None = None, seed: int = 0, cache: Path | None = None) -> Audit:
    """Check a data set for leaks, copies and labels that are told without a lesion.

    Args:
        data: with all its splits, such as `nih14:/path`.
        author: whose labels are looked at; by default the one who labels most studies.
        seed: of folds and intervals.
        cache: the cache folder, where drawn studies are kept.

    Raises:
        UnknownNameError: no such source or author.
        DatasetError: the data departs from its layout, or is empty.
    """
    data, studies = _widest(data, cache)
    source = open_source(data, cache=cache)
    if not studies:
        raise DatasetError(f"{data}: no studies to audit; expected at least one")
    splits = _ordered(leaks.by_split(studies))
    reading, who = labels_of(studies, author)
    names = finding_names(list(reading.values()))
    logger.info(f"auditing {len(studies):,} studies")
    checks = [*_of_texts(data, studies, splits, reading, at_most=len(studies)), table_and_folder(source)]
    logger.info("looking at every picture")
    marks, unreadable = pictures.fingerprints(studies)
    checks += [pictures.readable(marks, unreadable), pictures.identical(marks), pictures.alike(marks)]
    logger.info("fitting nuisance predictors")
    main, inside = _largest(splits) if splits else ("all studies", studies)
    checks.append(nuisance(inside, names, reading, split=main, seed=seed))
    counts = {split: len(found) for split, found in splits.items()} or {"all": len(studies)}
    return Audit(data.portable(), counts, who, tuple(checks))


def quick_checks(data: DataRef, *, author: str | None = None, cache: Path | None = None) -> tuple[Check, ...]:
    """Return the checks of a data set that open no picture and fit nothing; for the page of an evaluation.

    Args:
        data: all its splits are looked at, whatever split it names.
        author: whose labels are looked at, where they label anything; else who labels most studies.
        cache: the cache folder, where drawn studies are kept.
    """
    try:
        studies = open_source(data, cache=cache).studies()
    except ContrastCXRError as error:
        return (Check("data", "not run", f"the data cannot be looked at as a whole: {error}"),)
    logger.info(f"checking the splits of {len(studies):,} studies")
    splits = _ordered(leaks.by_split(studies))
    labelled = any(r.author.name == author and r.findings for s in studies for r in s.readings)
    reading, _ = labels_of(studies, author if labelled else None)
    return tuple(_of_texts(data, studies, splits, reading, at_most=QUICK))


def _of_texts(
    data: DataRef, studies: Sequence[Study], splits: Splits, reading: Mapping[str, Reading], *, at_most: int
) -> Iterator[Check]:
    """Yield the checks that open no picture and fit nothing; reports are compared for so many studies at most."""
    yield leaks.patients(splits)
    if data.kind.name.startswith("nih"):
        yield leaks.official_lists(splits)
    yield leaks.reports(splits) if len(studies) <= at_most else _too_many(len(studies))
    yield wording(splits or {"all": studies})
    yield leaks.label_shift(splits, _with_normal(finding_names(list(reading.values())), reading), reading)


def _widest(data: DataRef, cache: Path | None) -> tuple[DataRef, list[Study]]:
    """Return the name of the data to look at, and its studies.

    Where most pictures are absent, these are all the studies that the tables name.
    """
    everything = data.without_pictures()
    if everything is None:
        return data, load_studies(data, cache=cache)
    named, there = load_studies(everything, cache=cache), data.open().studies(data.split)
    return (everything, named) if len(there) < len(named) / 2 else (data, there)


def _with_normal(names: Sequence[str], reading: Mapping[str, Reading]) -> tuple[str, ...]:
    """Return the findings, and No Finding where somebody is said to have none."""
    normal = any(NO_FINDING in found.present() for found in reading.values())
    return (*names, NO_FINDING) if names and normal else tuple(names)


def _too_many(studies: int) -> Check:
    return Check("reports across splits", "not run", f"{studies:,} studies take minutes; the full audit does it")


def labels_of(studies: Sequence[Study], author: str | None) -> tuple[dict[str, Reading], str | None]:
    """Return the reading of each study by the author asked for, or by the one with findings in most studies."""
    counts = Counter(r.author.name for s in studies for r in s.readings if r.findings)
    who = author or (counts.most_common(1)[0][0] if counts else None)
    if author is not None and author not in counts:
        raise DatasetError(
            f"no labels by '{author}' here; labels are by: {listed(counts, near=author, none='nobody')}"
        )
    found = {s.study_id: r for s in studies if who and (r := s.reading_by(who)) is not None}
    return found, who


def table_and_folder(source: Source) -> Check:
    """Return images that the tables name and the folder lacks, and what the source itself remarks."""
    held = source.inventory()
    missing = len(source.missing)
    rows = [{"note": note} for note in held.notes]
    message = f"{share(missing, held.images)} images that the tables name are missing"
    return Check("tables and folder", "warning" if missing else "ok", message, rows)


def _ordered(splits: Mapping[str, list[Study]]) -> dict[str, list[Study]]:
    known = [split for split in ORDER if split in splits]
    return {split: splits[split] for split in (*known, *(s for s in splits if s not in known))}


def _largest(splits: Mapping[str, list[Study]]) -> tuple[str, list[Study]]:
    split = max(splits, key=lambda name: len(splits[name]))
    return split, splits[split]
