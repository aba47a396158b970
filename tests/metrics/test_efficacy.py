"""Every definition against plain loops and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from contrastcxr.errors import UnknownNameError
from contrastcxr.metrics.bootstrap import plain_weights
from contrastcxr.metrics.clinical import STATUS_CODES, Codes
from contrastcxr.metrics.efficacy import FIVE, PRESETS, EfficacyCounts, EfficacyPreset, efficacy
from contrastcxr.vocab.labels import CHEXPERT

UNCERTAIN, PRESENT = STATUS_CODES["uncertain"], STATUS_CODES["present"]


@pytest.fixture(scope="module")
def codes() -> tuple[Codes, Codes]:
    rng = np.random.default_rng(5)
    shares = [0.45, 0.2, 0.1, 0.25]
    reference, candidate = (rng.choice(4, size=(60, 14), p=shares).astype(np.int8) for _ in range(2))
    reference[:, 3] = 0  # a finding that no reference has
    candidate[:, 4] = 1  # a finding that nobody claims
    return reference, candidate


def value(codes: tuple[Codes, Codes], definition: EfficacyPreset, score: str) -> float:
    found = efficacy(*codes, CHEXPERT, definition)[f"{definition.name}/{score}"]
    return float(found(plain_weights(60))[0])


def binary(codes: tuple[Codes, Codes], definition: EfficacyPreset) -> list[np.ndarray]:
    columns = [CHEXPERT.index(f) for f in definition.findings]
    least = UNCERTAIN if definition.uncertain == "positive" else PRESENT
    return [table[:, columns] >= least for table in codes]


@pytest.mark.parametrize("definition", PRESETS.values(), ids=PRESETS.keys())
def test_a_preset_is_what_scikit_learn_computes_from_its_definition(
    codes: tuple[Codes, Codes], definition: EfficacyPreset
) -> None:
    truth, claimed = binary(codes, definition)
    wanted = precision_recall_fscore_support(truth, claimed, average=definition.average, zero_division=0)[:3]
    said = [value(codes, definition, measure) for measure in ("precision", "recall", "f1")]
    assert said == pytest.approx(wanted)
    right = accuracy_score(truth, claimed) if definition.accuracy == "exact" else np.mean(truth == claimed)
    assert value(codes, definition, "accuracy") == pytest.approx(right)


def test_the_average_over_studies_is_that_of_scikit_learn(codes: tuple[Codes, Codes]) -> None:
    definition = EfficacyPreset("own", CHEXPERT, "negative", "per_study", "pairs", "a test")
    truth, claimed = binary(codes, definition)
    wanted = precision_recall_fscore_support(truth, claimed, average="samples", zero_division=0)[:3]
    assert [value(codes, definition, m) for m in ("precision", "recall", "f1")] == pytest.approx(wanted)


def test_ignored_leaves_out_pairs_with_an_uncertain_reference(codes: tuple[Codes, Codes]) -> None:
    definition = EfficacyPreset("own", FIVE, "ignored", "micro", "exact", "a test")
    columns = [CHEXPERT.index(f) for f in FIVE]
    hits = claims = truths = exact = 0
    for reference, candidate in zip(codes[0][:, columns], codes[1][:, columns], strict=True):
        pairs = [(r == PRESENT, c == PRESENT) for r, c in zip(reference, candidate, strict=True) if r != UNCERTAIN]
        hits += sum(r and c for r, c in pairs)
        claims += sum(c for _, c in pairs)
        truths += sum(r for r, _ in pairs)
        exact += all(r == c for r, c in pairs)
    assert value(codes, definition, "precision") == pytest.approx(hits / claims)
    assert value(codes, definition, "recall") == pytest.approx(hits / truths)
    assert value(codes, definition, "accuracy") == pytest.approx(exact / 60)


def test_four_definitions_give_the_same_reports_four_figures(codes: tuple[Codes, Codes]) -> None:
    figures = {name: round(value(codes, PRESETS[name], "f1"), 6) for name in ("wcl", "r2gen", "miura", "chexbert")}
    assert len(set(figures.values())) == 4


def test_weights_are_studies_drawn_again(codes: tuple[Codes, Codes]) -> None:
    drawn = np.random.default_rng(0).integers(0, 60, 60)
    weights = np.bincount(drawn, minlength=60).astype(np.float64)[None]
    for name, statistic in efficacy(*codes, CHEXPERT, PRESETS["wcl"]).items():
        again = efficacy(codes[0][drawn], codes[1][drawn], CHEXPERT, PRESETS["wcl"])[name]
        assert statistic(weights)[0] == pytest.approx(again(plain_weights(60))[0])


def test_f1_of_each_finding_stands_under_its_name(codes: tuple[Codes, Codes]) -> None:
    truth, claimed = binary(codes, PRESETS["wcl"])
    wanted = precision_recall_fscore_support(truth, claimed, average=None, zero_division=0)[2]
    assert [value(codes, PRESETS["wcl"], f"f1/{name}") for name in CHEXPERT] == pytest.approx(wanted)


def test_a_finding_without_a_column_is_named(codes: tuple[Codes, Codes]) -> None:
    with pytest.raises(UnknownNameError, match="Edema"):
        EfficacyCounts.of(codes[0][:, :2], codes[1][:, :2], ("Cardiomegaly", "Fracture"), PRESETS["miura"])
