"""Corpora: stable locators, patients that stay in their split, truth in the one form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrastcxr.data.pixels import load_file, load_pixels
from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.form import Study
from contrastcxr.phantom import PhantomId, locator, render, render_locator, write_studies
from contrastcxr.phantom.corpus import NAMES, draw_studies, phantom_study
from contrastcxr.phantom.locators import SPLITS, parse_locator, patient_of, phantom_parameters, split_size
from contrastcxr.phantom.twins import ROLES
from contrastcxr.text.grammar.parsing import parse

TRAIN = draw_studies("smoke", split="train", limit=24)


def test_a_corpus_is_the_same_every_time_and_a_prefix_of_the_longer_one() -> None:
    again = draw_studies("smoke", split="train", limit=10)
    assert [s.model_dump_json() for s in again] == [s.model_dump_json() for s in TRAIN[:10]]


def test_another_seed_is_another_corpus() -> None:
    other = draw_studies("smoke", split="train", seed=1, limit=10)
    assert [s.readings for s in other] != [s.readings for s in TRAIN[:10]]


def test_the_standard_splits_have_the_sizes_of_the_design() -> None:
    assert [split_size("standard", s) for s in ("train", "validation", "test")] == [3000, 300, 600]
    assert split_size("standard", "twins") == 4 * 300


def test_a_locator_goes_to_text_and_back() -> None:
    phantom = PhantomId("standard", "test", 123, seed=4)
    assert locator(phantom, "lateral") == "phantom:standard/test/000123?seed=4&view=lateral"
    assert parse_locator(locator(phantom, "lateral")) == (phantom, "lateral")
    assert parse_locator("phantom:standard/test/000123") == (PhantomId("standard", "test", 123), "frontal")


def test_a_locator_draws_the_picture_of_its_study() -> None:
    phantom = PhantomId("smoke", "test", 5)
    np.testing.assert_array_equal(
        render_locator(locator(phantom), size=96), render(phantom_parameters(phantom), size=96).pixels
    )


@pytest.mark.parametrize(
    "text", ["phantom:standard", "phantom:standard/test/1?view=frontal", "phantom:standard/test/000600", "x"]
)
def test_a_locator_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_locator(text)


def test_an_unknown_split_names_a_known_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'validation'"):
        draw_studies("smoke", split="validations")


def test_patients_have_one_to_three_studies_and_never_cross_splits() -> None:
    patients = {
        split: [(split, patient_of(PhantomId("standard", split, i))[0]) for i in range(300)]
        for split in ("train", "validation", "test")
    }
    counts = np.bincount([p for _, p in patients["train"]])
    assert set(counts[:-1]) == {1, 2, 3}
    seeds = {
        split: {phantom_parameters(PhantomId("smoke", split, i)).patient.seed for i in range(12)}
        for split in ("train", "validation", "test")
    }
    assert not seeds["train"] & seeds["validation"]
    assert not seeds["train"] & seeds["test"]
    assert not seeds["validation"] & seeds["test"]


def test_the_truth_names_every_finding_once_and_boxes_what_is_seen() -> None:
    for study in TRAIN:
        reading = study.readings[0]
        assert reading.author.name == "phantom truth"
        assert [f.name for f in reading.findings] == list(NAMES)
        for finding in reading.findings:
            assert finding.status in ("present", "absent", "uncertain")
            assert bool(finding.boxes) <= (finding.status != "absent")
            for box in finding.boxes:
                assert box.xyxy[2] <= study.views[0].width
                assert box.xyxy[3] <= study.views[0].height


def test_sentences_point_at_what_they_say() -> None:
    for study in TRAIN:
        reading = study.readings[0]
        for finding in reading.findings:
            assert finding.status == "absent" or finding.sentences
            assert all(i < len(reading.report.sentences) for i in finding.sentences)


def test_the_report_says_what_is_true() -> None:
    for study in TRAIN:
        reading = study.readings[0]
        said = parse(f"{reading.report.findings} {reading.report.impression}")
        assert {f.name for f in said if f.status == "present"} == reading.present()


def test_boxes_agree_with_the_drawn_picture() -> None:
    study = next(s for s in TRAIN if s.readings[0].findings[0].boxes or s.readings[0].findings[3].boxes)
    phantom, _ = parse_locator(study.views[0].locator or "")
    parameters = phantom_parameters(phantom)
    drawn = render(parameters, size=study.views[0].width or 0)
    boxes = [b.xyxy for f in study.readings[0].findings for b in f.boxes]
    seen = [drawn.boxes[i] for i, lesion in enumerate(parameters.lesions) if lesion.status != "absent"]
    for box in boxes:
        assert min(np.abs(np.array(box) - np.array(other)).max() for other in seen) <= 2


@pytest.mark.parametrize("level", ["smoke", "easy", "standard", "hard"])
def test_sizes_and_boxes_are_in_pixels_of_the_picture_that_a_locator_draws(level: str) -> None:
    phantom = next(p for p in (PhantomId(level, "test", i) for i in range(20)) if not phantom_parameters(p).normal)
    study = phantom_study(phantom)
    view = study.views[0]
    assert load_pixels(view).shape == (view.height, view.width)
    drawn = render(phantom_parameters(phantom), size=view.width or 0).boxes.values()
    boxes = [box.xyxy for finding in study.readings[0].findings for box in finding.boxes]
    assert boxes
    assert all(any(np.allclose(box, other, atol=2.1) for other in drawn) for box in boxes)


def test_about_forty_five_percent_are_normal() -> None:
    normal = [phantom_parameters(PhantomId("smoke", "train", i)).normal for i in range(200)]
    assert 0.33 < np.mean(normal) < 0.57


def test_twins_are_one_anatomy_four_ways() -> None:
    four = draw_studies("smoke", split="twins", limit=4)
    assert [s.study_id.rsplit("-", 1)[1] for s in four] == list(ROLES)
    assert len({s.patient_id for s in four}) == 1
    parameters = [phantom_parameters(PhantomId("smoke", "twins", i)) for i in range(4)]
    assert len({p.patient for p in parameters}) == 1
    assert parameters[0].pose == parameters[1].pose != parameters[2].pose
    assert not four[0].readings[0].present()
    assert not four[2].readings[0].present()


def test_mirrored_twins_swap_the_side() -> None:
    for first in range(0, 12, 4):
        lesion, mirrored = (
            draw_studies("smoke", split="twins", limit=first + 4)[first + k].readings[0] for k in (1, 3)
        )
        assert lesion.present() == mirrored.present() != frozenset()
        for name in lesion.present():
            sides = {lesion.finding(name).side, mirrored.finding(name).side}
            assert sides == {"left", "right"}


def test_shift_is_another_detector() -> None:
    detectors = {s: phantom_parameters(PhantomId("smoke", s, 0)).technique.detector for s in SPLITS}
    assert detectors.pop("shift") == "shift"
    assert set(detectors.values()) == {"standard"}


@pytest.mark.parametrize("format_", ["png", "dicom"])
def test_written_studies_are_read_back_from_their_manifest(tmp_path: Path, format_: str) -> None:
    paths = write_studies(tmp_path, studies=2, level="smoke", format=format_)
    studies = [Study.model_validate_json(line) for line in paths[-1].read_text().splitlines()]
    assert len(studies) == 2
    views = [v for s in studies for v in s.views]
    assert [tmp_path / v.locator for v in views] == paths[:-1]
    for study in studies:
        for finding in study.readings[0].findings:
            assert all(b.xyxy[2] <= study.views[0].width for b in finding.boxes)
        assert all(load_file(tmp_path / v.locator).shape == (v.height, v.width) for v in study.views)


def test_too_many_studies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="smoke/test has 60"):
        write_studies(tmp_path, studies=61, level="smoke")
    assert not list(tmp_path.iterdir())
