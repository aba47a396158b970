from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastcxr.errors import RequestError
from contrastcxr.metrics.scores import seed_means
from contrastcxr.metrics.seeds import seed_differences
from contrastcxr.metrics.table import StudyTable
from contrastcxr.reproduce import read_record
from contrastcxr.reproduce.judging import LOCALIZATION
from contrastcxr.reproduce.pooled import Pooled, by_votes, pool
from contrastcxr.reproduce.record import VOTES, table_beside
from contrastcxr.reproduce.sentences import conclusions, sentence
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
SEEDS = (0, 1, 2, 3)


def pooled_of(folder: Path, skills: dict[str, float], seeds: tuple[int, ...] = SEEDS) -> Pooled:
    for contrast, skill in skills.items():
        for seed in seeds:
            record(f"nic-{contrast}", seed).write(folder / f"nic-{contrast}-seed{seed}.json")
            table(skill, seed).save(folder / f"nic-{contrast}-seed{seed}.npz")
    found = pool(folder.glob("*.json"), replicates=200)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("changed", "outcome", "said"),
    [
        ({}, "helped", "Contrast helped (positive-finding F1, over seeds and patients)"),
        ({"random": 0.95}, "as a control", "not above both control pools with nic on phantom:smoke"),
        ({"normal": 0.55}, "no difference", "Contrast is not shown to help"),
        ({"normal": 0.1}, "harmed", "was below the plain system"),
    ],
)
def test_what_is_said_follows_from_the_intervals(
    tmp_path: Path, changed: dict[str, float], outcome: str, said: str
) -> None:
    found = pooled_of(tmp_path, {**SKILLS, **changed})
    assert found.comparisons[0].outcome() == outcome
    assert found.comparisons[0].seeds == dict.fromkeys(found.comparisons[0].over, SEEDS)
    assert said in sentence([found])


def test_differences_are_over_seeds_and_patients(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, SKILLS).comparisons[0].over["none"]["positive_f1"]
    one, other = ([table(SKILLS[name], seed) for seed in SEEDS] for name in ("normal", "none"))
    assert found == seed_differences(one, other, ["positive_f1"], replicates=200)["positive_f1"]


def test_of_one_seed_nothing_is_known_however_large_the_change(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, {**SKILLS, "normal": 0.1}, seeds=(0,))
    assert found.comparisons[0].over["none"]["positive_f1"].patients.high < 0
    assert found.comparisons[0].outcome() == "one seed"
    assert sentence([found]) == (
        "Whether contrast helps (positive-finding F1) is not known. "
        "One seed: not known, with nic on phantom:smoke."
    )


def test_a_control_with_one_seed_costs_the_plain_comparison_none_and_is_no_control(tmp_path: Path) -> None:
    pooled_of(tmp_path, SKILLS)
    for seed in SEEDS[1:]:
        for kind in ("json", "npz"):
            (tmp_path / f"nic-zeros-seed{seed}.{kind}").unlink()
    found = pool(tmp_path.glob("*.json"), replicates=50)
    assert found is not None
    assert found.comparisons[0].seeds == {"none": SEEDS, "random": SEEDS, "zeros": (0,)}
    assert found.comparisons[0].outcome() == "above plain"


def test_means_over_seeds_have_their_deviation(tmp_path: Path) -> None:
    mean = pooled_of(tmp_path, SKILLS, seeds=(0, 1)).means["nic-none"]["bleu_4"]
    assert (mean.mean, mean.deviation, mean.seeds) == (
        pytest.approx(0.15),
        pytest.approx(np.std([0.1, 0.2], ddof=1)),
        2,
    )


def test_without_controls_no_help_is_claimed(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, {"none": 0.5, "normal": 0.9})
    assert found.comparisons[0].outcome() == "above plain"
    assert sentence([found]).startswith("Contrast is not shown to help")
    assert "where no control has two seeds with nic on phantom:smoke" in sentence([found])


def test_without_a_plain_row_nothing_is_known(tmp_path: Path) -> None:
    found = pooled_of(tmp_path, {"normal": 0.9})
    assert found.comparisons[0].outcome() == "unknown"
    assert "not known" in sentence([found])


@pytest.mark.parametrize(("reader", "score", "said"), [("neighbour", 0.99, True), ("commonest", 0.1, False)])
def test_a_reader_that_contrast_does_not_lift_above_is_named(
    reader: str, score: float, said: bool, tmp_path: Path
) -> None:
    systems = {reader: {"positive_f1": {"value": score, "low": score, "high": score, "n": 60}}}
    replace(record("baselines", 0), systems=systems).write(tmp_path / "baselines-seed0.json")
    for contrast, seed in ((c, s) for c in SKILLS for s in SEEDS):
        value = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 60}
        row = replace(record(f"nic-{contrast}", seed), systems={"system": {"positive_f1": value}})
        row.write(tmp_path / f"nic-{contrast}-seed{seed}.json")
        table(SKILLS[contrast], seed).save(tmp_path / f"nic-{contrast}-seed{seed}.npz")
    found = pool(tmp_path.glob("*.json"), replicates=100)
    assert found is not None
    line = f"With nic on phantom:smoke, {reader} scores {score:.3f}, no less than its 0.900."
    assert (line in sentence([found])) is said


def test_records_of_two_recipes_are_not_pooled(tmp_path: Path) -> None:
    pooled_of(tmp_path, SKILLS, seeds=(0, 1))
    path = tmp_path / "nic-none-seed0.json"
    replace(read_record(path), recipe="fair").write(path)
    with pytest.raises(RequestError, match=r"recipes, 'fair' \(.*nic-none-seed0.json\) and 'first' \("):
        pool(tmp_path.glob("*.json"))


