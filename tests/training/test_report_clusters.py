"""Clusters of reports: what falls together, what is said of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrastcxr.errors import DatasetError
from contrastcxr.training.report_clusters import ReportClusters

SAID = ("A small left effusion is seen.", "There is a right opacity.", "The lungs are clear.")
REPORTS = {f"s{index:02d}": SAID[index % 3] for index in range(30)} | {"empty": "  "}


def test_reports_that_say_the_same_fall_together_and_empty_ones_apart() -> None:
    clusters = ReportClusters.of(REPORTS, k=3)
    by_text = {text: {clusters.numbers[s] for s, said in REPORTS.items() if said == text} for text in SAID}
    assert sorted(min(numbers) for numbers in by_text.values()) == [0, 1, 2]
    assert all(len(numbers) == 1 for numbers in by_text.values())
    assert clusters.numbers["empty"] == 3
    assert clusters.summary()["sizes"] == [10, 10, 10, 1]
    assert clusters.silhouette == 1.0


def test_the_order_of_the_reports_changes_nothing() -> None:
    turned = dict(reversed(REPORTS.items()))
    assert ReportClusters.of(turned, k=2, seed=3) == ReportClusters.of(REPORTS, k=2, seed=3)
    assert ReportClusters.fingerprint_of(turned) == ReportClusters.fingerprint_of(REPORTS)


def test_a_summary_has_what_sets_a_cluster_apart() -> None:
    clusters = ReportClusters.of(REPORTS, k=3)
    found = {each.number: each for each in clusters.summaries}
    wet = found[clusters.numbers["s00"]]
    assert (wet.reports, wet.normal, wet.findings) == (10, 0.0, {"Pleural Effusion": 1.0})
    assert {"small", "left", "effusion", "seen"} <= set(wet.words)
    assert found[clusters.numbers["s02"]].normal == 1.0
    assert (found[3].reports, found[3].words) == (1, ())  # the empty one
    assert sum(each.reports for each in found.values()) == len(REPORTS)


def test_a_file_gives_the_same_clusters_back_and_has_no_report(tmp_path: Path) -> None:
    clusters = ReportClusters.of(REPORTS, k=3)
    clusters.write(tmp_path / "clusters.json")
    assert ReportClusters.read(tmp_path / "clusters.json") == clusters
    kept = (tmp_path / "clusters.json").read_text()
    assert "left effusion" not in kept
    assert '"silhouette": 1.0' in kept
    assert "words" not in clusters.summary()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"format": 2, "numbers": {"a": "x"}}'])
def test_a_file_of_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "clusters.json").write_text(text)
    with pytest.raises(DatasetError, match=r"clusters\.json: no clusters of reports"):
        ReportClusters.read(tmp_path / "clusters.json")


def test_more_clusters_than_reports_that_differ_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"clusters\.k 4: there are 3 reports that differ \(30 of 31"):
        ReportClusters.of(REPORTS, k=4)
    with pytest.raises(DatasetError, match=r"there are 0 reports that differ \(0 of 2 are not empty\)"):
        ReportClusters.of({"a": "", "b": " "}, k=2)


def test_as_many_clusters_as_reports_have_no_silhouette() -> None:
    reports = dict(zip("abc", SAID, strict=True))
    clusters = ReportClusters.of(reports, k=3)
    assert clusters.silhouette is None
    with pytest.raises(DatasetError, match="there are 1 reports that differ"):
        ReportClusters.of({"a": "Clear lungs.", "b": "CLEAR LUNGS."}, k=2)


def test_clusters_of_other_reports_are_refused() -> None:
    clusters = ReportClusters.of(REPORTS, k=2)
    clusters.check(REPORTS, "here")
    clusters.check({"s00": REPORTS["s00"]}, "here")
    with pytest.raises(DatasetError, match="here: clusters of another corpus"):
        clusters.check({**REPORTS, "s00": "Something else."}, "here")
