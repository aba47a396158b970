"""Reads the COVID-19 image collection with a localizer: lungs, clinical notes, and twelve cases on a page.

    python scripts/covid_cases.py RUN covid:/path/to/covid --out cases

`covid.md` has the share of what is marked that lies inside the lung masks, beside the same share of marks that
look at no picture, and the words beside the clinical notes. `cases.html` shows twelve studies, chosen by nobody:
of each patient the first one, by id, with a frontal picture and with notes that state an attribute. Pictures keep
licences of their own, so the page is made where the collection is, and not passed on.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.readers.covid import FINDINGS, LICENCE, NOTES, Covid
from contrastcxr.data.readers.lung_masks import LungMasks
from contrastcxr.data.sources import parse_data
from contrastcxr.data.tables.named import PACKAGE
from contrastcxr.errors import ContrastCXRError, RequestError
from contrastcxr.evaluation.attribute_baselines import geometry
from contrastcxr.evaluation.cached import read_cached
from contrastcxr.evaluation.one_finding import heard_as_one
from contrastcxr.files import atomic_write, default_cache
from contrastcxr.form import Attribute, Box, Finding, Reading, Study
from contrastcxr.metrics.attributes import ATTRIBUTE_SCORES, SAID_ABOVE, attribute_counts
from contrastcxr.metrics.bootstrap import Floats, Interval, interval, mean_of, paired_difference, study_weights
from contrastcxr.metrics.detection import Rectangle
from contrastcxr.metrics.identification import MINIMUM_POSITIVES
from contrastcxr.reading.reader import Reader
from contrastcxr.text.attribute_words import AttributeReader
from contrastcxr.text.labeling.sentences import sentences
from contrastcxr.vocab.attribute_words import AttributeList, attribute_list
from contrastcxr.write.overlay import picture_uri

CASES = 12
SIDE = 320
"""Cells a side on which lungs and marks are drawn: a mark's edge moves by half a cell at most."""
PICTURE = 640
"""Longest side of a picture on the page, in pixels."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MARKS = {
    "marked": "the marked boxes",
    "picture": "the whole picture",
    "central": "a box of equal area in the middle of the picture",
    "elsewhere": "the boxes marked on pictures of the other patients",
}
TOLD = {
    "model": "the model",
    "habit": "its mean over all pictures",
    "box": "its first box, by rule",
}
RULE = (
    "Of each patient the first study, by id, with a frontal picture and with clinical notes that state an "
    f"attribute; the first {CASES} of these. The model has no say in it."
)

Lungs = np.ndarray
"""`[SIDE, SIDE]` bool."""


@dataclass(frozen=True, eq=False)
class Case:
    """A study with a frontal picture, and what the model makes of the finding of the list.

    Attributes:
        study: with its notes.
        view: index of the frontal picture.
        finding: with its region and its words.
        stated: the attributes that the notes state.
    """

    study: Study
    view: int
    finding: Finding
    stated: tuple[str, ...] = ()

    @property
    def patient(self) -> str:
        return self.study.patient_id or self.study.study_id

    @property
    def boxes(self) -> tuple[Box, ...]:
        """What is marked on the frontal picture."""
        return tuple(box for box in self.finding.region if box.view == self.view)

    @property
    def file(self) -> str:
        """Name of the picture's file, which masks and provenance go by."""
        return Path(self.study.views[self.view].locator or "").name

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the frontal picture."""
        view = self.study.views[self.view]
        if view.width is not None and view.height is not None:
            return view.width, view.height
        tall, wide = load_pixels(view).shape
        return wide, tall

    @property
    def shares(self) -> list[Rectangle]:
        """The boxes in shares of the picture's sides."""
        wide, tall = self.size
        return [(x1 / wide, y1 / tall, x2 / wide, y2 / tall) for x1, y1, x2, y2 in (b.xyxy for b in self.boxes)]

    @property
    def notes(self) -> str:
        reading = self.study.reading_by(NOTES.name)
        return "" if reading is None else reading.report.findings


def opened(data: str) -> Covid:
    """Return the collection with lung masks: those that the name or the folder has, else those of the package."""
    ref = parse_data(data)
    source = ref.open()
    if not isinstance(source, Covid):
        raise RequestError(f"{data}: expected the COVID-19 image collection, covid:FOLDER")
    if source.masks is not None:
        return source
    packaged = replace(ref, options=(*ref.options, ("masks", PACKAGE))).open()
    assert isinstance(packaged, Covid)
    return packaged


