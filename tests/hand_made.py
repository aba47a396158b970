"""A study and a reading made by hand, with every part of the form filled in."""

from __future__ import annotations

import numpy as np

from contrastcxr.form import (
    XYXY,
    Attribute,
    Author,
    Box,
    Evidence,
    Finding,
    FindingMap,
    Flag,
    Map,
    Point,
    PoolMatch,
    Reading,
    RepeatMatches,
    Report,
    Study,
    View,
)

SENTENCES = (
    "The heart is moderately enlarged.",
    "There is a small left pleural effusion.",
    "No pneumothorax is seen.",
    "A 12 mm nodule is possible in the right upper zone.",
)


def a_map(view: int, *, peak: tuple[int, int], height: float, width: int = 400, tall: int = 300) -> Map:
    rows = np.full((7, 7), 0.01)
    rows[peak] = height
    rows[peak[0], peak[1] - 1] = height / 2
    return Map(view=view, rows=tuple(tuple(float(v) for v in row) for row in rows), extent=(0, 0, width, tall))


def hand_made_study(*views: np.ndarray) -> Study:
    named = (("PA", views[0]), *(("LATERAL", pixels) for pixels in views[1:]))
    return Study(
        study_id="5f3a9c01d2e4b687",
        views=tuple(
            View(view_id=f"v{i}", pixels=pixels, position=position, mirrored=False)
            for i, (position, pixels) in enumerate(named)
        ),
    )


