"""What a page shows, worked out of a reading before any HTML: plain values with short names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastcxr.form import (
    Evidence,
    Finding,
    Flag,
    Map,
    Negative,
    PoolMatch,
    Position,
    Reading,
    RepeatMatches,
    Study,
    View,
)
from contrastcxr.write.as_sentences import (
    finding_values,
    plan_sources,
    sentence_values,
    signed,
    writes_no_report,
)
from contrastcxr.write.marks import attribute_values, box_values, map_values, maps_said, region_values, where
from contrastcxr.write.overlay import (
    FULL_CONTRAST,
    FULL_DIFFERENCE,
    FULL_MAP,
    NEARLY_EVEN,
    NEARLY_FLAT,
    SATURATED_SHARE,
    attention_uri,
    cells_of,
    contrast_uri,
    difference_uri,
    extremes,
    picture_uri,
    placed,
)
from contrastcxr.write.pictures import PictureLoader

_POSITION: dict[Position, str] = {"PA": "PA", "AP": "AP", "LATERAL": "Lateral", "unknown": "View"}
_DIFFERENCES = {
    "report silent": "Present by the {by}, not in the report",
    "report says absent": "Present by the {by}, denied in the report",
    "report says present": "In the report, absent by the {by}",
}
_SEEN = {
    "finding_maps": "Finding map",
    "attention": "Attention",
    "contrast": "Contrast map",
    "closest": "Normals",
}
_FOLDED = {
    "farthest": "Least like it in the pool",
    "repeats": "Single comparisons",
    "plan": "Plan",
    "tags": "Tags",
}
_THUMBNAIL = 224
_HEAD, _AND_REPORT = "finding head", " and report"

Values = dict[str, Any]


def page_values(reading: Reading, study: Study, pictures: PictureLoader) -> Values:
    """Return everything the template of a reading's page prints."""
    ordered = sorted(_each_once(reading.findings), key=_by_probability)
    numbers = {finding.name: number for number, finding in enumerate(ordered)}
    views = [_view(index, reading, study.views[index], pictures, numbers) for index in _shown(reading, study)]
    normals = [_normal(match, pictures) for match in reading.evidence.closest]
    negatives = [_negative(each, study, pictures) for each in reading.evidence.negatives]
    return {
        "study_id": reading.study_id,
        "author": reading.author,
        "indication": reading.report.indication,
        "indication_read": _indication_read(reading.provenance),
        "views": views,
        "projections": " + ".join(_projection(study.views[view["index"]].position) for view in views),
        "quality": _quality(reading.flags),
        "sentences": sentence_values(reading),
        "wordless": writes_no_report(reading),
        "findings": _finding_lines(ordered, reading, _measured(study, views)),
        "has_where": any(f.boxes or f.region for f in reading.findings),
        "headed": any(f.probability is not None for f in reading.findings),
        "probability_by": _probability_by(reading.findings),
        "has_thresholds": any(f.threshold is not None for f in reading.findings),
        "read_by_parser": any(f.sentences for f in reading.findings),
        "normals": normals,
        "pictured": any(normal["src"] for normal in (*normals, *negatives)),
        "negatives": negatives,
        "farthest": [_weighted(match.image_id, match.weight) for match in reading.evidence.farthest],
        "repeats": [_repeat(repeat) for repeat in reading.evidence.repeats],
        "topics": any(sentence.topic is not None for sentence in reading.evidence.plan),
        "sources": plan_sources(reading.evidence),
        "tags": [{"id": tag.name, "percent": f"{tag.probability:.1%}"} for tag in reading.evidence.tags],
        "votes": [{"id": name, "percent": f"{share:.0%}"} for name, share in reading.evidence.votes.items()],
        "samples": _samples(reading.provenance),
        "contrast_said": _contrast_said(reading.evidence),
        "full_contrast": FULL_CONTRAST,
        "difference_said": _difference_said(reading.evidence),
        "full_difference": FULL_DIFFERENCE,
        "has_difference": any(view["difference"] for view in views),
        "attends": bool(reading.evidence.attention),
        "unavailable": _unavailable(reading.evidence, _SEEN),
        "unplanned": _unavailable(reading.evidence, _FOLDED),
        "attention_said": _attention_said(reading.evidence),
        "full_attention": SATURATED_SHARE,
        "has_boxes": any(view["boxes"] for view in views),
        "has_contrast": any(view["contrast"] for view in views),
        "has_regions": any(view["regions"] for view in views),
        "has_maps": any(view["maps"] for view in views),
        "maps_said": _maps_said(reading.evidence),
        "full_map": FULL_MAP,
        "grid": _grid(reading.evidence),
        "flags": _flags(reading.flags, by=_probability_by(reading.findings)),
        "provenance": list(_rows(reading.provenance)),
        "licences": _licences(reading.provenance),
        "model_hash": _model_hash(reading.provenance),
    }


