from __future__ import annotations

import numpy as np
import pytest

from contrastcxr.form import Author, Finding, Reading, Study, View
from contrastcxr.metrics.nuisance import NuisanceScore, facts_of, held_out_scores

NAMES = ("Mass",)


def study(index: int, *, leak: str) -> Study:
    """Half of the studies have a mass; `leak` says which nuisance gives it away."""
    rng = np.random.default_rng(index)
    ill = index % 2 == 0
    pixels = rng.random((32, 32), dtype=np.float32) * 0.5
    if leak == "mean grey" and ill:
        pixels += 0.3
    position = "AP" if leak == "view" and ill else "PA"
    age = 70.0 if leak == "age" and ill else float(rng.integers(20, 60))
    finding = Finding(name="Mass", status="present" if ill else "absent")
    return Study(
        study_id=f"s{index}",
        patient_id=f"p{rng.integers(0, 10**6)}",
        views=(View(view_id=f"v{index}", pixels=pixels, position=position),),  # type: ignore[arg-type]
        age=age,
        readings=(Reading(study_id=f"s{index}", author=Author(kind="rule", name="r"), findings=(finding,)),),
    )


def scores(leak: str) -> dict[str, NuisanceScore]:
    studies = [study(k, leak=leak) for k in range(140)]
    found = held_out_scores(studies, NAMES, reference=lambda s: s.readings[0], minimum=5, replicates=50)
    return {score.predictor: score for score in found}


@pytest.mark.parametrize("leak", ["view", "age", "mean grey"])
def test_the_predictor_that_leaks_is_found_and_listed_first(leak: str) -> None:
    found = scores(leak)
    assert found[leak].mean_auc.value > 0.95
    assert found[leak].abnormal_auc.value > 0.95
    assert next(iter(found.values())).mean_auc.value >= found[leak].mean_auc.value
    assert found["patient number"].mean_auc.value < 0.75


def test_without_a_leak_nothing_is_known() -> None:
    assert all(0.25 < score.mean_auc.value < 0.75 for score in scores("nothing").values())


def test_predictors_that_never_vary_are_left_out() -> None:
    assert "sex" not in scores("age")
    assert "view" not in scores("age")
    assert "image size" not in scores("age")


def test_facts_are_those_of_the_frontal_view() -> None:
    lateral = View(view_id="l", pixels=np.zeros((8, 8), np.float32), position="LATERAL")
    one = study(1, leak="nothing")
    both = one.model_copy(update={"views": (lateral, *one.views)})
    assert facts_of([both]).numbers["mean grey"] == pytest.approx(facts_of([one]).numbers["mean grey"])


def test_a_finding_with_few_cases_is_not_scored() -> None:
    few = [study(k, leak="age") for k in range(8)]
    found = held_out_scores(few, NAMES, reference=lambda s: s.readings[0], replicates=20)
    assert all(np.isnan(score.mean_auc.value) and score.findings == 0 for score in found)