def cases_of(
    studies: Iterable[Study], readings: Sequence[Reading], attributes: AttributeList
) -> tuple[list[Case], Counter[str]]:
    """Return what can be looked at, and how many studies cannot and why."""
    reader, found, out = AttributeReader(attributes), list[Case](), Counter[str]()
    said = {reading.study_id: reading.finding(attributes.finding) for reading in readings}
    for study in studies:
        frontal = next((n for n, view in enumerate(study.views) if view.position in ("PA", "AP")), None)
        finding = said.get(study.study_id)
        if frontal is None or finding is None:
            out["without a frontal picture" if frontal is None else "with a picture that cannot be read"] += 1
            continue
        notes = study.reading_by(NOTES.name)
        stated = () if notes is None else reader.stated(notes.report)
        found.append(Case(study, frontal, finding, stated))
    return found, out


def twelve(cases: Iterable[Case]) -> list[Case]:
    """Return the cases of the page: see `RULE`."""
    chosen: dict[str, Case] = {}
    for case in sorted(cases, key=lambda each: each.study.study_id):
        if case.stated:
            chosen.setdefault(case.patient, case)
    return list(chosen.values())[:CASES]


def with_lungs(cases: Iterable[Case], masks: LungMasks) -> tuple[list[tuple[Case, Lungs]], Counter[str]]:
    """Return the cases with something marked and with lungs in their mask, and how many have none and why."""
    found, out = list[tuple[Case, Lungs]](), Counter[str]()
    for case in cases:
        lungs = masks.mask(case.file, size=(SIDE, SIDE))
        if lungs is None or not lungs.any():
            out["without a lung mask" if lungs is None else "whose lung mask is empty"] += 1
        elif not case.boxes:
            out["with nothing marked on the frontal picture"] += 1
        else:
            found.append((case, lungs))
    return found, out


def drawn(boxes: Sequence[Rectangle]) -> np.ndarray:
    """Return the union of boxes, in shares of the sides, as `[SIDE, SIDE]` bool: cells whose middle is inside.

    A box that holds no middle has the cell that its own lies in.
    """
    cells = np.zeros((SIDE, SIDE), dtype=bool)
    for x1, y1, x2, y2 in boxes:
        (left, right), (upper, lower) = (_cells(*ends) for ends in ((x1, x2), (y1, y2)))
        cells[upper:lower, left:right] = True
    return cells


def _cells(start: float, end: float) -> tuple[int, int]:
    first, last = (int(np.ceil(share * SIDE - 0.5)) for share in (start, end))
    if first < last:
        return first, last
    middle = min(int((start + end) / 2 * SIDE), SIDE - 1)
    return middle, middle + 1


def central(area: float) -> Rectangle:
    """Return a box in the middle of a picture, in its shape, that has this share of its area."""
    half = area**0.5 / 2
    return 0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half


def lung_shares(found: Sequence[tuple[Case, Lungs]]) -> dict[str, Floats]:
    """Return for each of `MARKS` the share `[S]` of its area that lies inside the lungs of each picture.

    Boxes of other patients lie on a picture in shares of its sides; of theirs it is the mean, NaN of one patient.
    """
    lungs = np.stack([each.ravel() for _, each in found]).astype(np.float32)  # [S, SIDE²]
    marked = np.stack([drawn(case.shares).ravel() for case, _ in found]).astype(np.float32)
    middle = np.stack([drawn([central(float(row.mean()))]).ravel() for row in marked]).astype(np.float32)
    every = (lungs @ marked.T / marked.sum(axis=1)).astype(np.float64)  # [S, S], j's boxes on i's picture
    patients = np.array([case.patient for case, _ in found])
    others = patients[:, None] != patients[None, :]
    counts = others.sum(axis=1)
    elsewhere = np.where(others, every, 0.0).sum(axis=1) / np.where(counts > 0, counts, np.nan)
    return {
        "marked": np.diagonal(every).copy(),
        "picture": lungs.mean(axis=1, dtype=np.float64),
        "central": ((lungs * middle).sum(axis=1) / middle.sum(axis=1)).astype(np.float64),
        "elsewhere": elsewhere,
    }


def lung_table(found: Sequence[tuple[Case, Lungs]]) -> list[str]:
    """Return a row for each of `MARKS`: its share, and how much more of the marked boxes lies inside."""
    shares, weights = lung_shares(found), study_weights([case.patient for case, _ in found])
    lines = ["| | inside the lungs | the marked boxes, minus this |", "| --- | ---: | ---: |"]
    for name, said in MARKS.items():
        more = paired_difference(mean_of(shares["marked"]), mean_of(shares[name]), weights)
        beside = "" if name == "marked" else text_of(more, sign="+")
        lines.append(f"| {said} | {text_of(interval(mean_of(shares[name]), weights))} | {beside} |")
    return lines