def index_row(reading: Reading, page: str) -> Values:
    """Return what the list of several readings says of one: its page, findings, report and flags."""
    kinds = [flag.kind for flag in reading.flags]
    found = sorted(_each_once(reading.findings), key=_by_probability)
    return {
        "study_id": reading.study_id,
        "page": page,
        "present": [finding_values(f) for f in found if f.status == "present"],
        "report": _report_text(reading),
        "disagreements": kinds.count("disagreement"),
        "cautions": sum(kind not in {"disagreement", "not_assessed"} for kind in kinds),
    }


def _report_text(reading: Reading) -> str:
    if writes_no_report(reading):
        return "(this model writes no report)"
    return " ".join(reading.report.sentences) or reading.report.findings or reading.report.impression


def _projection(position: Position) -> str:
    return "not stated" if position == "unknown" else _POSITION[position]


def _shown(reading: Reading, study: Study) -> Sequence[int]:
    """Return the views with a map, so that what was read is what is seen; all views when there are no maps."""
    evidence = reading.evidence
    rows = [
        evidence.contrast,
        evidence.difference,
        *evidence.attention,
        *(each.maps for each in evidence.finding_maps),
    ]
    boxes = {box.view for f in reading.findings for box in (*f.boxes, *f.region)}
    seen = sorted({map_.view for row in rows for map_ in row} | boxes)
    return [i for i in seen if i < len(study.views)] or range(len(study.views))


def _view(index: int, reading: Reading, view: View, pictures: PictureLoader, numbers: Mapping[str, int]) -> Values:
    pixels = pictures.of_view(view)
    height, width = pixels.shape
    evidence = reading.evidence
    return {
        "index": index,
        "label": _POSITION[view.position] + (f" {index + 1}" if view.position == "unknown" else ""),
        "position": view.position,
        "width": width,
        "height": height,
        "src": picture_uri(pixels),
        "boxes": box_values(index, reading.findings, numbers, width=width, height=height),
        "regions": region_values(index, _each_once(reading.findings), numbers, width=width),
        "maps": map_values(index, evidence, numbers),
        "contrast": _contrast(index, evidence),
        "difference": _difference(index, evidence),
        "attention": list(_attention(index, evidence)),
    }


def _measured(study: Study, views: Sequence[Values]) -> list[View]:
    """Return the study's views with the widths of the pictures that are shown."""
    widths = {view["index"]: view["width"] for view in views}
    return [v.model_copy(update={"width": widths.get(i, v.width)}) for i, v in enumerate(study.views)]


def _finding_lines(ordered: Sequence[Finding], reading: Reading, views: Sequence[View]) -> list[Values]:
    """Return each finding once with its number on the page, where it is, and what its map says."""
    said = maps_said(reading.evidence)
    same = {f.name: [other for other in reading.findings if other.name == f.name] for f in ordered}
    return [
        {
            **finding_values(finding),
            "number": number,
            "where": where(same[finding.name], views),
            "map": said.get(finding.name, ""),
            "attributes": attribute_values(finding),
            "placed": finding.name in said or any(f.boxes or f.region for f in same[finding.name]),
        }
        for number, finding in enumerate(ordered)
    ]


def _probability_by(findings: Iterable[Finding]) -> str:
    """Return what computed the probabilities: the finding head, or what a model without one calls it."""
    sources = [(f.source or _HEAD).removesuffix(_AND_REPORT) for f in findings if f.probability is not None]
    return next((_HEAD for source in sources if _HEAD in source), sources[0] if sources else _HEAD)


