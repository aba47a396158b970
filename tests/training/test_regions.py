"""From boxes to a detector, from its regions to attributes: both runs, and what is refused between them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_data import boxed_study, mini_config, mini_study, use_studies

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import CheckpointError, DatasetError, IncompatibleError, RequestError
from contrastcxr.evaluation import evaluate
from contrastcxr.features.box_cells import BoxReader
from contrastcxr.form import Author, Box, Finding, Reading, Study, View
from contrastcxr.reading.reader import Reader
from contrastcxr.training import calibrate, run
from contrastcxr.training.order import donors
from contrastcxr.training.prepare import Split, prepare
from contrastcxr.training.regions import anchored_share, count_few_regions, with_trained_regions
from models.tiny_heads import tiny_head

ALONE: dict[str, Any] = {
    "decoder": None,
    "finding_head": None,
    "contrast": None,
    "projection": {"kind": "none"},
    "encoder": {"name": "test_efficientnet", "weights": "random", "stage": 4},
}
DETECTOR = {
    "kind": "retinanet",
    "attributes": "phantom-effusion",
    "pyramid": 8,
    "count": 10,
    "smallest_anchor": 8,
}
WORDS = {"kind": "cross_attention", "attributes": "phantom-effusion", "embedding": 8, "count": 4}
SIZES = {"train": 12, "validation": 6, "test": 4}


@pytest.fixture(autouse=True)
def _boxed(monkeypatch: pytest.MonkeyPatch) -> None:
    use_studies(monkeypatch, lambda split: [boxed_study(i, split=split) for i in range(SIZES[split])])


def detector_config(**changes: Any) -> SystemConfig:
    return mini_config(**{**ALONE, "localizer": DETECTOR, **changes})


def words_config(detector: Path, **changes: Any) -> SystemConfig:
    encoder = {"regions": {"weights": str(detector)}}
    return mini_config(**{**ALONE, "encoder": encoder, "localizer": WORDS, **changes})


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    with pytest.MonkeyPatch.context() as patch:
        use_studies(patch, lambda split: [boxed_study(i, split=split) for i in range(SIZES[split])])
        patch.setattr(calibrate, "MINIMUM_POSITIVES", 3)  # of six validation studies three have a box
        run(detector_config(), out=folder / "run", cache=folder / "cache", quality=False)
    return folder / "run"


def test_a_detector_is_trained_and_marks_boxes_in_a_reading(detector: Path) -> None:
    lines = [json.loads(line) for line in (detector / "metrics.jsonl").read_text().splitlines()]
    assert set(lines[0]["train"]) == {"region_class", "region_box"}
    assert lines[-1]["validation"]["region_box_loss"] > 0
    reader = Reader.from_checkpoint(detector)
    reading = reader.read(boxed_study(1, split="test"))
    finding = reading.finding("Pleural Effusion")
    assert finding is not None
    assert finding.probability is not None
    assert 1 <= len(finding.region) <= 3
    assert finding.peak is not None


def test_a_finding_counts_as_present_from_the_score_with_the_best_f1(detector: Path) -> None:
    threshold = load_checkpoint(detector).thresholds["Pleural Effusion"]
    reader = Reader.from_checkpoint(detector)
    studies = [boxed_study(i, split="validation") for i in range(SIZES["validation"])]
    found = [reader.read(study).finding("Pleural Effusion") for study in studies]
    said = [each.probability for each in found if each is not None and each.probability is not None]
    boxed = [bool(study.readings[0].findings[0].boxes) for study in studies]  # type: ignore[index]

    def f1(cut: float) -> float:
        hits = sum(b and p >= cut for b, p in zip(boxed, said, strict=True))
        return 2 * hits / (sum(p >= cut for p in said) + sum(boxed))

    record = json.loads((detector / "run_record.json").read_text())
    assert record["present_from"] == {"Pleural Effusion": threshold}
    assert f1(threshold) == max(f1(cut) for cut in said)
    assert [each.status for each in found if each] == ["present" if p >= threshold else "absent" for p in said]


def test_the_thresholds_of_a_finding_head_are_not_those_of_scores(
    detector: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "MINIMUM_POSITIVES", 3)
    head = {"labels": "phantom-effusion"}
    run(detector_config(finding_head=head), out=tmp_path / "headed", cache=cache, quality=False)
    assert load_checkpoint(tmp_path / "headed").thresholds != {}
    assert prepare(with_trained_regions(words_config(tmp_path / "headed")), cache=cache).present_from == {}
    trained = prepare(with_trained_regions(words_config(detector)), cache=cache).present_from
    assert trained == load_checkpoint(detector).thresholds != {}


def test_few_boxes_choose_no_threshold(tmp_path: Path, cache: Path) -> None:
    run(detector_config(), out=tmp_path / "run", cache=cache, quality=False)
    assert load_checkpoint(tmp_path / "run").thresholds == {}


def test_the_regions_of_a_run_are_patches_of_another(detector: Path, cache: Path) -> None:
    config = with_trained_regions(words_config(detector))
    assert config.encoder.regions is not None
    assert config.encoder.regions.attributes == "phantom-effusion"
    assert (config.encoder.name, config.encoder.stage) == ("test_efficientnet", 4)
    prepared = prepare(config, cache=cache)
    encoder = prepared.system.encoder
    assert encoder is not None
    trained = load_checkpoint(detector).build()
    assert trained.localizer is not None
    for name, value in trained.localizer.detector.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(encoder.detector.state_dict()[name], value), name  # type: ignore[union-attr]
    assert not any(p.requires_grad for p in encoder.parameters())
    batch = next(iter(prepared.batches(prepared.train)))
    assert batch.features is not None
    assert batch.features.shape[2:] == (10, 8 + 5)
    assert batch.attributes is not None
    assert bool(batch.attributes.any(dim=1).all())
    assert len(prepared.train) == SIZES["train"] // 2  # the others state no attribute


def test_words_are_learnt_from_regions_and_read_again(detector: Path, tmp_path: Path, cache: Path) -> None:
    run(words_config(detector), out=tmp_path / "run", cache=cache, quality=False)
    system = load_checkpoint(tmp_path / "run").build()
    assert system.finds_regions
    pictures = torch.randn(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = system.features(images=pictures, view_mask=torch.ones(2, 1, dtype=torch.bool))
    with torch.no_grad():
        answer = system.answer(features)
    assert answer.attributes is not None
    assert answer.attributes.probabilities.shape == (2, 6)
    assert answer.regions is not None
    assert torch.allclose(answer.regions.weights.sum(dim=1), torch.ones(2))
    assert load_checkpoint(tmp_path / "run").thresholds == load_checkpoint(detector).thresholds != {}
    notes = [note.name for note in load_checkpoint(tmp_path / "run").sources]
    assert notes.count("mini") == 1


def attributes_of(split: Split) -> list[list[bool]]:
    """What the report of each study states."""
    found = [target.further.attributes for target in split.targets]
    return [attributes.tolist() for attributes in found if attributes is not None]


def sided_study(index: int, *, split: str) -> Study:
    """A study whose report names the right side where its number says so."""
    study = boxed_study(index, split=split)
    (reading,) = study.readings
    said = reading.report.findings.replace("left", "right" if index % 3 else "left")
    report = reading.report.model_copy(update={"findings": said})
    return study.model_copy(update={"readings": (reading.model_copy(update={"report": report}),)})


def test_a_control_has_the_attributes_of_other_studies(
    detector: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    use_studies(monkeypatch, lambda split: [sided_study(i, split=split) for i in range(SIZES[split])])
    config = with_trained_regions(words_config(detector, localizer={**WORDS, "shuffled": True}))
    plain = with_trained_regions(words_config(detector))
    shuffled, own = (prepare(each, cache=cache) for each in (config, plain))
    given, stated = attributes_of(shuffled.train), attributes_of(own.train)
    assert given == [stated[other] for other in donors(len(stated), seed=config.train.seed)]
    assert given != stated
    assert attributes_of(shuffled.validation) == attributes_of(own.validation)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"image": {"size": 96}}, "image.size 96 with encoder.regions.weights"),
        ({"encoder": {"stage": 3}}, "encoder.stage with encoder.regions.weights"),
        ({"localizer": {**WORDS, "attributes": "pneumonia"}}, "localizer.attributes pneumonia with encoder"),
        ({"encoder": {"regions": {"pyramid": 16}}}, "encoder.regions.pyramid with encoder.regions.weights"),
    ],
)
def test_what_contradicts_the_detector_is_refused(detector: Path, changes: dict[str, Any], match: str) -> None:
    encoder = changes.get("encoder", {})
    regions = {"weights": str(detector), **encoder.get("regions", {})}
    config = mini_config(**{**ALONE, "localizer": WORDS, **changes, "encoder": {**encoder, "regions": regions}})
    with pytest.raises(IncompatibleError, match=match):
        with_trained_regions(config)


def test_studies_with_few_regions_are_counted(detector: Path, cache: Path) -> None:
    prepared = prepare(with_trained_regions(words_config(detector)), cache=cache)
    batch = next(iter(prepared.batches(prepared.train)))
    assert batch.features is not None
    rows = batch.features.clone()
    for study, kept in enumerate((3, 4, 5)):
        rows[study, :, kept:, -1] = -1.0
    assert count_few_regions([replace(batch, features=rows)], 4) == (1, 2)


def test_a_detector_of_no_more_regions_than_are_weighed_is_refused(detector: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"localizer\.count 10 .* none is left to compare these with"):
        with_trained_regions(words_config(detector, localizer={**WORDS, "count": 10}))


def test_regions_of_no_run_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"encoder\.regions without encoder\.regions\.weights"):
        with_trained_regions(mini_config(**{**ALONE, "encoder": {"regions": {}}, "localizer": WORDS}))


def test_a_run_that_detects_nothing_is_refused(tmp_path: Path, cache: Path) -> None:
    run(mini_config(decoder=None, contrast=None), out=tmp_path / "plain", cache=cache, quality=False)
    with pytest.raises(IncompatibleError, match="its system detects no boxes"):
        with_trained_regions(words_config(tmp_path / "plain"))
    with pytest.raises(CheckpointError, match=r"encoder\.regions\.weights"):
        with_trained_regions(words_config(tmp_path / "none"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"contrast": {"repeats": 2}}, "contrast with encoder.regions"),
        ({"localizer": DETECTOR}, "a localizer on stages of its own with encoder.regions"),
        ({"projection": {"kind": "linear"}}, "projection.kind linear with encoder.regions"),
    ],
)
def test_parts_that_need_a_grid_are_refused(
    detector: Path, cache: Path, changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(IncompatibleError, match=match):
        prepare(with_trained_regions(words_config(detector, **changes)), cache=cache)


def test_studies_whose_boxes_nobody_drew_are_left_out_and_no_box_at_all_is_refused(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    use_studies(monkeypatch, lambda split: [boxed_study(i, split=split, boxed=i % 4 == 1) for i in range(12)])
    prepared = prepare(detector_config(), cache=cache)
    assert len(prepared.train) == 9  # three have an effusion without a box
    use_studies(monkeypatch, lambda split: [boxed_study(i, split=split, boxed=False) for i in range(6)])
    with pytest.raises(IncompatibleError, match="boxes are all that it learns"):
        prepare(detector_config(), cache=cache)


def test_reports_without_an_attribute_teach_no_words(
    detector: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    use_studies(monkeypatch, lambda split: [mini_study(2 * i, split=split) for i in range(4)])
    with pytest.raises(DatasetError, match="none of 4 reports states an attribute of phantom-effusion"):
        prepare(with_trained_regions(words_config(detector)), cache=cache)


def test_a_run_says_how_good_its_boxes_are_how_they_fit_and_whose_taught_it(detector: Path) -> None:
    said = json.loads((detector / "run_record.json").read_text())
    assert 0.0 <= said["anchored"] <= 1.0
    assert all(0.0 <= epoch["validation"][name] <= 1.0 for epoch in said["curves"] for name in ("map", "map_50"))
    assert "have an anchor with an IoU above 0.5" in (detector / "log.txt").read_text()
    assert len(said["boxed_patients"]) == len(set(said["boxed_patients"])) > 0
    assert load_checkpoint(detector).record["boxed_patients"] == said["boxed_patients"]


@pytest.mark.parametrize(
    ("boxes", "share"),
    [
        ([(20, 40, 70, 140)], 1.0),  # 32×32 pixels of the model's picture of 64
        ([(20, 40, 24, 48)], 0.0),  # 2.6×2.6
        ([(20, 40, 70, 140), (20, 40, 24, 48), (0, 0, 3, 9)], 1 / 3),
        ([(20, 40, 70, 140), (20, 40, 21, 41)], 1.0),  # thinner than a pixel there, and no box
        ([], None),
    ],
)
def test_boxes_are_held_against_anchors_at_the_size_that_the_model_sees(
    boxes: list[tuple[int, ...]], share: float | None
) -> None:
    localizer = tiny_head("localizer", "retinanet")
    reader = BoxReader(("Mass",), 8, 8, 64, as_corners=True)
    view = View(view_id="v", width=100, height=200, pixels=np.zeros((200, 100), np.float32))
    finding = Finding(name="Mass", status="present", boxes=tuple(Box(view=0, xyxy=xyxy) for xyxy in boxes))
    author = Author(kind="human", name="a")
    reading = Reading(study_id="s", author=author, findings=(finding,))
    study = Study(study_id="s", views=(view,), readings=(reading,))
    assert anchored_share(localizer, reader, [study, study]) == pytest.approx(share)
    unknown = study.model_copy(update={"views": (view.model_copy(update={"width": None, "height": None}),)})
    assert anchored_share(localizer, reader, [unknown]) is None


def test_a_detector_is_not_scored_on_the_patients_whose_boxes_taught_it(
    detector: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(words_config(detector), out=tmp_path / "words", cache=cache, quality=False)
    data, options = parse_data("mini:memory"), {"attributes": "phantom-effusion", "with_meteor": False}
    readers = [Reader.from_checkpoint(model) for model in (detector, tmp_path / "words")]
    for reader in readers:
        with pytest.raises(RequestError, match="boxes of 6 of its 6 patients with boxes taught the detector of"):
            evaluate(reader, data=data, split="train", **options, baselines=False, cache=cache)

    def others(split: str) -> list[Study]:
        studies = [boxed_study(i, split=split) for i in range(SIZES[split])]
        return [s.model_copy(update={"patient_id": f"other {s.study_id}"}) for s in studies]

    use_studies(monkeypatch, others)
    for reader in readers:
        found = evaluate(
            reader, data=parse_data("mini:memory"), split="test", **options, baselines=False, cache=cache
        )
        assert found.facts["boxes"].startswith("2 on 2 studies")
