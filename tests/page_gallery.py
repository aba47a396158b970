"""Every kind of page that the project makes, each written by the function or command that writes it for a user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import boxed_corpus
import small_corpus
from contrastcxr.cli.main import run
from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate
from contrastcxr.evaluation.audit import audit
from contrastcxr.evaluation.report import report_page
from contrastcxr.form import (
    Author,
    Evidence,
    Finding,
    Flag,
    Mention,
    Negative,
    PlannedSentence,
    PoolMatch,
    Reading,
    Report,
    Study,
    Tag,
    TagShare,
    View,
)
from contrastcxr.write.html import HtmlWriter, write_index
from golden.command import typed
from hand_made import hand_made_reading, hand_made_study, localized, worded

RAMP = np.tile(np.linspace(0, 1, 400, dtype=np.float32), (300, 1))
NORMAL = "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax."
SICK = "The heart is mildly enlarged. There is a small left pleural effusion."


def read_by_command(folder: Path) -> list[Path]:
    """A study of two views and one of two whose lateral view is damaged; their index."""
    studies, out = folder / "studies", folder / "out"
    typed("phantom", studies, "--studies", 3, "--level", "standard", "--format", "dicom", "--seed", 7, "--quiet")
    (studies / "standard-test-7-000000-frontal.dcm").unlink()
    damaged = studies / "standard-test-7-000001-lateral.dcm"
    damaged.write_bytes(damaged.read_bytes()[:5000])
    assert run(["read", str(studies), "--model", "phantom", "--out", str(out), "--quiet"]) == 1
    return sorted(out.glob("*.html"))


def readings(folder: Path) -> list[Path]:
    """Pages of readings made by hand, which have between them everything that a reading can have; their index."""
    study = hand_made_study(RAMP, RAMP[:, :200])
    whole = hand_made_reading(study)
    found = {
        "whole": whole,
        "localized": localized(whole),
        "wordless": localized(whole, wordless=True),
        "worded": worded(whole),
        "planned": _planned(whole),
        "induced": _induced(whole),
        "bare": _bare(whole),
        "flagged": _flagged(whole),
        "pictured": _pictured(whole),
    }
    named = {name: reading.model_copy(update={"study_id": name}) for name, reading in found.items()}
    pages = [HtmlWriter().write(reading, study, folder) for reading in named.values()]
    return [*pages, write_index(list(named.values()), pages, folder), _many_views(folder)]


def _induced(reading: Reading) -> Reading:
    """A difference over each view in place of the contrast map, and the negative of each with a note."""
    maps = reading.evidence.contrast
    negatives = tuple(
        Negative(view=m.view, image_id=f"s{m.view}/normal", similarity=0.9, note="of another view position")
        for m in maps
    )
    changes = {"contrast": (), "closest": (), "difference": maps, "negatives": negatives}
    return reading.model_copy(update={"evidence": reading.evidence.model_copy(update=changes)})


def _planned(reading: Reading) -> Reading:
    """Six sentences in two sections with a plan, sources and tags."""
    more = ("The lungs are clear.", "No fracture is seen.")
    shares = tuple(TagShare(name=name, share=0.3) for name in ("Pleural Effusion", "Edema"))
    first = PlannedSentence(stop=0.1, abnormal=0.5, topic=0.9, tags=shares)
    retrieved = PlannedSentence(score=0.7, studies=tuple(f"s{i}" for i in range(5)))
    report = reading.report.model_copy(
        update={"sentences": (*reading.report.sentences, *more), "impression": " ".join(more)}
    )
    evidence = reading.evidence.model_copy(
        update={"plan": (first, retrieved) * 3, "tags": (Tag(name="Edema", probability=0.8),)}
    )
    return reading.model_copy(update={"report": report, "evidence": evidence})


def _bare(reading: Reading) -> Reading:
    """Nothing but an author."""
    why = dict.fromkeys(("finding_maps", "attention", "contrast", "closest"), "this author is no model")
    return Reading(
        study_id=reading.study_id, author=Author(kind="human", name="A"), evidence=Evidence(unavailable=why)
    )


def _flagged(reading: Reading) -> Reading:
    """Every status beside every doubt, thresholds, an indication, and more flags than one of each kind."""
    findings = tuple(
        finding.model_copy(update={"threshold": 0.5, "stated": "absent", "mentions": _mentions(finding)})
        for finding in reading.findings
    )
    silent = Finding(name="Lung Opacity", status="unmentioned")
    stated = Finding(name="Support Devices", status="uncertain", sentences=(0,))
    said = [Flag(kind=kind, message=f"a remark: {kind}") for kind in ("quality", "truncated", "empty")]
    differing = Flag(
        kind="disagreement", finding="Mass", value=0.8, message="Mass: finding head 0.80, report silent"
    )
    model = {**reading.provenance["model"], "reads_indication": False}
    return reading.model_copy(
        update={
            "findings": (*findings, silent, stated),
            "flags": (*reading.flags, *said, differing),
            "report": reading.report.model_copy(update={"indication": "Cough, fever."}),
            "provenance": {**reading.provenance, "model": model},
        }
    )


def _mentions(finding: Finding) -> tuple[Mention, ...]:
    return tuple(Mention(sentence=i, status=status) for i, status in enumerate(("uncertain", "absent")))[
        : len(finding.sentences)
    ]


def _pictured(reading: Reading) -> Reading:
    """Normals of which one may be shown and one may not."""
    drawn = PoolMatch(
        image_id="s1.frontal", weight=0.2, locator="phantom:smoke/train/000001?seed=0&view=frontal", source="p"
    )
    closest = (drawn, *reading.evidence.closest[:1])
    return reading.model_copy(update={"evidence": reading.evidence.model_copy(update={"closest": closest})})


def _many_views(folder: Path) -> Path:
    views = tuple(View(view_id=f"v{i}", pixels=RAMP[:, : 400 - 60 * i], mirrored=False) for i in range(5))
    study = Study(study_id="many-views", views=views)
    return HtmlWriter().write(hand_made_reading(study), study, folder)


def evaluations(folder: Path) -> list[Path]:
    """Pages of evaluations: words and probabilities, places, reports that may not leave, and figures alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastcxr.phantom.corpus.draw_studies", boxed_corpus.corpus)
        marked = [boxed_corpus.localizer(study, shift=10.0) for study in boxed_corpus.corpus(split="test")]
        _scored(marked, "phantom:smoke", folder / "places")
        patch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
        _scored(_copies(), "phantom:smoke", folder / "words")
    found = _scored(_answers(), _manifest(folder), folder / "restricted")
    bare = folder / "bare.html"
    bare.write_text(report_page(found), encoding="utf-8")
    return [*(folder / name / "report.html" for name in ("places", "words", "restricted")), bare]