def _maps_said(evidence: Evidence) -> str:
    """Return which finding has the highest place of all maps, in words a page prints."""
    highest = max(evidence.finding_maps, key=lambda each: extremes(each.maps)[1], default=None)
    if highest is None:
        return ""
    return f"point at a finding; highest: {highest.finding} {extremes(highest.maps)[1]:.2f}"


def _contrast(view: int, evidence: Evidence) -> Values | None:
    found = (placed(m, contrast_uri(m)) for m in evidence.contrast if m.view == view)
    return next(found, None)


def _difference(view: int, evidence: Evidence) -> Values | None:
    found = (placed(m, difference_uri(m)) for m in evidence.difference if m.view == view)
    return next(found, None)


def _difference_said(evidence: Evidence) -> str:
    """Return how far the weights of the difference reach, in words a page prints."""
    low, high = extremes(evidence.difference)
    even = "; nearly even: shows no place" if high < NEARLY_EVEN else ""
    return f"here {low:.1f}× to {high:.1f}×{even}"


def _contrast_said(evidence: Evidence) -> str:
    """Return how far the cosines of the contrast map reach, in words a page prints."""
    low, high = extremes(evidence.contrast)
    flat = "; nearly the same everywhere: shows no place" if high - low < NEARLY_FLAT else ""
    return f"here {signed(low)} to {signed(high)}{flat}"


def _share(maps: Sequence[Map]) -> float:
    """Return the strongest patch of a sentence's attention, in times an even share over the patches."""
    return extremes(maps)[1] * cells_of(maps)


def _attention_said(evidence: Evidence) -> str:
    """Return what holds for the attention of the whole report: where no sentence points anywhere, that."""
    highest = max((_share(maps) for maps in evidence.attention), default=0.0)
    if highest < NEARLY_EVEN:
        return f"nearly even in every sentence (at most {highest:.1f}×): points at no place"
    return f"point at a sentence; strongest in this report {highest:.1f}×"


def _attention(view: int, evidence: Evidence) -> Iterable[Values]:
    for sentence, maps in enumerate(evidence.attention):
        cells = cells_of(maps)
        for map_ in maps:
            if map_.view == view:
                yield {"sentence": sentence, **placed(map_, attention_uri(map_, cells=cells))}


def _grid(evidence: Evidence) -> str:
    first = (
        evidence.contrast,
        evidence.difference,
        *evidence.attention[:1],
        *(each.maps for each in evidence.finding_maps[:1]),
    )
    sizes = dict.fromkeys(f"{len(maps[0].rows)}×{len(maps[0].rows[0])}" for maps in first if maps)
    return " and ".join(sizes)


def _unavailable(evidence: Evidence, names: Mapping[str, str]) -> list[str]:
    """Return why the model can never show some things, one sentence for each reason.

    `names` by field of the evidence.
    """
    missing: dict[str, list[str]] = {}
    for field, name in names.items():
        if field in evidence.unavailable:
            missing.setdefault(evidence.unavailable[field], []).append(name)
    return [f"{_listed(each)}: {reason}" for reason, each in missing.items()]


def _listed(names: Sequence[str]) -> str:
    first, *others = names
    return ", ".join([first, *(name[0].lower() + name[1:] for name in others)])


