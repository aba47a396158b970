"""Patients and reports on both sides of a split, boxes outside their official list, labels that shift."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from contrastcxr.data.authors import report_text
from contrastcxr.evaluation.audit.verdict import Check, Verdict, share
from contrastcxr.form import Reading, Study
from contrastcxr.metrics.clinical import STATUS_CODES, status_codes
from contrastcxr.metrics.text import tokenise

NEAR = 0.9
"""Jaccard overlap of word trigrams from which two reports count as nearly identical (ours)."""
SHIFT = 0.001
"""Two-sided p, times the number of findings, below which a label's share counts as shifted (ours)."""
SHOWN = 20
_BLOCK = 512

Splits = Mapping[str, Sequence[Study]]


def by_split(studies: Iterable[Study]) -> dict[str, list[Study]]:
    """Return studies by the name of their split; those without one are left out."""
    found: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        if study.split is not None:
            found[study.split].append(study)
    return dict(found)


def patients(splits: Splits) -> Check:
    """Return patients with studies in more than one split."""
    name = "patients across splits"
    places: dict[str, set[str]] = defaultdict(set)
    for split, studies in splits.items():
        for study in studies:
            if study.patient_id is not None:
                places[study.patient_id].add(split)
    if len(splits) < 2 or not places:
        return Check(name, "not run", "fewer than two splits" if places else "no study names its patient")
    crossing = sorted(patient for patient, found in places.items() if len(found) > 1)
    rows = [{"patient": p, "splits": " ".join(sorted(places[p]))} for p in crossing[:SHOWN]]
    verdict: Verdict = "warning" if crossing else "ok"
    return Check(name, verdict, f"{share(len(crossing), len(places))} patients are in more than one split", rows)


def reports(splits: Splits) -> Check:
    """Return reports of the last split that an earlier split has word for word, or nearly."""
    name = "reports across splits"
    texts = {split: [_words(study) for study in studies] for split, studies in splits.items()}
    texts = {split: [t for t in found if t] for split, found in texts.items()}
    written = [split for split in texts if texts[split]]
    if len(written) < 2:
        return Check(name, "not run", "fewer than two splits hold reports")
    *before, last = written
    known = Counter(t for split in before for t in texts[split])
    same = [t for t in texts[last] if t in known]
    near = _near([t for t in texts[last] if t not in known], list(known))
    total = len(texts[last])
    common = Counter(same).most_common(SHOWN)
    rows = [{"times in " + last: n, "times before": known[t], "words": len(t.split())} for t, n in common]
    message = (
        f"of the reports in {last}, {share(len(same), total)} are in {' or '.join(before)} word for word, and "
        f"{share(near, total)} more overlap by {NEAR:.0%} of their word trigrams"
    )
    return Check(name, "warning" if same or near else "ok", message, rows)


def official_lists(splits: Splits) -> Check:
    """Return images with NIH boxes outside the official test list, where all 880 of them belong."""
    name = "official lists"
    boxed = [
        study
        for studies in splits.values()
        for study in studies
        if any(f.boxes for r in study.readings if r.author.name == "nih14 boxes" for f in r.findings)
    ]
    if not boxed:
        return Check(name, "not run", "no image has a box of the NIH list")
    outside = [study for study in boxed if study.split != "test"]
    rows = [{"study": s.study_id, "split": s.split} for s in outside[:SHOWN]]
    drawn = _boxes(boxed)
    most, times = drawn.most_common(1)[0]
    message = (
        f"{share(len(outside), len(boxed))} images with NIH boxes are outside the test split, where all belong; "
        f"{times} of {drawn.total()} boxes are {most}"
    )
    few = [{"finding": finding, "boxes": count} for finding, count in drawn.most_common()]
    return Check(name, "warning" if outside else "ok", message, rows or few)


def _boxes(studies: Sequence[Study]) -> Counter[str]:
    """Return boxes of the NIH list by finding."""
    said = (r for study in studies for r in study.readings if r.author.name == "nih14 boxes")
    return Counter(f.name for reading in said for f in reading.findings for _ in f.boxes)


def label_shift(splits: Splits, names: Sequence[str], reading: Mapping[str, Reading]) -> Check:
    """Return findings that the last split has more or less often than the first, beyond chance."""
    name = "labels between splits"
    if len(splits) < 2 or not names:
        return Check(name, "not run", "fewer than two splits, or no labels")
    first, last = next(iter(splits)), list(splits)[-1]
    positives = {split: _positives(splits[split], names, reading) for split in (first, last)}
    rows = []
    for column, finding in enumerate(names):
        (a, n), (b, m) = ((int(p[:, column].sum()), len(p)) for p in (positives[first], positives[last]))
        p = two_shares(a, n, b, m)
        if p * len(names) < SHIFT:
            rows.append({"finding": finding, first: share(a, n), last: share(b, m), "p": f"{p:.1e}"})
    message = f"{len(rows)} of {len(names)} findings differ in frequency between {first} and {last} beyond chance"
    return Check(name, "warning" if rows else "ok", message, rows)


def two_shares(a: int, n: int, b: int, m: int) -> float:
    """Return the two-sided p of two proportions being one (pooled z-test)."""
    pooled = (a + b) / (n + m) if n + m else 0.0
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) if n and m else 0.0
    return math.erfc(abs(a / n - b / m) / spread / math.sqrt(2)) if spread else 1.0


def _positives(studies: Sequence[Study], names: Sequence[str], reading: Mapping[str, Reading]) -> np.ndarray:
    codes = status_codes([reading[s.study_id].findings for s in studies if s.study_id in reading], names)
    return np.asarray(codes == STATUS_CODES["present"])


def _words(study: Study) -> str:
    for reading in study.readings:
        text = report_text(reading, sections=("findings",)) or report_text(reading, sections=("impression",))
        if text:
            return tokenise(text)
    return ""


def _near(wanted: Sequence[str], known: Sequence[str]) -> int:
    """Return how many of the texts overlap with a known one by at least `NEAR` of their trigrams."""
    from scipy.sparse import csr_matrix

    column: dict[tuple[str, ...], int] = {}

    def matrix(texts: Sequence[str]) -> csr_matrix:
        sets = [{column.setdefault(t, len(column)) for t in _trigrams(text)} for text in texts]
        places = [place for found in sets for place in sorted(found)]
        ends = np.cumsum([0, *(len(found) for found in sets)])
        return csr_matrix((np.ones(len(places), np.float32), places, ends), shape=(len(texts), _WIDE))

    left, right = matrix(wanted), matrix(known)
    sizes = np.asarray(right.sum(axis=1)).ravel()
    found = 0
    for start in range(0, len(wanted), _BLOCK):
        part = left[start : start + _BLOCK]
        common = np.asarray((part @ right.T).todense())  # [b, K]
        own = np.asarray(part.sum(axis=1))
        union = own + sizes[None, :] - common
        found += int(np.any(common >= NEAR * np.maximum(union, 1), axis=1).sum())
    return found


_WIDE = 1 << 24


def _trigrams(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
