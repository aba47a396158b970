"""What a page shows, worked out of a reading before any HTML: plain values with short names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastcxr.form import Evidence, Finding, Flag, Map, Position, Reading, Report, Study, View
from contrastcxr.text.clean import split_sentences
from contrastcxr.write.overlay import attention_uri, contrast_uri, largest_contrast, picture_uri
from contrastcxr.write.pictures import Pictures

MARKS = {"present": "●", "uncertain": "◐", "absent": "○", "unmentioned": "·"}
_POSITION: dict[Position, str] = {"PA": "PA", "AP": "AP", "LATERAL": "Lateral", "unknown": "View"}
_LIKELY = 0.1
_THUMBNAIL = 224

Values = dict[str, Any]


def page_values(reading: Reading, study: Study, pictures: Pictures) -> Values:
    """Return everything the template of a reading's page prints."""
    views = [_view(index, reading, study.views[index], pictures) for index in _shown(reading, study)]
    return {
        "study_id": reading.study_id,
        "author": reading.author,
        "indication": reading.report.indication,
        "views": views,
        "quality": _quality(reading.flags),
        "sentences": _sentences(reading),
        "findings": [_finding(f) for f in sorted(reading.findings, key=_by_probability)],
        "headed": any(f.probability is not None for f in reading.findings),
        "normals": [_normal(match, pictures) for match in reading.evidence.closest],
        "farthest": [_weighted(match.image_id, match.weight) for match in reading.evidence.farthest],
        "contrast_scale": largest_contrast(reading.evidence.contrast),
        "attends": bool(reading.evidence.attention),
        "has_boxes": any(view["boxes"] for view in views),
        "has_contrast": any(view["contrast"] for view in views),
        "grid": _grid(reading.evidence),
        "flags": _flags(reading.flags),
        "provenance": list(_rows(reading.provenance)),
        "licences": _licences(reading.provenance),
        "model_hash": _model_hash(reading.provenance),
    }


def _shown(reading: Reading, study: Study) -> Sequence[int]:
    """Views with a map, so that what was read is what is seen; all views when there are no maps."""
    maps = [*reading.evidence.contrast, *(m for row in reading.evidence.attention for m in row)]
    seen = sorted({m.view for m in maps} | {b.view for f in reading.findings for b in f.boxes})
    return [i for i in seen if i < len(study.views)] or range(len(study.views))


def _view(index: int, reading: Reading, view: View, pictures: Pictures) -> Values:
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
        "boxes": list(_boxes(index, reading.findings, width)),
        "contrast": _contrast(index, evidence),
        "attention": list(_attention(index, evidence)),
    }