def _each_once(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Return one finding of each name: the report may state one at several places."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.name, finding)
    return first.values()


def _by_probability(finding: Finding) -> tuple[float, str]:
    assumed = {"present": 2.0, "uncertain": 1.5, "absent": -1.0, "unmentioned": -2.0}
    return -(assumed[finding.status] if finding.probability is None else finding.probability), finding.name


def _weighted(image_id: str, weight: float) -> Values:
    return {"id": _image_name(image_id), "weight": weight, "percent": f"{weight * 100:.1f} %"}


def _image_name(image_id: str) -> str:
    """Return an image's id; of a view that is named after its study, which names both, its own."""
    study, _, view = image_id.partition("/")
    return view if view.startswith(study) else image_id


def _repeat(repeat: RepeatMatches) -> Values:
    return {
        "closest": [_weighted(match.image_id, match.weight) for match in repeat.closest],
        "farthest": [_weighted(match.image_id, match.weight) for match in repeat.farthest],
    }


def _normal(match: PoolMatch, pictures: PictureLoader) -> Values:
    return {**_weighted(match.image_id, match.weight), "src": _small(match, pictures), "source": match.source}


def _negative(negative: Negative, study: Study, pictures: PictureLoader) -> Values:
    """Return what one view was compared with; which view that is where the study has several."""
    view = _POSITION[study.views[negative.view].position] if len(study.views) > 1 else ""
    return {
        "id": _image_name(negative.image_id),
        "similarity": f"{negative.similarity:.3f}",
        "src": _small(negative, pictures),
        "view": view,
        "note": negative.note or "",
    }


def _small(match: PoolMatch | Negative, pictures: PictureLoader) -> str | None:
    pixels = pictures.of_normal(match)
    return None if pixels is None else picture_uri(pixels, max_side=_THUMBNAIL, quality=80)


def _quality(flags: Sequence[Flag]) -> str:
    """Return warnings for measures beyond their limits; everything else said of the pictures is a remark."""
    about = [flag for flag in flags if flag.kind in {"quality", "orientation"}]
    warnings = sum(flag.kind == "quality" and flag.value is not None for flag in about)
    said = [_counted(warnings, "warning"), _counted(len(about) - warnings, "remark")]
    unmeasured = any(flag.kind == "not_assessed" and flag.finding is None for flag in flags)
    return ", ".join(filter(None, said)) or ("not assessed" if unmeasured else "no remarks")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count > 1 else ''}" if count else ""


def _flags(flags: Sequence[Flag], *, by: str) -> Values:
    return {
        "disagreement": _disagreements([f for f in flags if f.kind == "disagreement"], by=by),
        "remarks": [f.message for f in flags if f.kind not in {"disagreement", "not_assessed"}],
        "not_assessed": [f.finding or f.message for f in flags if f.kind == "not_assessed"],
    }


def _disagreements(flags: Iterable[Flag], *, by: str) -> list[str]:
    """Return one line for each thing the report says, with the findings and probabilities given `by` a head."""
    groups: dict[str, list[str]] = {}
    for flag in sorted(flags, key=lambda flag: -(flag.value or 0.0)):
        if flag.finding is None or flag.value is None:
            groups.setdefault(flag.message, [])
        else:
            said = flag.message.rpartition(", ")[2]
            said = _DIFFERENCES[said].format(by=by) if said in _DIFFERENCES else said
            groups.setdefault(said, []).append(f"{flag.finding} {flag.value:.2f}")
    return [f"{said}: {', '.join(names)}" if names else said for said, names in groups.items()]


def _rows(provenance: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Return nested provenance as lines `a b: value`; sources are shown as licences instead."""
    for key, value in provenance.items():
        if key == "sources":
            continue
        name = f"{prefix} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            yield from _rows(value, name)
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif value is not None:
            yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _licences(provenance: Mapping[str, Any]) -> list[Values]:
    sources = provenance.get("sources") or []
    return [{"name": str(s.get("name", "?")), "licence": str(s.get("licence", "not stated"))} for s in sources]


def _model_hash(provenance: Mapping[str, Any]) -> str:
    model = provenance.get("model")
    value = model.get("checkpoint_sha256") if isinstance(model, Mapping) else None
    return str(value or "")[:8]


def _samples(provenance: Mapping[str, Any]) -> str:
    """Return how many samples voted, and from which share a finding was to be said; nothing where none did."""
    search = provenance.get("search")
    if not isinstance(search, Mapping) or search.get("method") != "votes":
        return ""
    return f"{search['samples']} samples, said from {search['threshold']:.0%} on"


def _indication_read(provenance: Mapping[str, Any]) -> str:
    """Return whether the model reads the indication, in words; nothing where nobody says so."""
    model = provenance.get("model")
    reads = model.get("reads_indication") if isinstance(model, Mapping) else None
    return "" if reads is None else "read by the model" if reads else "not read by the model"
