"""Parameters follow from seeds; statistics are those the design asks for."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from contrastcxr.errors import UnknownNameError
from contrastcxr.phantom import sample
from contrastcxr.phantom.levels import LEVELS
from contrastcxr.phantom.outlines import outlines, thorax_width
from contrastcxr.phantom.placing import HELDOUT, heart_severity
from contrastcxr.phantom.sampling import draw_names
from contrastcxr.vocab.attributes import SAYABLE
from contrastcxr.vocab.labels import PHANTOM


def test_a_seed_gives_the_same_parameters_again() -> None:
    assert sample(5) == sample(5)
    assert sample(5) != sample(6)


def test_studies_of_one_patient_share_anatomy_and_nothing_else() -> None:
    first, second = sample(1, patient_seed=9), sample(2, patient_seed=9, order=1)
    assert first.patient == second.patient
    assert first.pose != second.pose
    assert first.technique != second.technique


def test_pose_and_technique_do_not_depend_on_disease() -> None:
    healthy, ill = sample(21, normal=True), sample(21, normal=False)
    assert healthy.pose == ill.pose
    assert healthy.technique == ill.technique
    assert healthy.lookalikes == ill.lookalikes


def test_one_to_four_findings_and_all_of_them_turn_up() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_names(rng, PHANTOM) for _ in range(1500)]
    assert {len(names) for names in drawn} == {1, 2, 3, 4}
    counts = Counter(name for names in drawn for name in names)
    assert set(counts) == set(PHANTOM)
    assert min(counts.values()) > 60


def test_findings_go_together_as_in_the_nih_table() -> None:
    rng = np.random.default_rng(1)
    drawn = [set(draw_names(rng, PHANTOM)) for _ in range(4000)]
    share = {n: np.mean([n in d for d in drawn]) for n in ("Mass", "Nodule", "Hernia", "Edema")}
    together = np.mean([{"Mass", "Nodule"} <= d for d in drawn]) / (share["Mass"] * share["Nodule"])
    apart = np.mean([{"Hernia", "Edema"} <= d for d in drawn]) / (share["Hernia"] * share["Edema"])
    assert together > 1.3 * apart


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_a_level_draws_only_its_findings_within_its_pose(level: str) -> None:
    spec = LEVELS[level]
    for seed in range(8):
        drawn = sample(seed, level=level, normal=False)
        assert {x.name for x in drawn.lesions} <= {*spec.findings, "Support Devices"}
        assert abs(drawn.pose.rotation_deg) <= spec.rotation_deg


def test_harder_levels_draw_fainter_lesions() -> None:
    cnr = {}
    for level in ("easy", "standard", "hard"):
        drawn = [sample(s, level=level, findings=("Mass",)).lesions[0] for s in range(12)]
        cnr[level] = np.mean([x.cnr for x in drawn if x.area_mm2 > 0])
    assert cnr["easy"] > cnr["standard"] > cnr["hard"]


def test_what_is_placed_can_be_said() -> None:
    for seed in range(60):
        for lesion in sample(seed, normal=False).lesions:
            say = SAYABLE[lesion.name]
            assert lesion.zone is None or lesion.zone in say.zones
            assert lesion.severity is None or lesion.severity in say.severities
            assert lesion.size_mm is None or say.size


def test_held_out_combinations_are_drawn_in_their_own_set_only() -> None:
    def combinations(*, heldout: bool) -> set[tuple[str, str | None, str | None]]:
        drawn = (sample(s, normal=False, heldout=heldout).lesions for s in range(40))
        return {(x.name, x.side, x.zone) for lesions in drawn for x in lesions if x.name != "Support Devices"}

    assert not combinations(heldout=False) & HELDOUT
    assert combinations(heldout=True) <= HELDOUT


@pytest.mark.parametrize(
    ("ratio", "severity"), [(0.50, "minimal"), (0.53, "mild"), (0.58, "moderate"), (0.64, "severe")]
)
def test_the_severity_of_a_large_heart_follows_its_ratio(ratio: float, severity: str) -> None:
    assert heart_severity(ratio) == severity


def test_a_borderline_heart_is_uncertain_and_a_larger_one_present() -> None:
    for seed in range(30):
        heart = sample(seed, findings=("Cardiomegaly",)).lesions[0]
        assert heart.status == ("present" if heart.extent[0] >= 0.52 else "uncertain")


def test_status_follows_contrast_times_root_of_area() -> None:
    lesions = [sample(s, findings=("Nodule",)).lesions[0] for s in range(40)]
    score = {x.status: [] for x in lesions}
    for x in lesions:
        score[x.status].append(x.cnr * np.sqrt(x.area_mm2))
    assert min(score["present"]) >= max(score["uncertain"], default=0)
    assert all(x.visible == (x.status == "present") for x in lesions)


def test_normal_hearts_are_narrower_than_half_the_thorax() -> None:
    patients = [sample(s, normal=True).patient for s in range(40)]
    assert all(0.38 <= p.ratio <= 0.49 for p in patients)
    assert all(200 < thorax_width(outlines(p, 9.0)) < 340 for p in patients)


def test_parameters_are_values() -> None:
    drawn = sample(4)
    assert dataclasses.replace(drawn) == drawn
    assert hash(drawn) == hash(sample(4))


def test_an_unknown_level_names_a_known_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'standard'"):
        sample(1, level="standart")
