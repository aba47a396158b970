"""What training refuses or warns of before the first step: labels and boxes that no study has, coarse grids."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mini_data import mini_config, mini_study, use_studies

from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError
from contrastcxr.form import Author, Box, Finding, Reading, Report, Study
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training import checks, run
from contrastcxr.training.checks import check_studies, check_vocabulary
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.prepare import prepare
from contrastcxr.vocab.labels import PHANTOM

CAM = {"kind": "cam", "labels": "phantom"}
HEADS: Mapping[str, dict[str, Any]] = {"finding_head": {"labels": "phantom"}, "localizer": CAM}
SAY_NOTHING = Author(kind="human", name="someone")


def learning(slot: str, **options: Any) -> SystemConfig:
    """A system with one head that learns labels, and no word."""
    train = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"}
    heads: dict[str, Any] = {"decoder": None, "contrast": None, "finding_head": None, "localizer": None}
    return mini_config(**{**heads, "train": train, slot: {**HEADS[slot], **options}})


def studies(split: str = "train", *, count: int = 8, **changes: Any) -> list[Study]:
    return [with_findings(mini_study(i, split=split), **changes) for i in range(count)]


def with_findings(study: Study, author: Author | None = None, **changes: Any) -> Study:
    """The study whose one finding has other values, by another author."""
    (reading,) = study.readings
    (finding,) = reading.findings
    findings = (finding.model_copy(update=changes),)
    said = {"findings": findings, "author": author or reading.author}
    return study.model_copy(update={"readings": (reading.model_copy(update=said),)})


@pytest.mark.parametrize("slot", HEADS)
def test_findings_that_no_training_study_has_are_named(slot: str, caplog: pytest.LogCaptureFixture) -> None:
    check_studies(learning(slot), studies(), [])
    (record,) = caplog.records
    others = [name for name in PHANTOM if name != "Pleural Effusion"]
    said = f"{', '.join(others[:8])} and {len(others) - 8} more"
    assert record.levelno == logging.WARNING
    assert record.message == (
        f"{slot}.labels phantom with data.source mini:memory, 8 training studies: none has {said}, so what the "
        "model says of that means nothing; choose other labels or raise data.train_limit"
    )


def test_nothing_is_said_where_every_finding_is_there_once(caplog: pytest.LogCaptureFixture) -> None:
    every = tuple(Finding(name=name, status="present") for name in PHANTOM)
    first, *rest = studies()
    (reading,) = first.readings
    whole = first.model_copy(update={"readings": (reading.model_copy(update={"findings": every}),)})
    check_studies(learning("localizer"), [*rest, whole], [])
    assert not caplog.records


@pytest.mark.parametrize("slot", HEADS)
def test_labels_that_no_training_study_has_are_refused(slot: str) -> None:
    with pytest.raises(IncompatibleError, match=rf"^{slot}\.labels .* none of these findings is present"):
        check_studies(learning(slot), studies(status="absent"), [])


@pytest.mark.parametrize("slot", HEADS)
def test_studies_that_say_nothing_of_any_label_are_refused(slot: str) -> None:
    silent = studies(status="unmentioned", author=SAY_NOTHING)
    with pytest.raises(IncompatibleError, match=r"they say of none of these findings whether it is there; choose"):
        check_studies(learning(slot), silent, [])


def test_an_uncertain_finding_is_there_where_it_counts_as_present() -> None:
    doubtful = studies(status="uncertain")
    check_studies(learning("localizer", uncertain="ones"), doubtful, [])
    with pytest.raises(IncompatibleError, match="none of these findings is present"):
        check_studies(learning("localizer", uncertain="zeros"), doubtful, [])


def test_a_system_that_learns_no_label_is_asked_for_none(caplog: pytest.LogCaptureFixture) -> None:
    check_studies(mini_config(finding_head=None), studies(status="unmentioned", author=SAY_NOTHING), [])
    assert not caplog.records


CANONICAL = {"min_count": 1, "order": "canonical"}


def with_text(findings: str, split: str = "train") -> list[Study]:
    """Studies whose reports say all the same."""
    found = []
    for study in studies(split):
        (reading,) = study.readings
        said = reading.model_copy(update={"report": Report(findings=findings)})
        found.append(study.model_copy(update={"readings": (said,)}))
    return found


@pytest.mark.parametrize("text", ["", "pleural effusion", "Left effusion of 1.2 cm"])
def test_order_is_refused_on_text_without_sentences(text: str) -> None:
    with pytest.raises(IncompatibleError) as refused:
        check_studies(mini_config(text=CANONICAL), with_text(text), [])
    assert str(refused.value) == (
        "text.order canonical with data.source mini:memory: order on text without sentences: no mark ends one in "
        "findings of its 8 training reports; set text.order: as_written, or choose data with reports"
    )
    check_studies(mini_config(text={"min_count": 1}), with_text(text), [])


def test_order_needs_one_report_with_a_sentence() -> None:
    check_studies(mini_config(text=CANONICAL), [*with_text("pleural effusion"), *with_text("No effusion.")], [])


@pytest.mark.parametrize(
    ("train", "made_by"), [({}, "text.min_count and text.max_words"), ({"init_from": "runs/a"}, "train.init_from")]
)
def test_order_is_refused_of_a_vocabulary_that_ends_no_sentence(train: dict[str, Any], made_by: str) -> None:
    config = mini_config(text=CANONICAL, train={"monitor": "loss", **train})
    with pytest.raises(IncompatibleError) as refused:
        check_vocabulary(config, Tokenizer(["no", "effusion"]))
    assert str(refused.value) == (
        f"text.order canonical with {made_by}: order on text without sentences: the vocabulary lacks the full "
        "stop, which ends one; change the latter, or set text.order: as_written"
    )
    check_vocabulary(config, Tokenizer(["no", "effusion", "."]))
    check_vocabulary(mini_config(), Tokenizer(["no", "effusion"]))


def test_a_vocabulary_cut_before_the_full_stop_is_refused_in_preparing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_studies(monkeypatch, lambda split: with_text("effusion effusion effusion.", split))
    with pytest.raises(IncompatibleError, match=r"text\.order canonical with text\.min_count and text\.max_words"):
        prepare(mini_config(text={**CANONICAL, "max_words": 1}), cache=cache)


def test_a_cut_is_not_tuned_on_studies_without_boxes() -> None:
    tuned = learning("localizer", cuts="tuned")
    with pytest.raises(IncompatibleError) as refused:
        check_studies(tuned, studies(), studies("validation"))
    assert str(refused.value) == (
        "localizer.cuts tuned with data.source mini:memory: none of its 8 validation studies has a box of a "
        "finding of phantom, on which the cut is chosen; set localizer.cuts: fixed, or choose data with boxes, "
        "such as phantom:standard"
    )
    check_studies(learning("localizer"), studies(), studies("validation"))


def test_boxes_of_findings_that_are_not_learnt_do_not_count() -> None:
    elsewhere = studies("validation", name="Infiltration", boxes=(Box(xyxy=(1, 1, 9, 9)),))
    with pytest.raises(IncompatibleError, match="none of its 8 validation studies has a box"):
        check_studies(learning("localizer", cuts="tuned"), studies(), elsewhere)


def boxed_by(name: str, study: Study) -> Study:
    """The study with one more reading, which has the box of its bright patch where there is one."""
    finding = study.readings[0].findings[0]
    box = (Box(xyxy=(32, 40, 64, 64)),) if finding.status == "present" else ()
    drawn = finding.model_copy(update={"boxes": box})
    further = Reading(study_id=study.study_id, author=Author(kind="human", name=name), findings=(drawn,))
    return study.model_copy(update={"readings": (*study.readings, further)})


def test_boxes_of_another_author_than_the_labels_tune_the_cut(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_studies(monkeypatch, lambda split: [boxed_by("radiologist", s) for s in studies(split)])
    tuned = learning("localizer", cuts="tuned")
    validation = ScoreSystem(prepare(tuned, cache=cache)).validation()
    assert [bool(found) for found in validation.places] == [False, True] * 4
    assert not any(finding.boxes for truth in validation.truths for finding in truth)
    scores = validation.scores(prepare(tuned, cache=cache).system)
    assert 0 <= scores["iou"] <= 1
    folder = run(tuned, out=tmp_path / "run", cache=cache, progress=False)
    assert "cam" in folder.record.read_text()


@pytest.mark.usefixtures("mini_data")
@pytest.mark.parametrize("options", [{"cuts": "tuned"}])
def test_a_refused_run_encodes_nothing_and_leaves_no_folder(
    options: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(IncompatibleError, match=r"localizer\.cuts tuned"):
        run(learning("localizer", **options), out=tmp_path / "run", cache=cache, progress=False)
    assert not (tmp_path / "run").exists()
    assert not (cache / "features").exists()


@pytest.mark.usefixtures("mini_data")
@pytest.mark.parametrize(("stage", "grid"), [(None, "2×2"), (1, None)])
def test_a_coarse_grid_below_a_localizer_is_said(
    stage: int | None, grid: str | None, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = learning("localizer")
    encoder = config.encoder.model_copy(update={"stage": stage})
    prepare(config.model_copy(update={"encoder": encoder}), cache=cache)
    said = [record.message for record in caplog.records if record.message.startswith("localizer.kind")]
    assert said == (
        []
        if grid is None
        else [
            f"localizer.kind cam on a grid of {grid} patches of a picture of 64 pixels: what it marks is coarse; "
            "set encoder.stage to an earlier stage (a smaller number; null is the last) or a larger image.size"
        ]
    )


def test_a_system_without_a_localizer_may_have_any_grid(
    mini_data: Callable[[str], list[Study]], cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert mini_data("train")
    prepare(learning("finding_head"), cache=cache)
    assert not any(record.message.startswith("localizer.kind") for record in caplog.records)
    assert checks.FINE_GRID == 8