def text_of(found: Interval, *, sign: str = "") -> str:
    """Return a figure with its interval, such as `.412 (.380–.441)`; a difference with its sign."""
    if not np.isfinite(found.value):
        return "–"
    value, low, high = (_figure(each, sign) for each in (found.value, found.low, found.high))
    if not np.isfinite(found.low):
        return value
    return f"{value} ({low} to {high})" if sign else f"{value} ({low}–{high})"


def _figure(value: float, sign: str) -> str:
    said = f"{value:{sign}.3f}"
    return said.replace("0.", ".", 1) if abs(value) < 1 else said


def told_by(
    cases: Sequence[Case], attributes: AttributeList, *, every: Sequence[Case]
) -> dict[str, list[Mapping[str, float]]]:
    """Return for each of `TOLD` the probability of each attribute in each case; nothing of a model without words.

    Habit is what a model says that looks at no picture, its mean over `every` case; side and zone of the first box
    go before it.
    """
    own, all_said = (
        [{each.name: each.probability for each in case.finding.attributes} for case in of] for of in (cases, every)
    )
    if not own or not all(own):
        return {}
    habit = {name: float(np.mean([said[name] for said in all_said])) for name in attributes.attributes}
    by_rule = geometry([case.study for case in cases], [case.finding for case in cases], habit)
    return {"model": own, "habit": [habit] * len(own), "box": [answer.attributes or {} for answer in by_rule]}


def word_table(cases: Sequence[Case], attributes: AttributeList, *, every: Sequence[Case]) -> list[str]:
    """Return a row for each score of attributes, a column for each of `TOLD`; of cases whose notes state any."""
    told = told_by(cases, attributes, every=every)
    if not told:
        return ["No words: the model gives none, or no notes state one."]
    stated = [{name: float(name in case.stated) for name in attributes.attributes} for case in cases]
    weights, scores = study_weights([case.patient for case in cases]), dict[str, dict[str, str]]()
    for name, said in told.items():
        counts = attribute_counts(stated, said)
        assert counts is not None
        found = counts.statistics(MINIMUM_POSITIVES)
        scores[name] = {score: text_of(interval(of, weights)) for score, of in found.items()}
    lines = [f"| | {' | '.join(TOLD.values())} |", f"| --- |{' ---: |' * len(TOLD)}"]
    for score, said in ATTRIBUTE_SCORES.items():
        lines.append(f"| {said} | {' | '.join(scores[name].get(score, '–') for name in TOLD)} |")
    return lines


def markdown(
    model: str, cases: Sequence[Case], masks: LungMasks, attributes: AttributeList, left_out: Counter[str]
) -> str:
    """Return `covid.md`."""
    found, without = with_lungs(cases, masks)
    noted = [case for case in cases if case.stated]
    lines = [f"# {model} on the COVID-19 image collection", ""]
    lines += [_counted(cases), "", *_because(left_out), "", "## Marked area inside the lungs", ""]
    if found:
        lines += [
            f"{_counted([case for case, _ in found])} The share of each picture; the mean over pictures.",
            "",
        ]
        lines += lung_table(found)
    lines += ["", *_because(without), "- Figures in brackets are 95% bootstrap intervals over patients.", ""]
    lines += [f"## Words of `{attributes.name}` beside the clinical notes", ""]
    lines += [
        f"{_counted(noted)} Their notes state an attribute.",
        "",
        *word_table(noted, attributes, every=cases),
        "",
    ]
    lines += [
        "- Notes mix history, course and picture, and are no report: they may be silent on what is there.",
        "- The mean over all pictures is what the model says without a look at one; by rule side and zone of the "
        "first box go before it.",
    ]
    return "\n".join(lines) + "\n"


def _counted(cases: Sequence[Case]) -> str:
    return f"{len(cases)} studies of {len({case.patient for case in cases})} patients."


def _because(left_out: Counter[str]) -> list[str]:
    return [f"- left out: {count} {reason}" for reason, count in sorted(left_out.items())]


def page(model: str, cases: Sequence[Case], attributes: AttributeList) -> str:
    """Return `cases.html`, one file that loads nothing."""
    reader = AttributeReader(attributes)
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("covid_cases.html.j2").render(
        model=model,
        attributes=attributes.name,
        finding=attributes.finding,
        cases=[_shown(case, reader) for case in cases],
        rule=RULE,
        where=LICENCE.where,
        policy=POLICY,
        above=SAID_ABOVE,
    )


