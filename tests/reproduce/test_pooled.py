from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce import read_record
from contrastcxr.reproduce.judging import LOCALIZATION
from contrastcxr.reproduce.pooled import ContrastEffect, Mean, Pooled, SystemEffect, conclusions, pool, sentence
from tiny_plan import record


def table(skill: float, seed: int) -> StudyTable:
    """Sixty studies whose one finding is called right with the given chance."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random((60, 1)) < 0.5, 3, 1).astype(np.int8)
    right = np.random.default_rng(seed + 1).random((60, 1)) < skill
    ones: dict[str, Any] = {"bleu": np.ones((60, 10)), "rouge_l": np.ones(60), "cider": np.ones(60)}
    return StudyTable(
        names=("Mass",),
        groups=tuple(f"p{k}" for k in range(60)),
        studies=tuple(f"s{k}" for k in range(60)),
        words=np.ones(60),
        truth=truth,
        claimed=np.where(right, truth, 4 - truth).astype(np.int8),
        **ones,
    )


SKILLS = {"none": 0.55, "normal": 0.95, "random": 0.55, "zeros": 0.55}


def pooled_of(folder: Path, skills: dict[str, float]) -> Pooled:
    for contrast, skill in skills.items():
        for seed in (0, 1):
            record(f"nic-{contrast}", seed).write(folder / f"nic-{contrast}-seed{seed}.json")
            table(skill, seed).save(folder / f"nic-{contrast}-seed{seed}.npz")
    found = pool(folder.glob("*.json"), replicates=200)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("changed", "outcome", "said"),
    [
        ({}, "helped", "Contrast helped (positive"),
        ({"random": 0.95}, "as a control", "not above both control pools with nic on phantom:smoke"),
        ({"normal": 0.55}, "no difference", "Contrast did not help"),
        ({"normal": 0.1}, "harmed", "was below the plain system"),
    ],
)
def test_what_is_said_follows_from_the_intervals(
    tmp_path: Path, changed: dict[str, float], outcome: str, said: str
) -> None:
    found = pooled_of(tmp_path, {**SKILLS, **changed})
    assert found.comparisons[0].outcome() == outcome
    assert found.comparisons[0].seeds == dict.fromkeys(found.comparisons[0].over, (0, 1))
    assert said in sentence([found])


def test_a_control_with_fewer_seeds_costs_the_plain_comparison_none(tmp_path: Path) -> None:
    pooled_of(tmp_path, SKILLS)
    for kind in ("json", "npz"):
        (tmp_path / f"nic-zeros-seed1.{kind}").unlink()
    found = pool(tmp_path.glob("*.json"), replicates=50)
    assert found is not None
    assert found.comparisons[0].seeds == {"none": (0, 1), "random": (0, 1), "zeros": (0,)}


def test_means_over_seeds_have_their_deviation(tmp_path: Path) -> None:
    mean = pooled_of(tmp_path, SKILLS).means["nic-none"]["bleu_4"]
    assert (mean.mean, mean.deviation, mean.seeds) == (
        pytest.approx(0.15),
        pytest.approx(np.std([0.1, 0.2], ddof=1)),
        2,
    )


def test_without_controls_no_help_is_claimed(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, {"none": 0.5, "normal": 0.9})
    assert found.comparisons[0].outcome() == "above plain"
    assert sentence([found]).startswith("Contrast is not shown to help")
    assert "where no control was run with nic on phantom:smoke" in sentence([found])


def test_without_a_plain_row_nothing_is_known(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, {"normal": 0.9})
    assert found.comparisons[0].outcome() == "unknown"
    assert "not known" in sentence([found])


def test_a_change_of_a_single_seed_is_said_to_be_one() -> None:
    comparison = ContrastEffect(
        "nic", {"none": (0,)}, {"none": {"positive_f1": Interval(-0.06, -0.08, -0.04, 60)}}
    )
    said = sentence([Pooled("phantom:smoke", (), {}, (comparison,), ())])
    assert "With nic on phantom:smoke one seed was run: how much another would change is not known." in said


def test_a_loss_within_the_spread_of_seeds_is_said_to_be_so() -> None:
    below = Interval(-0.06, -0.08, -0.04, 60)
    comparison = ContrastEffect("nic", {"none": (0, 1)}, {"none": {"positive_f1": below}})
    means = {"nic-normal": {"positive_f1": Mean(0.15, 0.13, 2)}, "nic-none": {"positive_f1": Mean(0.21, 0.03, 2)}}
    said = sentence([Pooled("phantom:smoke", (), means, (comparison,), ())])
    assert "was below the plain system with nic on phantom:smoke" in said
    assert "nic on phantom:smoke the loss of 0.060 is no larger than the deviation over seeds (0.130)" in said


def test_a_gain_within_the_spread_of_seeds_and_below_the_neighbour_is_said_to_be_so() -> None:
    above = Interval(0.02, 0.01, 0.03, 60)
    rows = ("none", "random", "zeros")
    comparison = ContrastEffect("nic", dict.fromkeys(rows, (0, 1)), {k: {"positive_f1": above} for k in rows})
    means = {
        "nic-normal": {"positive_f1": Mean(0.10, 0.03, 2)},
        "nic-none": {"positive_f1": Mean(0.08, 0.01, 2)},
        "neighbour": {"positive_f1": Mean(0.11, 0.0, 2)},
    }
    said = sentence([Pooled("phantom:smoke", (), means, (comparison,), ())])
    assert "nic on phantom:smoke the gain of 0.020 is no larger than the deviation over seeds (0.030)" in said
    assert "the nearest neighbour scores 0.110, no less than contrast's 0.100" in said
    steady = {"nic-normal": {"positive_f1": Mean(0.10, 0.01, 2)}, "nic-none": {"positive_f1": Mean(0.08, 0.01, 2)}}
    assert sentence([Pooled("phantom:smoke", (), steady, (comparison,), ())]).endswith(
        "with nic on phantom:smoke."
    )


def test_a_control_that_equals_contrast_is_no_help() -> None:
    above, equal = Interval(0.1, 0.05, 0.15, 60), Interval(0.0, -0.01, 0.01, 60)
    over = {name: {"positive_f1": above} for name in ("none", "random")} | {"zeros": {"positive_f1": equal}}
    assert ContrastEffect("nic", dict.fromkeys(over, (0,)), over).outcome() == "as a control"


def test_no_records_are_no_results() -> None:
    assert pool([]) is None


def located(share: float) -> StudyTable:
    """A localizer without reports that finds the first part of sixty boxes."""
    iou = np.where(np.arange(60) < 60 * share, 0.6, 0.0)[:, None]
    ids = tuple(f"s{k}" for k in range(60))
    return StudyTable(names=("Mass",), groups=ids, studies=ids, iou=iou, iobb=iou)


def test_rows_without_reports_are_pooled_and_nothing_is_concluded_from_words(tmp_path: Path) -> None:
    for contrast, share in (("none", 0.3), ("normal", 0.8)):
        record(f"cam-{contrast}", 0).write(tmp_path / f"cam-{contrast}-seed0.json")
        located(share).save(tmp_path / f"cam-{contrast}-seed0.npz")
    found = pool(tmp_path.glob("*.json"), replicates=50)
    assert found is not None
    assert found.comparisons[0].over == {"none": {}}
    assert found.comparisons[0].outcome() == "unknown"
    assert found.intervals == {"cam-none": {}, "cam-normal": {}}


def placed_of(folder: Path, shares: dict[str, float], **options: Any) -> Pooled:
    """Rows that localize so much of sixty boxes, on two seeds."""
    for row, share in shares.items():
        for seed in (0, 1):
            made = located(share)
            scores = {"tiou_0.3": {"value": share + seed / 100, "low": 0.0, "high": 1.0, "n": 60}}
            replace(record(row, seed), systems={"system": scores}).write(folder / f"{row}-seed{seed}.json")
            made.save(folder / f"{row}-seed{seed}.npz")
    found = pool(folder.glob("*.json"), judging=LOCALIZATION, replicates=100, **options)
    assert found is not None
    return found


def test_where_localization_decides_contrast_is_concluded_from_places(tmp_path: Path) -> None:
    found = placed_of(tmp_path, {"cam-none": 0.3, "cam-normal": 0.8})
    assert found.comparisons[0].outcome() == "above plain"
    assert sentence([found]).startswith(
        "Contrast is not shown to help (localized at IoU above 0.3, mean over findings, paired over seeds)"
    )
    assert found.intervals["cam-none"]["tiou_0.3"].value == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("share", "outcome", "said"),
    [
        (
            0.8,
            "better",
            "cam@tuned-none is better than cam-none (localized at IoU above 0.3, mean over findings: +0.5",
        ),
        (0.3, "no difference", "cam@tuned-none shows no difference to cam-none ("),
        (0.0, "worse", "cam@tuned-none is worse than cam-none ("),
    ],
)
def test_a_system_is_compared_with_another_one(share: float, outcome: str, said: str, tmp_path: Path) -> None:
    found = placed_of(tmp_path, {"cam-none": 0.3, "cam@tuned-none": share}, against={"cam@tuned": "cam"})
    (effect,) = found.effects
    assert (effect.row, effect.against, effect.seeds) == ("cam@tuned-none", "cam-none", (0, 1))
    assert effect.outcome() == outcome
    assert effect.outcome("pointing") == "unknown"
    assert conclusions(found)[0].startswith(said)
    assert "paired over 2 seeds)" in conclusions(found)[0]


def test_fewer_false_boxes_are_better() -> None:
    fewer = {"false_boxes": Interval(-0.5, -0.6, -0.4, 60)}
    effect = SystemEffect("cam@tuned-none", "cam-none", (0,), fewer, LOCALIZATION)
    assert effect.outcome("false_boxes") == "better"
    contrast = ContrastEffect("cam", {"none": (0,)}, {"none": fewer}, LOCALIZATION)
    assert contrast.outcome("false_boxes") == "above plain"


def test_a_reader_that_cannot_see_and_scores_no_less_is_named(tmp_path: Path) -> None:
    systems = {"mean_box": {"tiou_0.3": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 60}}}
    replace(record("baselines", 0), systems=systems).write(tmp_path / "baselines-seed0.json")
    located(0.9).save(tmp_path / "mean_box-seed0.npz")
    found = placed_of(tmp_path, {"cam-none": 0.3, "cam@tuned-none": 0.8}, against={"cam@tuned": "cam"})
    assert conclusions(found)[0].endswith("mean_box scores 0.900, no less than its 0.805.")
    assert found.intervals["mean_box"]["tiou_0.3"].value == pytest.approx(0.9)


def test_rows_that_were_scored_differently_have_no_effect(tmp_path: Path) -> None:
    rows = {"cam-none": 0.3, "cam@tuned-none": 0.8}
    placed_of(tmp_path, rows)
    for seed in (0, 1):
        path = tmp_path / f"cam-none-seed{seed}.json"
        replace(read_record(path), signature="other").write(path)
    found = pool(tmp_path.glob("*.json"), judging=LOCALIZATION, against={"cam@tuned": "cam"}, replicates=20)
    assert found is not None
    assert found.effects == ()