def test_votes_are_a_second_line_of_their_row_with_differences_of_their_own(tmp_path: Path) -> None:
    pooled_of(tmp_path, {"none": 0.55, "normal": 0.55}, seeds=(0, 1, 2))
    for contrast, seed in ((c, s) for c in ("none", "normal") for s in (0, 1, 2)):
        path = tmp_path / f"nic-{contrast}-seed{seed}.json"
        votes = {"bleu_4": {"value": 0.3, "low": 0.2, "high": 0.4, "n": 60}}
        kept = read_record(path)
        replace(kept, systems={**kept.systems, "votes": votes}).write(path)
        table(SKILLS[contrast], seed).save(table_beside(path, VOTES))
    found = pool(tmp_path.glob("*.json"), replicates=100)
    assert found is not None
    assert table_beside(tmp_path / "nic-none-seed0.json", VOTES).name == "nic-none-seed0-votes.npz"
    assert found.means[by_votes("nic-none")]["bleu_4"].mean == pytest.approx(0.3)
    assert found.means["nic-none"]["bleu_4"].mean == pytest.approx(0.2)
    (beam,), (votes_,) = found.comparisons, found.votes
    assert beam.outcome() == "no difference"
    assert votes_.over["none"]["positive_f1"].value > 0.2
    wanted = seed_means([table(0.95, s) for s in (0, 1, 2)], ["positive_f1"], replicates=100)["positive_f1"]
    assert found.intervals[by_votes("nic-normal")]["positive_f1"] == wanted


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


TUNED = ("cam@tuned-none", "cam-none")
"""A row, and the one that it is compared with."""


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
        "Contrast is not shown to help (localized at IoU above 0.3, mean over findings, over seeds and patients)"
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
    found = placed_of(tmp_path, {"cam-none": 0.3, "cam@tuned-none": share}, compared=[TUNED])
    (effect,) = found.effects
    assert (effect.row, effect.against, effect.seeds) == ("cam@tuned-none", "cam-none", (0, 1))
    assert effect.outcome() == outcome
    assert effect.outcome("pointing") == "unknown"
    assert conclusions(found)[0].startswith(said)
    assert "paired over 2 seeds and patients)" in conclusions(found)[0]


def test_two_changes_are_looked_at_together(tmp_path: Path) -> None:
    rows = {"mdt-both": 0.9, "mdt-one": 0.2, "mdt-other": 0.3, "mdt-none": 0.2}
    found = placed_of(tmp_path, rows, crossed=[tuple(rows)])
    (effect,) = found.effects
    assert effect.over["tiou_0.3"].value == pytest.approx(0.6, abs=0.05)
    said = "what mdt-both adds to mdt-one is better than what mdt-other adds to mdt-none"
    assert conclusions(found)[0].startswith(said)
    (tmp_path / "mdt-none-seed1.json").unlink()
    left = pool(tmp_path.glob("*.json"), judging=LOCALIZATION, crossed=[tuple(rows)], replicates=20)
    assert left is not None
    assert left.effects[0].seeds == (0,)


def test_a_reader_that_cannot_see_and_scores_no_less_is_named(tmp_path: Path) -> None:
    systems = {"mean_box": {"tiou_0.3": {"value": 0.9, "low": 0.8, "high": 1.0, "n": 60}}}
    replace(record("baselines", 0), systems=systems).write(tmp_path / "baselines-seed0.json")
    located(0.9).save(tmp_path / "mean_box-seed0.npz")
    found = placed_of(tmp_path, {"cam-none": 0.3, "cam@tuned-none": 0.8}, compared=[TUNED])
    assert conclusions(found)[0].endswith("mean_box scores 0.900, no less than its 0.805.")
    assert found.intervals["mean_box"]["tiou_0.3"].value == pytest.approx(0.9)


def test_rows_that_were_scored_differently_have_no_effect(tmp_path: Path) -> None:
    rows = {"cam-none": 0.3, "cam@tuned-none": 0.8}
    placed_of(tmp_path, rows)
    for seed in (0, 1):
        path = tmp_path / f"cam-none-seed{seed}.json"
        replace(read_record(path), signature="other").write(path)
    found = pool(tmp_path.glob("*.json"), judging=LOCALIZATION, compared=[TUNED], replicates=20)
    assert found is not None
    assert found.effects == ()


def located_in(fold: int, hits: int, images: int) -> StudyTable:
    """A fold of a localizer that hits so many of its images with a box of a mass."""
    iou = np.where(np.arange(images) < hits, 0.9, 0.0)[:, None]
    ids = tuple(f"f{fold}s{k}" for k in range(images))
    return StudyTable(names=("Mass",), groups=ids, studies=ids, iou=iou, iobb=iou, notes={})


def test_a_row_over_folds_is_hits_over_images_and_no_mean_of_folds(tmp_path: Path) -> None:
    folds = {0: (1, 4), 1: (9, 10), 2: (0, 16)}
    for fold, (hits, images) in folds.items():
        record("cam-none", fold).write(tmp_path / f"cam-none-seed{fold}.json")
        located_in(fold, hits, images).save(tmp_path / f"cam-none-seed{fold}.npz")
    found = pool(tmp_path.glob("*.json"), judging=LOCALIZATION, folds=True, replicates=50)
    assert found is not None
    mean = found.means["cam-none"]["tiou_0.3"]
    assert (mean.mean, mean.deviation, mean.seeds) == (pytest.approx(10 / 30), None, 3)
    assert found.intervals["cam-none"]["tiou_0.3"].n == 30
    assert "bleu_4" not in found.means["cam-none"]  # its record has a mean of folds, which is no figure of all
