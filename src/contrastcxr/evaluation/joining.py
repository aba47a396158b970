"""Findings that are scored as one: where two authors use words otherwise, a system is heard on the wider finding.

NIH's labels call Pneumonia or Infiltration what radiologists of ChestX-Det box as Consolidation. Which findings
are joined is declared before anything is scored, stands in the signature, and changes the system's side alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from contrastcxr.errors import RequestError, UnknownNameError, listed
from contrastcxr.form import Box, Finding, Reading
from contrastcxr.metrics.detection import components
from contrastcxr.vocab.labels import CANONICAL

Joined = Mapping[str, Sequence[str]]
"""By finding, the findings of a system that are heard as it."""


def parse_joined(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what `Consolidation=Consolidation,Pneumonia,Infiltration` means, of each text.

    Raises:
        RequestError: no `=`, fewer than two findings, one of them twice, or a finding joined twice.
        UnknownNameError: no such finding.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or name.strip() in found:
            raise RequestError(f"--join {text}; expected NAME=A,B,…, each NAME once")
        found[name.strip()] = tuple(part.strip() for part in rest.split(","))
    check_joined(found)
    return found


def check_joined(joined: Joined) -> None:
    """Refuse what is not several known findings.

    Raises:
        RequestError: fewer than two findings, or one of them twice.
        UnknownNameError: no such finding.
    """
    for name, parts in joined.items():
        for each in (name, *parts):
            if each not in CANONICAL:
                raise UnknownNameError("finding", each, CANONICAL)
        if len(parts) < 2 or len(set(parts)) < len(parts):
            raise RequestError(f"{name} joined of {', '.join(parts)}; expected two findings or more, each once")


def signed(joined: Joined) -> str:
    """Return what is joined as a part of a signature; empty where nothing is."""
    return ";".join(f"{name}={'+'.join(parts)}" for name, parts in joined.items())


def with_joined(readings: Sequence[Reading], joined: Joined) -> list[Reading]:
    """Return readings in which each joined finding is the maximum over its parts, which stay as they are.

    Of maps that are cut at one height the maximum marks what any of them marks. So its region is the union, its
    boxes go round the pieces of that where a part is present, and its probability is the highest; the peak is that
    of the most probable part. Words of a report are not touched.

    Raises:
        RequestError: no reading says anything of one of the parts.
    """
    known = {finding.name for reading in readings for finding in reading.findings}
    for name, parts in joined.items():
        missing = [part for part in parts if part not in known]
        if missing:
            raise RequestError(
                f"{name} is joined of {listed(missing)}, of which the system says nothing; it knows "
                f"{listed(sorted(known), near=missing[0], none='no finding')}"
            )
    return [_heard(reading, joined) for reading in readings]


def _heard(reading: Reading, joined: Joined) -> Reading:
    made = {name: _maximum(name, reading, parts) for name, parts in joined.items()}
    kept = [finding for finding in reading.findings if finding.name not in made]
    return reading.model_copy(update={"findings": (*kept, *(one for one in made.values() if one is not None))})


def _maximum(name: str, reading: Reading, parts: Sequence[str]) -> Finding | None:
    """Return the finding that is the maximum over its parts; None where the reading has none of them."""
    found = [finding for finding in reading.findings if finding.name in parts]
    if not found:
        return None
    most = max(found, key=lambda finding: -1.0 if finding.probability is None else finding.probability)
    region = tuple(dict.fromkeys(box for finding in found for box in finding.region))
    present = next((finding for finding in found if finding.status == "present"), None)
    return most.model_copy(
        update={
            "name": name,
            "status": most.status if present is None else present.status,
            "region": region,
            "boxes": _shown(found, region) if present is not None else (),
            "peak": most.peak,
        }
    )


def _shown(found: Sequence[Finding], region: Sequence[Box]) -> tuple[Box, ...]:
    """Return the boxes round the pieces of the region; of readings that mark none, the boxes of all parts."""
    if not region:
        return tuple(dict.fromkeys(box for finding in found for box in finding.boxes))
    views = dict.fromkeys(box.view for box in region)
    pieces = {view: components([box.xyxy for box in region if box.view == view]) for view in views}
    return tuple(Box(view=view, xyxy=each) for view, boxes in pieces.items() for each in boxes)
