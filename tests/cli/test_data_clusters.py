"""`contrastcxr data clusters`: a line for each cluster, a file that a run takes, and wrong requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contrastcxr.training.report_clusters import ReportClusters

REPORTS = ("Small left pleural effusion.", "The lungs are clear.", "Right lower lobe opacity.")


@pytest.fixture
def manifest(tmp_path: Path, png: Callable[..., Path]) -> Path:
    rows = [
        {"study_id": str(i), "image": png(f"{i}.png").name, "findings": REPORTS[i % 3], "impression": "Seen."}
        for i in range(9)
    ]
    file = tmp_path / "studies.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_it_prints_what_each_holds_and_writes_the_clusters(command: Any, manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "clusters.json"
    ran = command("data", "clusters", f"manifest:{manifest}", "-k", "3", "--out", str(out))
    assert ran.status == 0
    assert "9 reports, 3 clusters by tfidf, seed 0; silhouette 1.000" in ran.out
    assert "Pleural Effusion 100%" in ran.out
    made = ReportClusters.read(out)
    assert made.numbers["0"] == made.numbers["3"] == made.numbers["6"]
    assert made.fingerprint in ran.out


def test_as_json_it_has_no_ids(command: Any, manifest: Path) -> None:
    ran = command(
        "data", "clusters", f"manifest:{manifest}", "-k", "3", "--sections", "findings,impression", "--json"
    )
    found = json.loads(ran.out)
    assert found["sizes"] == [3, 3, 3]
    assert sorted(each["normal"] for each in found["clusters"]) == [0.0, 0.0, 1.0]
    assert "numbers" not in found


def test_too_many_clusters_are_refused_in_a_line(command: Any, manifest: Path) -> None:
    ran = command("data", "clusters", f"manifest:{manifest}", "-k", "4")
    assert ran.status != 0
    assert "clusters.k 4: there are 3 reports that differ (9 of 9 are not empty)" in ran.err
