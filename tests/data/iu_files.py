"""Miniature copies of IU X-ray in each layout that it goes around in; the reports are made up."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from radiograph_files import ramp


@dataclass(frozen=True)
class Written:
    """One made-up report."""

    uid: int
    images: tuple[str, ...]
    findings: str = ""
    impression: str = ""
    indication: str = ""
    comparison: str = ""
    mesh: tuple[str, ...] = ("normal",)


REPORTS = (
    Written(1, ("1_IM-0001-4001", "1_IM-0001-3001"), "Clear lungs. No XXXX.", "Normal chest.", "Cough.", "None."),
    Written(
        2,
        ("2_IM-0652-1001",),
        "Small left effusion of 1.2 cm.",
        indication="XXXX year old.",
        mesh=("Pleural Effusion/left/small", "Opacity/lung/base/right/mild", "Opacity/breast", "Scoliosis"),
    ),
    Written(7, ("7_IM-2263-1001", "7_IM-2263-2001", "7_IM-2263-3001"), "", "Stable.", mesh=("Cardiomegaly/mild",)),
    Written(12, (), "Report without an image.", mesh=("No Indexing",)),
)


def xml_id(image: str) -> str:
    """What Open-i calls an image: report 1 has its number twice, as many have."""
    return f"CXR1_{image}" if image.startswith("1_") else f"CXR{image}"


def xml(report: Written) -> str:
    """One report as Open-i publishes it, shortened."""
    sections = {
        "COMPARISON": report.comparison,
        "INDICATION": report.indication,
        "FINDINGS": report.findings,
        "IMPRESSION": report.impression,
    }
    texts = "\n".join(f'<AbstractText Label="{name}">{text}</AbstractText>' for name, text in sections.items())
    terms = "\n".join(f"<major>{term}</major>" for term in report.mesh)
    images = "\n".join(
        f'<parentImage id="{xml_id(image)}"><caption>Chest</caption></parentImage>' for image in report.images
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation>\n<uId id="CXR{report.uid}"/>\n<MedlineCitation>'
        f"<Article><Abstract>\n{texts}\n</Abstract></Article></MedlineCitation>\n<MeSH>\n{terms}\n"
        f"<automatic>lungs</automatic></MeSH>\n{images}\n</eCitation>\n"
    )


def write_openi(root: Path) -> Path:
    """XML files in `ecgen-radiology` and PNG images in `NLMCXR_png`."""
    folder = root / "ecgen-radiology"
    folder.mkdir(parents=True)
    for report in REPORTS:
        (folder / f"{report.uid}.xml").write_text(xml(report))
    write_images(root / "NLMCXR_png", [f"{xml_id(image)}.png" for r in REPORTS for image in r.images])
    return root


def write_archive(path: Path) -> Path:
    """`NLMCXR_reports.tgz`, as Open-i and the torchxrayvision package have it."""
    with tarfile.open(path, "w:gz") as archive:
        for report in REPORTS:
            member = tarfile.TarInfo(f"ecgen-radiology/{report.uid}.xml")
            content = xml(report).encode()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_kaggle(root: Path) -> Path:
    """Both tables, and PNG images in `images/images_normalized`."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "indiana_reports.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"])
        for r in REPORTS:
            problems = ";".join(term.split("/")[0] for term in r.mesh)
            rows.writerow(
                [r.uid, ";".join(r.mesh), problems, "Chest", r.indication, r.comparison, r.findings, r.impression]
            )
    lines = [
        f"{report.uid},{image}.dcm.png,{'Lateral' if number == 1 else 'Frontal'}"
        for report in REPORTS
        for number, image in enumerate(report.images)
    ]
    (root / "indiana_projections.csv").write_text("\n".join(["uid,filename,projection", *lines, ""]))
    names = [f"{image}.dcm.png" for report in REPORTS for image in report.images]
    write_images(root / "images" / "images_normalized", names)
    return root


def samples() -> dict[str, list[dict[str, Any]]]:
    """R2Gen's annotation of reports 1 and 2."""
    return {
        "train": [
            {
                "id": "CXR1_1_IM-0001",
                "report": REPORTS[0].findings,
                "image_path": ["CXR1_1_IM-0001/0.png", "CXR1_1_IM-0001/1.png"],
                "split": "train",
            }
        ],
        "val": [],
        "test": [
            {
                "id": "CXR2_IM-0652",
                "report": REPORTS[1].findings,
                "image_path": ["CXR2_IM-0652/0.png", "CXR2_IM-0652/1.png"],
                "split": "test",
            }
        ],
    }


def write_r2gen(root: Path) -> Path:
    """`annotation.json`, and PNG images in `images/<id>/`."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotation.json").write_text(json.dumps(samples()))
    names = [name for entries in samples().values() for sample in entries for name in sample["image_path"]]
    write_images(root / "images", names)
    return root


def write_images(folder: Path, names: Sequence[str]) -> None:
    """Write one small picture under each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ramp().astype("uint8")).save(path)
