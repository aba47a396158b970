"""Measures the labeler on IU X-ray against the human MeSH indexing, and on phantom reports against the truth.

    python scripts/labeler_iu.py path/to/indiana_reports.csv --out results/labeler.json
    python scripts/labeler_iu.py … --show "Lung Opacity"     (disagreements of the development half)

The human indexing names what is there and never what is not, so only positives are compared: a finding is called
when its status is present (or, in the second table, present or uncertain), and true when `Problems` holds one of
the terms below. Rules were written while looking at the development half alone: half of the report numbers, drawn
with a fixed seed.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from contrastcxr.files import atomic_write
from contrastcxr.form import Finding, Report, Severity, Side, Status
from contrastcxr.text.labeler import VERSION, Labeler
from contrastcxr.vocab.labels import CHEXPERT, to_chexpert

SEED = 2024
TERMS: dict[str, frozenset[str]] = {
    "No Finding": frozenset({"normal"}),
    "Enlarged Cardiomediastinum": frozenset({"Mediastinum"}),
    "Cardiomegaly": frozenset({"Cardiomegaly", "Cardiac Shadow"}),
    "Lung Opacity": frozenset(
        {
            "Opacity",
            "Infiltrate",
            "Airspace Disease",
            "Density",
            "Cicatrix",
            "Pulmonary Fibrosis",
            "Lung Diseases, Interstitial",
        }
    ),
    "Lung Lesion": frozenset({"Nodule", "Mass", "Granuloma", "Calcified Granuloma", "Cavitation"}),
    "Edema": frozenset({"Pulmonary Edema", "Pulmonary Congestion", "Heart Failure"}),
    "Consolidation": frozenset({"Consolidation"}),
    "Pneumonia": frozenset({"Pneumonia"}),
    "Atelectasis": frozenset({"Pulmonary Atelectasis", "Volume Loss"}),
    "Pneumothorax": frozenset({"Pneumothorax", "Hydropneumothorax", "Hemopneumothorax"}),
    "Pleural Effusion": frozenset({"Pleural Effusion", "Hydropneumothorax", "Hemopneumothorax", "Hemothorax"}),
    "Pleural Other": frozenset({"Thickening", "Pleura"}),
    "Fracture": frozenset({"Fractures, Bone"}),
    "Support Devices": frozenset(
        {"Catheters, Indwelling", "Implanted Medical Device", "Medical Device", "Tube, Inserted", "Stents"}
    ),
}
POLICIES: dict[str, frozenset[Status]] = {
    "present": frozenset({"present"}),
    "present or uncertain": frozenset({"present", "uncertain"}),
}


SIDES: dict[str, Side] = {"left": "left", "right": "right", "bilateral": "bilateral"}
SEVERITIES: dict[str, Severity] = {
    "mild": "mild",
    "small": "mild",
    "moderate": "moderate",
    "large": "severe",
    "severe": "severe",
}
"""Qualifiers of the human indexing, `Pleural Effusion/left/small`, as the labeler's own words."""
_RANK: tuple[Severity, ...] = ("mild", "moderate", "severe")

Row = tuple[frozenset[str], Sequence[Finding]]
Rows = Sequence[Row]


