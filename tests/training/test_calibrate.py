from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mini_data import mini_config, mini_study

from contrastcxr.features.batch import Batch
from contrastcxr.models.system import System
from contrastcxr.training.calibrate import best_thresholds, calibrate, head_outputs


def f1(called: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (called & truth).sum() / max(called.sum() + truth.sum(), 1))


@given(st.integers(0, 10_000))
def test_the_best_threshold_beats_every_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat([True, False], [12, 20]))
    scores = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1).round(1)  # rounded, so that there are ties
    found = best_thresholds(scores[:, None], truth[:, None].astype(float), labels=["Nodule"])["Nodule"]
    best = max(f1(scores >= t, truth) for t in np.append(np.unique(scores), 2.0))
    assert f1(scores >= found, truth) == pytest.approx(best)


def test_a_finding_with_few_positives_has_no_threshold_of_its_own() -> None:
    scores = np.linspace(0, 1, 40)[:, None]
    truth = np.zeros((40, 1))
    truth[-9:] = 1
    assert best_thresholds(scores, truth, labels=["Nodule"]) == {}


def test_unknown_targets_do_not_count() -> None:
    scores = np.linspace(0, 1, 40)[:, None]
    truth = np.zeros((40, 1))
    truth[20:] = 1
    whole = best_thresholds(scores, truth, labels=["Nodule"])
    padded = best_thresholds(
        np.vstack([scores, [[0.99]] * 5]), np.vstack([truth, [[np.nan]] * 5]), labels=["Nodule"]
    )
    assert whole == padded


def test_calibration_leaves_the_system_as_it_was_and_lowers_the_cross_entropy(
    system_and_batches: tuple[System, list[Batch]],
) -> None:
    system, batches = system_and_batches
    assert system.finding_head is not None
    before = {name: value.clone() for name, value in system.state_dict().items()}
    found = calibrate(system, batches, labels=system.finding_head.findings)
    assert all((value == before[name]).all() for name, value in system.state_dict().items())

    logits, targets = head_outputs(system, batches)
    assert np.isfinite(targets).sum() == found.pairs == sum(row.count for row in found.reliability)

    def entropy(temperature: float) -> float:
        z = logits / temperature
        return float(np.nanmean(np.logaddexp(0, z) - targets * z))

    assert entropy(found.temperature) <= entropy(1.0) + 1e-9


@pytest.fixture
def system_and_batches() -> tuple[System, list[Batch]]:
    from contrastcxr.assemble import SystemParts, build_system, make_encoder, make_preprocess
    from contrastcxr.features.samples import FromPixels, StudySamples, loader, target_of
    from contrastcxr.text.tokenizer import Tokenizer
    from contrastcxr.vocab.labels import PHANTOM

    config = mini_config(contrast=None)
    encoder = make_encoder(config)
    tokenizer = Tokenizer.train(["a b"], min_count=1)
    studies = [mini_study(i, split="train") for i in range(6)]
    targets = [target_of(s, written="a b", tokenizer=tokenizer, max_tokens=9, labels=PHANTOM) for s in studies]
    samples = StudySamples(studies, targets, FromPixels(make_preprocess(config, encoder), max_views=1))
    system = build_system(config, SystemParts(vocabulary=len(tokenizer), encoder=encoder))
    return system, list(loader(samples, [[0, 1, 2, 3], [4, 5]], pad=0))
