"""Reports that no grammar wrote: the labeler reads both sides, and every definition of efficacy is scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate
from contrastcxr.form import Author, Reading, Report
from contrastcxr.vocab.labels import CHEXPERT

NORMAL = "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax."
SICK = (
    "The heart is mildly enlarged. There is a small left pleural effusion. Possible pneumonia at the right base."
)
QUICK = Bootstrap(replicates=20)


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Eight training and four test studies whose pictures are absent."""
    rows = [
        {
            "study_id": f"{split}{i}",
            "image": f"{split}{i}.png",
            "split": split,
            "findings": SICK if i % 2 else NORMAL,
        }
        for split, count in (("train", 8), ("test", 4))
        for i in range(count)
    ]
    path = tmp_path / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"manifest:{path}?images=any"


def scored(data: str, texts: list[str], **options: object) -> Evaluation:
    readings = [
        Reading(study_id=f"test{i}", author=Author(kind="model", name="m"), report=Report(findings=text))
        for i, text in enumerate(texts)
    ]
    return evaluate(readings, data=parse_data(data), with_meteor=False, bootstrap=QUICK, **options)  # type: ignore[arg-type]


def test_equal_reports_score_one_under_every_definition(data: str) -> None:
    found = scored(data, [NORMAL, SICK] * 2)
    assert found.scores["miura/recall"].value == pytest.approx(1)
    assert found.scores["chexbert5/accuracy"].value == pytest.approx(1)
    assert found.scores["positive_f1"].value == pytest.approx(1)
    assert found.systems["system"].table.names == CHEXPERT


def test_the_definitions_differ_where_something_is_uncertain(data: str) -> None:
    certain = SICK.replace("Possible pneumonia", "Pneumonia")
    found = scored(data, [NORMAL, certain] * 2, baselines=False).scores
    assert found["wcl/f1/Pneumonia"].value == pytest.approx(1)
    assert found["r2gen/f1/Pneumonia"].value == 0


def test_the_signature_names_the_labeler(data: str) -> None:
    assert "|labels:contrastcxr labeler 1|" in scored(data, [NORMAL, SICK] * 2, baselines=False).signature


def test_no_finding_is_no_abnormality(data: str) -> None:
    found = scored(data, [NORMAL] * 4, baselines=False).scores
    assert found["positive_recall"].value == 0
    assert found["invented_abnormality"].value == 0
    assert found["missed_abnormality"].value == 1


def test_the_constant_stands_beside_and_the_neighbour_says_why_not(data: str) -> None:
    found = scored(data, [NORMAL, SICK] * 2)
    assert "constant" in found.systems
    assert "neighbour" not in found.systems
    assert any("no nearest neighbour" in note for note in found.notes)


def test_the_floor_gives_every_report_to_another_study_and_the_labeler_hears_it_there(data: str) -> None:
    found = scored(data, [NORMAL, SICK] * 2).systems
    assert "ceiling" not in found
    said, wanted = found["floor"].table, found["system"].table
    assert said.claimed is not None
    assert wanted.truth is not None
    assert sorted(map(tuple, said.claimed.tolist())) == sorted(map(tuple, wanted.truth.tolist()))
    assert found["floor"].scores["positive_f1"].value in (0.0, pytest.approx(0.5))  # no study keeps its own


def test_as_published_needs_training_reports(data: str) -> None:
    path = Path(data.removeprefix("manifest:").partition("?")[0])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["split"] == "train":
            row["findings"] = ""
            row["labels"] = ["Edema"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DatasetError, match=r"no training reports.*--protocol corrected"):
        scored(data, [NORMAL, SICK] * 2, protocol="as-published")