def _boxes(view: int, findings: Iterable[Finding], width: int) -> Iterable[Values]:
    for finding in findings:
        for box in finding.boxes:
            if box.view == view:
                x1, y1, x2, y2 = box.xyxy
                yield {
                    **{"x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1, "size": width / 36},
                    "label": finding.name if box.score is None else f"{finding.name} {box.score:.2f}",
                    "sentences": " ".join(str(i) for i in finding.sentences),
                }


def _placed(map_: Map, src: str) -> Values:
    x1, y1, x2, y2 = map_.extent
    return {"src": src, "x": x1, "y": y1, "w": x2 - x1, "h": y2 - y1}


def _contrast(view: int, evidence: Evidence) -> Values | None:
    largest = largest_contrast(evidence.contrast)
    found = (_placed(m, contrast_uri(m, largest=largest)) for m in evidence.contrast if m.view == view)
    return next(found, None)


def _attention(view: int, evidence: Evidence) -> Iterable[Values]:
    for sentence, maps in enumerate(evidence.attention):
        cells = sum(len(m.rows) * len(m.rows[0]) for m in maps)
        for map_ in maps:
            if map_.view == view:
                yield {"sentence": sentence, **_placed(map_, attention_uri(map_, cells=cells))}


def _grid(evidence: Evidence) -> str:
    maps = evidence.contrast or (evidence.attention[0] if evidence.attention else ())
    return f"{len(maps[0].rows)}×{len(maps[0].rows[0])}" if maps else ""


def _sentences(reading: Reading) -> list[Values]:
    report = reading.report
    texts = report.sentences or tuple(text for text in (report.findings, report.impression) if text)
    impression = _first_of_impression(report, texts)
    return [
        {
            "index": i,
            "text": text,
            "heading": "Impression" if i == impression else None,
            "findings": [_finding(f) for f in reading.findings if i in f.sentences],
        }
        for i, text in enumerate(texts)
    ]


def _first_of_impression(report: Report, texts: Sequence[str]) -> int | None:
    """Index of the sentence that the impression begins with, where both sections are there."""
    before = len(split_sentences(report.findings))
    return before if report.impression and 0 < before < len(texts) else None


def _finding(finding: Finding) -> Values:
    details = (finding.side, finding.zone, finding.severity, _size(finding.size_mm))
    return {
        "name": finding.name,
        "status": finding.status,
        "mark": MARKS[finding.status],
        "details": [detail for detail in details if detail],
        "probability": finding.probability,
        "source": finding.source,
        "said": bool(finding.sentences),
    }


def _size(millimetres: float | None) -> str | None:
    return None if millimetres is None else f"{millimetres:g} mm"


def _by_probability(finding: Finding) -> tuple[float, str]:
    assumed = {"present": 2.0, "uncertain": 1.5, "absent": -1.0, "unmentioned": -2.0}
    return -(assumed[finding.status] if finding.probability is None else finding.probability), finding.name


def _weighted(image_id: str, weight: float) -> Values:
    study, _, view = image_id.partition("/")
    shown = view if view.startswith(study) else image_id  # a view named after its study names both
    return {"id": shown, "weight": weight, "percent": f"{weight * 100:.1f} %"}


def _normal(match: Any, pictures: Pictures) -> Values:
    pixels = pictures.of_normal(match)
    src = None if pixels is None else picture_uri(pixels, max_side=_THUMBNAIL, quality=80)
    return {**_weighted(match.image_id, match.weight), "src": src, "source": match.source}


def _quality(flags: Sequence[Flag]) -> str:
    """Measures beyond their limits are warnings, everything else said of the pictures is a remark."""
    about = [flag for flag in flags if flag.kind in {"quality", "orientation"}]
    warnings = sum(flag.kind == "quality" and flag.value is not None for flag in about)
    said = [_counted(warnings, "warning"), _counted(len(about) - warnings, "remark")]
    unmeasured = any(flag.kind == "not_assessed" and flag.finding is None for flag in flags)
    return ", ".join(filter(None, said)) or ("not assessed" if unmeasured else "no remarks")


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count > 1 else ''}" if count else ""


def _flags(flags: Sequence[Flag]) -> Values:
    return {
        "disagreement": _disagreements([f for f in flags if f.kind == "disagreement"]),
        "remarks": [f.message for f in flags if f.kind not in {"disagreement", "not_assessed"}],
        "not_assessed": [f.finding or f.message for f in flags if f.kind == "not_assessed"],
    }


def _disagreements(flags: Iterable[Flag]) -> list[str]:
    """One line for each thing the report says, with the findings and what the finding head gives them."""
    groups: dict[str, list[str]] = {}
    for flag in flags:
        if flag.finding is None or flag.value is None:
            groups.setdefault(flag.message, [])
        else:
            said = flag.message.rpartition(", ")[2]
            groups.setdefault(said, []).append(f"{flag.finding} {flag.value:.2f}")
    return [f"{said}: {', '.join(names)}" if names else said for said, names in groups.items()]


def _rows(provenance: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested provenance as lines `a b: value`; sources are shown as licences instead."""
    for key, value in provenance.items():
        if key == "sources":
            continue
        name = f"{prefix} {key}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            yield from _rows(value, name)
        elif value is not None:
            yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _licences(provenance: Mapping[str, Any]) -> list[Values]:
    sources = provenance.get("sources") or []
    return [{"name": str(s.get("name", "?")), "licence": str(s.get("licence", "not stated"))} for s in sources]


def _model_hash(provenance: Mapping[str, Any]) -> str:
    model = provenance.get("model")
    value = model.get("checkpoint_sha256") if isinstance(model, Mapping) else None
    return str(value or "")[:8]