def _scored(said: Sequence[Reading], data: str, out: Path) -> Evaluation:
    quick: dict[str, Any] = {"with_meteor": False, "bootstrap": Bootstrap(replicates=30, minimum=2)}
    return evaluate(list(said), data=parse_data(data), out=out, cache=out / "cache", allow_partial=True, **quick)


def _copies() -> list[Reading]:
    """What the truth says of every study but two, with a probability for each finding."""
    made = []
    for number, study in enumerate(small_corpus.corpus(split="test")):
        truth = study.readings[0]
        findings = tuple(f.model_copy(update={"probability": 0.1 + 0.07 * number}) for f in truth.findings)
        report = Report(findings=SICK) if number < 2 else truth.report
        author = Author(kind="model", name="copy")
        made.append(truth.model_copy(update={"author": author, "findings": findings, "report": report}))
    return made


def _manifest(folder: Path) -> str:
    rows = [
        {"study_id": f"{s}{i}", "image": f"{s}{i}.png", "split": s, "findings": SICK if i % 2 else NORMAL}
        for s, count in (("train", 6), ("test", 5))
        for i in range(count)
    ]
    path = folder / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"manifest:{path}?images=any"


def _answers() -> list[Reading]:
    """What somebody says of the test studies but the last: one missed, one invented, one right, one empty."""
    texts = (SICK, NORMAL, NORMAL, "")
    author = Author(kind="model", name="someone")
    return [Reading(study_id=f"test{i}", author=author, report=Report(findings=t)) for i, t in enumerate(texts)]


def audits(folder: Path) -> list[Path]:
    """An audit with warnings and their tables, and one that did not look at pictures."""
    rng = np.random.default_rng(8)
    rows = []
    for number in range(14):
        split = "train" if number < 9 else "test"
        pixels = (np.random.default_rng(min(number, 10)).random((64, 64)) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        said = f"Finding {number % 11} in the left lung. The heart has size {rng.integers(9)}."
        patient = f"p{number % 10}"
        rows.append(
            {
                "study_id": f"s{number}",
                "patient_id": patient,
                "image": f"{number}.png",
                "split": split,
                "findings": said,
            }
        )
    path = folder / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pages = []
    for name, option in (("pictures", ""), ("tables", "?images=any")):
        audit(parse_data(f"manifest:{path}{option}")).write(folder / name)
        pages.append(folder / name / "audit.html")
    return pages