def split(numbers: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Report numbers for writing rules, and those kept apart."""
    ordered = sorted(numbers)
    random.Random(SEED).shuffle(ordered)
    half = len(ordered) // 2
    return frozenset(ordered[:half]), frozenset(ordered[half:])


def counts(truth: Sequence[bool], called: Sequence[bool]) -> dict[str, float | int]:
    hits = sum(t and c for t, c in zip(truth, called, strict=True))
    claims, truths = sum(called), sum(truth)
    return {
        "human": truths,
        "called": claims,
        "both": hits,
        "precision": round(hits / claims, 4) if claims else 0.0,
        "recall": round(hits / truths, 4) if truths else 0.0,
        "f1": round(2 * hits / (claims + truths), 4) if claims + truths else 0.0,
    }


def table(rows: Rows, statuses: frozenset[Status]) -> dict[str, Any]:
    """Counts and scores per finding, and over all findings together but No Finding."""
    per: dict[str, dict[str, float | int]] = {}
    every: tuple[list[bool], list[bool]] = ([], [])
    for index, name in enumerate(CHEXPERT):
        truth = [bool(TERMS[name] & problems) for problems, _ in rows]
        called = [findings[index].status in statuses for _, findings in rows]
        per[name] = counts(truth, called)
        if name != "No Finding":
            every[0].extend(truth)
            every[1].extend(called)
    f1 = [float(row["f1"]) for name, row in per.items() if name != "No Finding"]
    return {"findings": per, "micro": counts(*every), "macro_f1": round(sum(f1) / len(f1), 4)}


def indexed_attributes(mesh: str, name: str) -> tuple[Side | None, Severity | None]:
    """Side and severity that the indexing gives; both sides are bilateral, the greatest severity counts."""
    sides: set[Side] = set()
    severities: set[Severity] = set()
    for entry in mesh.split(";"):
        term, *qualifiers = (part.strip() for part in entry.split("/"))
        if term in TERMS[name]:
            sides |= {SIDES[q] for q in qualifiers if q in SIDES}
            severities |= {SEVERITIES[q] for q in qualifiers if q in SEVERITIES}
    side = None if not sides else next(iter(sides)) if len(sides) == 1 else "bilateral"
    return side, max(severities, key=_RANK.index, default=None)


def attributes(rows: Sequence[tuple[str, Sequence[Finding]]]) -> dict[str, dict[str, int]]:
    """How side and severity of findings that both call compare: the labeler's beside the indexing's."""
    found: dict[str, dict[str, int]] = {}
    for what, place in (("side", 0), ("severity", 1)):
        counts: Counter[str] = Counter()
        for mesh, findings in rows:
            terms = {entry.split("/")[0].strip() for entry in mesh.split(";")}
            for index, name in enumerate(CHEXPERT):
                finding = findings[index]
                if name != "No Finding" and finding.status == "present" and TERMS[name] & terms:
                    counts[_outcome(indexed_attributes(mesh, name)[place], getattr(finding, what))] += 1
        found[what] = {outcome: counts[outcome] for outcome in OUTCOMES}
    return found


OUTCOMES = ("equal", "opposite", "other", "labeler silent", "indexing silent", "both silent")


def _outcome(indexed: str | None, said: str | None) -> str:
    if indexed is None or said is None:
        return {(True, True): "both silent", (True, False): "indexing silent"}.get(
            (indexed is None, said is None), "labeler silent"
        )
    if indexed == said:
        return "equal"
    return "opposite" if {indexed, said} == {"left", "right"} else "other"


def phantoms(labeler: Labeler, split_: str, limit: int | None) -> dict[str, Any]:
    """The labeler on phantom reports: against what was drawn, and against what the grammar says."""
    from contrastcxr.phantom.corpus import draw_studies
    from contrastcxr.text.grammar.parsing import parse

    drawn: list[Row] = []
    written: list[Row] = []
    for study in draw_studies("standard", split=split_, seed=0, limit=limit):
        reading = study.readings[0]
        findings = labeler.label_report(reading.report)
        drawn.append((_positive(reading.findings), findings))
        written.append((_positive(parse(f"{reading.report.findings} {reading.report.impression}")), findings))
    return {
        "studies": len(drawn),
        "against what was drawn": _by_name(drawn),
        "against the grammar": _by_name(written),
    }


def _positive(findings: Iterable[Finding]) -> frozenset[str]:
    return frozenset(to_chexpert(f.name) or "" for f in findings if f.status == "present")


def _by_name(rows: Rows) -> dict[str, Any]:
    return {
        name: counts([name in truth for truth, _ in rows], [f[index].status == "present" for _, f in rows])
        for index, name in enumerate(CHEXPERT)
        if any(name in truth for truth, _ in rows) or any(f[index].status == "present" for _, f in rows)
        if name != "No Finding"
    }


def markdown(measured: dict[str, Any]) -> str:
    lines = ["| finding | human | called | precision | recall | F1 |", "|---|---:|---:|---:|---:|---:|"]
    for name, row in measured["findings"].items():
        lines.append(
            f"| {name} | {row['human']} | {row['called']} "
            f"| {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} |"
        )
    total = measured["micro"]
    lines.append(
        f"| all but No Finding (micro) | {total['human']} | {total['called']} "
        f"| {total['precision']:.3f} | {total['recall']:.3f} | {total['f1']:.3f} |"
    )
    return "\n".join([*lines, "", f"macro F1 {measured['macro_f1']:.3f}"])


def show(name: str, rows: Sequence[tuple[str, Report, frozenset[str], Sequence[Finding]]]) -> None:
    index = CHEXPERT.index(name)
    for number, report, problems, findings in rows:
        truth, finding = bool(TERMS[name] & problems), findings[index]
        if truth == (finding.status == "present"):
            continue
        said = [getattr(report, s.section)[s.start : s.end] for s in finding.spans]
        print(f"{number} human {truth}, labeler {finding.status} {said}; {sorted(problems)}")
        print(f"    {report.findings} || {report.impression}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, help="indiana_reports.csv")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--show", metavar="FINDING", help="print the disagreements of the development half")
    parser.add_argument("--phantoms", type=int, default=600, help="test phantoms; 0 leaves them out")
    arguments = parser.parse_args()
    with arguments.reports.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    labeler = Labeler()
    rows = []
    for line in lines:
        report = Report(findings=line["findings"], impression=line["impression"])
        problems = frozenset(term.strip() for term in line["Problems"].split(";"))
        rows.append((line["uid"], report, problems, labeler.label_report(report)))
    mesh = {line["uid"]: line["MeSH"] for line in lines}
    development, apart = split(line["uid"] for line in lines)
    if arguments.show:
        show(arguments.show, [row for row in rows if row[0] in development])
        return
    indexed = frozenset(row[0] for row in rows if "No Indexing" not in row[2])
    parts = {
        "development half": development,
        "other half": apart,
        "whole": development | apart,
        "indexed": indexed,  # without the reports that nobody indexed
    }
    measured = {
        part: {
            "reports": len(numbers),
            **{
                policy: table([(row[2], row[3]) for row in rows if row[0] in numbers], statuses)
                for policy, statuses in POLICIES.items()
            },
        }
        for part, numbers in parts.items()
    }
    for part, by_policy in measured.items():
        for policy in POLICIES:
            print(f"\n{part}, {by_policy['reports']} reports, {policy}\n\n{markdown(by_policy[policy])}")
    document = {
        "labeler": VERSION,
        "seed": SEED,
        "terms": {name: sorted(terms) for name, terms in TERMS.items()},
        "iu_xray": measured,
        "attributes": {
            part: attributes([(mesh[row[0]], row[3]) for row in rows if row[0] in parts[part]])
            for part in ("development half", "other half", "whole")
        },
        "phantoms": phantoms(labeler, "test", arguments.phantoms) if arguments.phantoms else None,
    }
    print(json.dumps(document["phantoms"], indent=1))
    if arguments.out:
        with atomic_write(arguments.out) as out:
            json.dump(document, out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main()
