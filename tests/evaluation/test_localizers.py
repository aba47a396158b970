"""Evaluations of readings that mark places, with and without reports, from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import boxed_corpus
import small_corpus
from contrastcxr.cli.main import run
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate, load_readings
from contrastcxr.evaluation.compare import compare
from contrastcxr.evaluation.feature_extractor import FeatureExtractor
from contrastcxr.evaluation.place_baselines import grid_of
from contrastcxr.form import Author, Reading, Study
from contrastcxr.metrics.table import StudyTable
from contrastcxr.models.encoders import build_encoder
from contrastcxr.reading.reader import Reader
from tiny_system import save_tiny, tiny_config

DATA = parse_data("phantom:smoke")
QUICK = Bootstrap(replicates=30, minimum=2)


@pytest.fixture(autouse=True)
def _phantoms_with_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", boxed_corpus.corpus)


def readings(**options: Any) -> list[Reading]:
    return [boxed_corpus.localizer(study, **options) for study in boxed_corpus.corpus(split="test")]


def scored(given: list[Reading], **options: Any) -> Evaluation:
    settings = {"data": DATA, "baselines": False, "with_meteor": False, "bootstrap": QUICK, **options}
    return evaluate(given, **settings)


def test_the_true_boxes_are_perfect_and_no_word_is_scored() -> None:
    scores = scored(readings()).scores
    for name in ("tiou_0.7", "tiobb_0.7", "pointing", "tiou_0.5/Nodule", "auc_mean"):
        assert scores[name].value == 1, name
    assert scores["false_boxes"].value == 0
    assert scores["bleu_4"].value is None
    assert scores["positive_f1"].note == "no report is written"
    assert "distinct_reports" not in scores


def test_boxes_moved_by_half_their_width_overlap_by_a_third() -> None:
    scores = scored(readings(shift=10.0)).scores
    assert scores["tiou_0.3"].value == 1
    assert scores["tiou_0.5"].value == 0
    assert scores["tiobb_0.3"].value == 1
    assert scored(readings(shift=21.0)).scores["false_boxes"].value == pytest.approx(8 / 12)


def test_a_finding_that_is_never_looked_for_is_not_scored_for_anybody(tmp_path: Path) -> None:
    def without(reading: Reading, name: str) -> Reading:
        return reading.model_copy(update={"findings": tuple(f for f in reading.findings if f.name != name)})

    found = scored([without(reading, "Nodule") for reading in readings()], baselines=True, cache=tmp_path)
    assert found.scores["tiou_0.3"].value == 1
    for system in found.systems.values():
        assert "tiou_0.3/Nodule" not in system.scores
    silent = [
        r.model_copy(
            update={"findings": tuple(f.model_copy(update={"region": (), "peak": None}) for f in r.findings)}
        )
        if place
        else r
        for place, r in enumerate(readings())
    ]
    assert scored(silent).scores["tiou_0.3"].value < 1  # looked for, and mostly not found


def test_a_localizer_that_writes_has_all_families() -> None:
    found = scored(readings(silent=False))
    assert found.scores["bleu_4"].value == pytest.approx(1)
    assert found.scores["tiou_0.7"].value == 1
    assert found.facts["boxes"] == "8 on 8 studies, of 2 findings, by phantom truth"


def test_readings_without_a_word_or_provenance_are_a_localizer_too(tmp_path: Path) -> None:
    bare = [reading.model_copy(update={"provenance": {}}) for reading in readings()]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(r.model_dump_json(by_alias=True) + "\n" for r in bare))
    found = scored(load_readings(path))
    assert found.notes == ()
    assert found.scores["bleu_4"].value is None
    unmarked = [r.model_copy(update={"findings": ()}) for r in bare]
    path.write_text("".join(r.model_dump_json(by_alias=True) + "\n" for r in unmarked))
    with pytest.raises(RequestError, match="the text of every reading is empty"):
        load_readings(path)


def test_a_model_without_a_decoder_and_without_regions_is_scored_by_its_probabilities() -> None:
    blind = [
        r.model_copy(
            update={
                "findings": tuple(
                    f.model_copy(update={"region": (), "boxes": (), "peak": None}) for f in r.findings
                )
            }
        )
        for r in readings()
    ]
    found = scored(blind)
    assert found.scores["auc_mean"].value == 1
    assert found.systems["system"].table.iou is None
    assert "tiou_0.3" not in found.scores
    assert found.notes == ()


def test_references_without_boxes_give_one_note_and_no_score(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
    found = scored(readings(), baselines=True, cache=tmp_path)
    assert [note for note in found.notes if "box" in note] == [
        "the reference author phantom truth gives no boxes: localization is not scored"
    ]
    assert not any(name.startswith(("tiou", "pointing", "false")) for name in found.scores)
    assert "mean_box" not in found.systems


def test_readers_that_cannot_see_stand_beside_a_localizer(tmp_path: Path) -> None:
    found = scored(readings(), baselines=True, cache=tmp_path)
    assert list(found.systems) == ["system", "constant", "neighbour", "mean_box"]
    assert found.systems["constant"].scores["tiou_0.1"].value == 0  # a box is a thirteenth of the picture
    assert found.systems["constant"].scores["tiobb_0.1"].value == 0
    assert found.systems["constant"].scores["auc_mean"].value == 0.5
    assert found.systems["mean_box"].scores["tiou_0.1"].value == 1
    assert found.systems["mean_box"].scores["false_boxes"].value is None
    assert found.systems["neighbour"].scores["false_boxes"].value is not None
    assert all(system.table.bleu is None for system in found.systems.values())
    assert found.systems["mean_box"].description.startswith("the mean of each finding's training boxes")


def test_beside_a_localizer_that_writes_baselines_do_both(tmp_path: Path) -> None:
    found = scored(readings(silent=False), baselines=True, cache=tmp_path)
    assert list(found.systems) == ["system", "constant", "commonest", "neighbour", "mean_box", "ceiling", "floor"]
    constant = found.systems["constant"]
    assert constant.scores["bleu_4"].value is not None
    assert constant.scores["tiou_0.3"].value == 0
    assert constant.description.endswith("; the whole picture marked for every finding")
    assert found.systems["mean_box"].scores["bleu_4"].value is None
    assert found.systems["ceiling"].table.iou is None  # submitted readings have no grid


def test_without_training_boxes_a_note_stands_for_the_mean_box(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def corpus(level: str = "smoke", *, split: str = "train", **options: Any) -> list[Study]:
        return (boxed_corpus if split == "test" else small_corpus).corpus(level, split=split, **options)

    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", corpus)
    found = scored(readings(), baselines=True, cache=tmp_path)
    assert "no mean box: the training split has no boxes" in found.notes
    assert found.systems["neighbour"].table.iou is None
    assert found.systems["constant"].table.iou is not None


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """A tiny system whose readings get the regions of a localizer."""

    def read(_reader: Reader, studies: list[Study], *, cache: Path) -> tuple[list[Reading], list[str]]:
        del cache
        return [boxed_corpus.localizer(study) for study in studies], []

    monkeypatch.setattr("contrastcxr.evaluation.run.read_cached", read)
    return Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(data={"max_views": 1})))


def test_a_reader_has_the_ceiling_of_its_grid(reader: Reader, tmp_path: Path) -> None:
    settings = {"data": DATA, "with_meteor": False, "bootstrap": QUICK, "cache": tmp_path}
    found = evaluate(reader, **settings)  # type: ignore[arg-type]
    assert list(found.systems) == ["system", "constant", "neighbour", "mean_box", "ceiling"]
    ceiling, grid = found.systems["ceiling"], grid_of(reader)
    assert grid is not None
    assert ceiling.description.startswith("a perfect labelling on the localizer's grid")
    # A box of 20 by 16 pixels, and the cells that it touches.
    cell = 64 / grid[0]
    assert ceiling.table.iou is not None
    for index, value in enumerate(ceiling.table.iou.max(axis=1, initial=-1, where=ceiling.table.iou >= 0)):
        if value >= 0:
            x1, y1, x2, y2 = boxed_corpus.box_of(index)
            wide = (-(-x2 // cell) - x1 // cell) * cell
            tall = (-(-y2 // cell) - y1 // cell) * cell
            assert value == pytest.approx(20 * 16 / (wide * tall))


def test_extents_are_those_of_the_cached_affines(reader: Reader, tmp_path: Path) -> None:
    assert reader.system.encoder is not None
    extractor = FeatureExtractor(reader.system.encoder, reader.preprocess, 1, tmp_path)
    assert (
        extractor.extents(boxed_corpus.corpus(split="test", limit=2)) == [{0: pytest.approx((0, 0, 64, 64))}] * 2
    )


def test_a_picture_is_near_by_the_map_that_is_read_whatever_stages_stand_behind_it(
    reader: Reader, tmp_path: Path
) -> None:
    studies = boxed_corpus.corpus(split="test", limit=3)
    further: list[dict[str, Any]] = [{}, {"stages": (1,), "stage_pooling": "unfold"}, {"stages": (0, 1)}]
    made = [build_encoder("test_resnet", weights="random", image_size=64, **each) for each in further]
    assert len({encoder.channels for encoder in made}) == 3
    found = [FeatureExtractor(encoder, reader.preprocess, 1, tmp_path).pooled(studies) for encoder in made]
    assert found[0][0].shape == (3, made[0].channels)
    assert found[0][0].any()
    for rows, readable in found:
        assert readable == [0, 1, 2]
        assert np.array_equal(rows, found[0][0])


def test_the_folder_holds_the_places_and_two_folders_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(small_corpus.SIZES, "test", 30)  # ten images of each finding
    for name, shift in (("true", 0.0), ("moved", 10.0)):
        # Of a seed of its own: studies once drawn are kept in memory.
        scored(readings(shift=shift), data=parse_data("phantom:smoke?seed=30"), out=tmp_path / name)
    kept = StudyTable.load(tmp_path / "true" / "studies.npz")
    assert kept.iou is not None
    assert kept.bleu is None
    found = {s.name: s for s in compare(tmp_path / "true", tmp_path / "moved", replicates=30, shuffles=99).scores}
    assert {"auc_mean", "false_boxes", "tiou_0.3", "tiobb_0.3", "pointing"} <= found.keys()
    assert not any(name.startswith("bleu") for name in found)
    assert found["tiou_0.3"].p == 1
    assert found["tiou_0.5"].difference.value == 1
    assert found["tiou_0.5"].p_holm == pytest.approx(min(1, found["tiou_0.5"].p * len(found)), rel=0.5)
    said = json.loads((tmp_path / "true" / "scores.json").read_text())["systems"]["system"]["scores"]
    assert said["tiou_0.5/Nodule"]["signature"].endswith("|correct:IoU>0.5|finding:Nodule")
    assert said["tiou_0.5/Nodule"]["note"] == "n counts images with a box of the finding"


def test_a_localizer_compares_with_a_writer_on_what_both_have(tmp_path: Path) -> None:
    scored(readings(), out=tmp_path / "silent")
    scored(readings(silent=False), out=tmp_path / "writing")
    found = compare(tmp_path / "silent", tmp_path / "writing", replicates=30, shuffles=99)
    assert [s.name for s in found.scores if s.name.startswith(("bleu", "positive"))] == []
    assert {score.name: score.difference.value for score in found.scores}["false_boxes"] == 0


@pytest.mark.parametrize("silent", [True, False])
def test_the_page_shows_where_findings_are(silent: bool, tmp_path: Path) -> None:
    scored(readings(shift=10.0, silent=silent), baselines=True, out=tmp_path / "out", cache=tmp_path)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="localization"' in page
    assert "mean box" in page
    assert '<rect x="' in page
    assert ('id="errors"' in page) is not silent
    assert ('id="texts"' in page) is not silent
    assert ("no report is written (commonest, mean_box)" in page) is not silent
    assert "localized, IoU above 0.3, mean over findings" in (tmp_path / "out" / "report.md").read_text()


def test_the_command_prints_a_row_for_each_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(r.model_dump_json(by_alias=True) + "\n" for r in readings(shift=10.0)))
    command = ["evaluate", "--readings", str(path), "--data", "phantom:smoke", "--out", str(tmp_path / "out")]
    assert run([*command, "--cache", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "share of images localized, by what the IoU is above" in said
    assert "boxes on too few images: Pleural Effusion (4), Nodule (4)" in said
    assert "bleu" not in said
    assert not [line for line in said.splitlines() if line.endswith(": ")]


def test_an_author_of_labels_alone_has_no_text_to_score(tmp_path: Path) -> None:
    rows = [
        {"study_id": f"{s}{i}", "image": f"{s}{i}.png", "split": s, "labels": ["Edema"] if i % 2 else ["Mass"]}
        for s in ("train", "test")
        for i in range(4)
    ]
    path = tmp_path / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [
        small_corpus.corpus(split="test")[i]
        .readings[0]
        .model_copy(update={"study_id": f"test{i}", "author": Author(kind="model", name="m")})
        for i in range(4)
    ]
    found = scored(said, data=parse_data(f"manifest:{path}?images=any"), out=tmp_path / "out")
    assert found.scores["bleu_4"].value is None
    assert found.scores["bleu_4"].note == "the references hold no report"