def hand_made_reading(study: Study) -> Reading:
    shapes = [view.pixels.shape for view in study.views if view.pixels is not None]
    peaks = ((4, 3), (5, 5), (1, 4), (1, 1))
    attention = tuple(
        tuple(a_map(v, peak=peak, height=0.3, width=w, tall=h) for v, (h, w) in enumerate(shapes))
        for peak in peaks
    )
    contrast = tuple(a_map(v, peak=(5, 5), height=0.42, width=w, tall=h) for v, (h, w) in enumerate(shapes))
    tall, width = shapes[0]
    return Reading(
        study_id=study.study_id,
        author=Author(kind="model", name="hand-made", version="0.1.0"),
        report=Report(findings=" ".join(SENTENCES), sentences=SENTENCES),
        findings=(
            Finding(
                name="Cardiomegaly",
                status="present",
                probability=0.83,
                source="finding head and report",
                severity="moderate",
                sentences=(0,),
                boxes=(Box(view=0, xyxy=(0.3 * width, 0.5 * tall, 0.75 * width, 0.8 * tall), score=0.7),),
            ),
            Finding(
                name="Pleural Effusion",
                status="present",
                probability=0.71,
                source="finding head and report",
                side="left",
                severity="mild",
                sentences=(1,),
            ),
            Finding(name="Pneumothorax", status="absent", probability=0.04, source="finding head", sentences=(2,)),
            Finding(
                name="Nodule",
                status="uncertain",
                probability=0.38,
                source="finding head and report",
                side="right",
                zone="upper",
                size_mm=12.0,
                sentences=(3,),
            ),
            *(
                Finding(name=name, status="absent" if p < 0.5 else "present", probability=p, source="finding head")
                for name, p in (
                    ("Mass", 0.02),
                    ("Consolidation", 0.61),
                    ("Atelectasis", 0.22),
                    ("Edema", 0.06),
                    ("Emphysema", 0.03),
                    ("Fibrosis", 0.05),
                    ("Pleural Thickening", 0.08),
                    ("Fracture", 0.02),
                    ("Granuloma", 0.01),
                    ("Hernia", 0.01),
                )
            ),
        ),
        evidence=Evidence(
            closest=(
                PoolMatch(image_id="s000123.frontal", weight=0.121, locator=None, source="nih14"),
                PoolMatch(image_id="s000007.frontal", weight=0.084, locator=None, source="nih14"),
                PoolMatch(image_id="s001919.frontal", weight=0.080, locator=None, source="nih14"),
            ),
            farthest=(PoolMatch(image_id="s000002.frontal", weight=0.0001, source="nih14"),),
            repeats=tuple(
                RepeatMatches(
                    closest=(PoolMatch(image_id=f"s00012{i}.frontal", weight=0.2 + i / 10, source="nih14"),),
                    farthest=(PoolMatch(image_id=f"s00900{i}.frontal", weight=0.0, source="nih14"),),
                )
                for i in range(2)
            ),
            contrast=contrast,
            attention=attention,
        ),
        flags=(
            Flag(
                kind="disagreement",
                finding="Consolidation",
                value=0.61,
                message="Consolidation: finding head 0.61, report silent",
            ),
            Flag(kind="orientation", message="view 1: left and right not stated; trust only the marker"),
            *(
                Flag(kind="not_assessed", finding=name, message=f"{name} was not assessed")
                for name in ("Enlarged Cardiomediastinum", "Lung Opacity", "Pneumonia", "Support Devices")
            ),
        ),
        provenance={
            "model": {"name": "hand-made", "checkpoint_sha256": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"},
            "software": {"contrastcxr": "0.1.0", "torch": "2.6"},
            "seed": 0,
            "sources": [{"name": "phantom:standard", "licence": "Apache-2.0"}],
        },
    )


def localized(reading: Reading, *, wordless: bool = False) -> Reading:
    """The reading with what a localizer marks on the first view: three findings, the last of them absent.

    Without words it is the reading of a model that has no decoder.
    """
    places: dict[str, tuple[XYXY, ...]] = {
        "Cardiomegaly": ((120.0, 150.0, 300.0, 240.0), (140.0, 160.0, 200.0, 250.0)),
        "Pleural Effusion": ((320.0, 200.0, 390.0, 290.0),),
        "Pneumothorax": ((20.0, 20.0, 90.0, 60.0),),
    }
    findings = tuple(_marked(finding, places.get(finding.name, ()), wordless) for finding in reading.findings)
    maps = tuple(
        FindingMap(finding=name, maps=(a_map(0, peak=(row, 3), height=height),))
        for name, row, height in zip(places, (4, 5, 1), (0.8, 0.7, 0.1), strict=True)
    )
    evidence = reading.evidence.model_copy(update={"finding_maps": maps})
    update = {"findings": findings, "evidence": evidence}
    if wordless:
        why = "the model writes no report"
        empty = Evidence(finding_maps=maps, unavailable={"attention": why, "contrast": why, "plan": why})
        model = {**reading.provenance["model"], "decoder": None}
        update |= {"report": Report(), "evidence": empty, "provenance": {**reading.provenance, "model": model}}
    return reading.model_copy(update=update)


def worded(reading: Reading) -> Reading:
    """The reading of a model that marks boxes of a finding and says words of them; of one that is absent too."""
    boxes = (
        Box(xyxy=(60.0, 150.0, 160.0, 240.0), score=0.61),
        Box(xyxy=(240.0, 120.0, 330.0, 200.0), score=0.4),
    )
    said = (("left", 0.2, (0.1, 0.4)), ("right", 0.9, (0.6, 0.05)), ("lower", 0.7, (0.3, 0.02)))
    words = tuple(Attribute(name=name, probability=p, weights=weights) for name, p, weights in said)
    found = Finding(
        name="Lung Opacity",
        status="present",
        probability=0.61,
        source="localizer",
        region=boxes,
        boxes=boxes,
        attributes=words,
    )
    silent = found.model_copy(update={"name": "Mass", "status": "absent", "boxes": (), "probability": 0.2})
    plain = localized(reading, wordless=True)
    return plain.model_copy(update={"findings": (found, silent), "evidence": Evidence()})


def _marked(finding: Finding, places: tuple[XYXY, ...], wordless: bool) -> Finding:
    said = {"sentences": (), "mentions": (), "source": "localizer"} if wordless else {}
    region = tuple(Box(xyxy=xyxy) for xyxy in places)
    boxes = finding.boxes or region[:1]
    x1, y1, x2, y2 = places[0] if places else (0.0, 0.0, 1.0, 1.0)
    peak = Point(xy=((x1 + x2) / 2, (y1 + y2) / 2)) if places else None
    return finding.model_copy(update={**said, "region": region, "boxes": boxes, "peak": peak})