def _shown(case: Case, reader: AttributeReader) -> dict[str, Any]:
    wide, tall = case.size
    return {
        "study_id": case.study.study_id,
        "position": case.study.views[case.view].position,
        "picture": picture_uri(load_pixels(case.study.views[case.view]), max_side=PICTURE),
        "width": wide,
        "height": tall,
        "boxes": [_drawn_box(number, box, wide / 320) for number, box in enumerate(case.boxes, start=1)],
        "probability": case.finding.probability,
        "words": [(each.name, each.probability, each.name in case.stated) for each in said_words(case)],
        "has_words": bool(case.finding.attributes),
        "parts": snippet(case.notes, reader),
        "stated": case.stated,
        "origin": origin(case),
    }


def _drawn_box(number: int, box: Box, unit: float) -> dict[str, Any]:
    x1, y1, x2, y2 = box.xyxy
    score = "" if box.score is None else f"{box.score:.2g}"
    place = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    return {**place, "number": number, "score": score, "text_x": x1 + 4 * unit, "text_y": y1 + 15 * unit}


def said_words(case: Case) -> list[Attribute]:
    """Return the words that the model says, the likeliest first."""
    said = [each for each in case.finding.attributes if each.probability > SAID_ABOVE]
    return sorted(said, key=lambda each: -each.probability)


def snippet(notes: str, reader: AttributeReader) -> list[tuple[str, str]]:
    """Return the sentences of notes that state attributes in pieces, each with the attributes that it states.

    What is left out between them is an ellipsis.
    """
    words = reader.stated_words(notes)
    kept = [(start, start + len(text)) for start, text in sentences(notes)]
    kept = [ends for ends in kept if any(ends[0] <= word.start < ends[1] for word in words)]
    parts, before = list[tuple[str, str]](), 0
    for start, end in kept:
        parts += [(" … ", "")] if notes[before:start].strip(" \n.") else [(notes[before:start], "")]
        at = start
        for word in (word for word in words if start <= word.start < end):
            parts += [(notes[at : word.start], ""), (notes[word.start : word.end], ", ".join(word.attributes))]
            at = word.end
        before = min(end + 1, len(notes))  # with its full stop
        parts.append((notes[at:before], ""))
    return [part for part in [*parts, *_rest(notes, before)] if part[0]]


def _rest(notes: str, before: int) -> Iterator[tuple[str, str]]:
    if notes[before:].strip():
        yield " …", ""


def origin(case: Case) -> dict[str, str]:
    """Return licence, credit and address of the picture, as its row states them."""
    reading = case.study.reading_by(FINDINGS.name)
    images = [] if reading is None else reading.provenance["images"]
    row = next((image for image in images if image["file"] == case.file), {})
    address = row.get("url", "")
    return {
        "file": case.file,
        "licence": row.get("license", "not stated"),
        "url": address if address.startswith(("http://", "https://")) else "",
        "said": " · ".join(row[name] for name in ("doi", "location", "other_notes") if row.get(name)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder, checkpoint file or bundled name of a localizer")
    parser.add_argument("data", help="covid:FOLDER, with ,masks=… where the lung masks are elsewhere")
    parser.add_argument("--attributes", default="pneumonia", help="list whose finding and words are looked at")
    parser.add_argument("--limit", type=int, help="the first so many studies only")
    parser.add_argument("--cache", type=Path, help="folder of encoder features")
    parser.add_argument("--out", type=Path, default=Path("cases"))
    arguments = parser.parse_args()
    try:
        write(arguments)
    except ContrastCXRError as error:
        raise SystemExit(f"error: {error}") from error


def write(arguments: argparse.Namespace) -> None:
    """Read the studies, and write both files."""
    attributes, source = attribute_list(arguments.attributes), opened(arguments.data)
    assert source.masks is not None
    studies = source.studies()[: arguments.limit]
    reader = Reader.from_checkpoint(arguments.run)
    readings, failures = read_cached(reader, studies, cache=arguments.cache or default_cache())
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    cases, left_out = cases_of(studies, heard_as_one(readings, attributes), attributes)
    model = reader.author.name
    texts = {
        "covid.md": markdown(model, cases, source.masks, attributes, left_out),
        "cases.html": page(model, twelve(cases), attributes),
    }
    for name, text in texts.items():
        with atomic_write(arguments.out / name) as file:
            file.write(text)
        print(arguments.out / name)


if __name__ == "__main__":
    main()
