"""The weakly supervised contrastive loss against its equation in loops, and what each of its options changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from contrastcxr.errors import ConfigError
from contrastcxr.losses.base import States, StateWidths, Targets
from contrastcxr.losses.options import WeakContrastOptions
from contrastcxr.losses.weak_contrast import WeakContrast, weak_contrast

CLUSTERS = [0, 1, 0, 2, 0, 1]
MEANINGS = [5, 6, 5, 7, 8, 6]


def rows(count: int, width: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).double(), dim=1)


def in_loops(
    pictures: Sequence[Sequence[float]],
    reports: Sequence[Sequence[float]],
    *,
    alpha: float,
    temperature: float,
    meanings: Sequence[int] | None = None,
    perturbed: Sequence[Sequence[float]] | None = None,
) -> list[float]:
    """Paper C's Equation 4 with the corrections that its docstring names, one number at a time."""

    def score(x: Sequence[float], y: Sequence[float]) -> float:
        return sum(a * b for a, b in zip(x, y, strict=True)) / math.hypot(*x) / math.hypot(*y) / temperature

    found = []
    for i, picture in enumerate(pictures):
        own = math.exp(score(picture, reports[i]))
        others = same = 0.0
        for j, report in enumerate(reports):
            if j == i or (meanings is not None and meanings[j] == meanings[i]):
                continue
            if CLUSTERS[j] == CLUSTERS[i]:
                same += math.exp(score(picture, report))
            else:
                others += math.exp(score(picture, report))
        extra = 0.0 if perturbed is None else math.exp(score(picture, perturbed[i]))
        found.append(-math.log(own / (others + alpha * same + own + extra)))
    return found


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("meanings", [None, MEANINGS])
@pytest.mark.parametrize("perturbed", [False, True])
def test_it_is_its_equation(alpha: float, temperature: float, meanings: list[int] | None, perturbed: bool) -> None:
    pictures, reports, moved = rows(6, 5, 0), rows(6, 5, 1), rows(6, 5, 2)
    found = weak_contrast(
        pictures,
        reports,
        torch.tensor(CLUSTERS),
        own=torch.arange(6),
        alpha=alpha,
        temperature=temperature,
        meanings=None if meanings is None else torch.tensor(meanings),
        perturbed=moved if perturbed else None,
    )
    wanted = in_loops(
        pictures.tolist(),
        reports.tolist(),
        alpha=alpha,
        temperature=temperature,
        meanings=meanings,
        perturbed=moved.tolist() if perturbed else None,
    )
    assert found.tolist() == pytest.approx(wanted, rel=1e-9)


def test_with_equal_weights_it_is_the_cross_entropy_of_the_own_report() -> None:
    pictures, reports = rows(6, 5, 0), rows(6, 5, 1)
    found = weak_contrast(
        pictures, reports, torch.tensor(CLUSTERS), own=torch.arange(6), alpha=1.0, temperature=0.5
    )
    wanted = F.cross_entropy(pictures @ reports.T / 0.5, torch.arange(6), reduction="none")
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-9)


def test_a_share_of_the_pictures_among_all_reports_has_its_part_of_the_loss() -> None:
    pictures, reports, clusters = rows(6, 5, 0), rows(6, 5, 1), torch.tensor(CLUSTERS)
    whole = weak_contrast(pictures, reports, clusters, own=torch.arange(6), alpha=2.0, temperature=1.0)
    part = weak_contrast(pictures[2:4], reports, clusters, own=torch.tensor([2, 3]), alpha=2.0, temperature=1.0)
    assert part.tolist() == pytest.approx(whole[2:4].tolist(), rel=1e-12)


STUDY = torch.tensor([0, 0, 1, 2, 2, 2, 3, 3])


def states(*, seed: int = 0, graph: bool = False) -> States:
    """Four studies with 3 patches of width 4, of which the last has but one, and eight words of width 3."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randn(4, 3, 4, generator=generator)
    mask = torch.ones(4, 3, dtype=torch.bool)
    mask[3, 1:] = False
    words = torch.randn(8, 3, generator=generator)
    if not graph:
        return States(patches, mask, words, STUDY)
    words.requires_grad_()
    said = (words @ torch.randn(3, 7, generator=generator)).log_softmax(dim=-1)[:, 2]
    return States(patches.requires_grad_(), mask, words, STUDY, said=said, read=words)


TARGETS = Targets(clusters=torch.tensor([0, 0, 1, 1]), meanings=torch.tensor([0, 1, 1, 2]))


def loss_of(**options: Any) -> WeakContrast:
    torch.manual_seed(0)
    return WeakContrast(StateWidths(4, 3), WeakContrastOptions(**{"width": 5, **options}))


def term(loss: WeakContrast, targets: Targets = TARGETS, **kwargs: Any) -> Tensor:
    mean, count = loss(states(**kwargs), targets)["wcl"]
    assert int(count) == 4
    return mean


@pytest.mark.parametrize("variant", ["wcl", "excluding", "adversarial"])
def test_it_is_computed_in_float32_whatever_the_system_is(variant: str) -> None:
    loss = loss_of(variant=variant)
    wanted = term(loss, graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = term(loss, graph=True)
    assert found.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)


def test_how_far_the_adversary_moves_a_report_is_shown_and_weighs_nothing() -> None:
    loss, given = loss_of(variant="adversarial", epsilon=2.0), states(graph=True)
    assert loss.options.term_weights == {"wcl": 0.2, "wcl_moved": 0.0}
    moved = 1 - (loss.reports(given) * loss._perturbed(given)).sum(dim=1)
    shown, count = loss(given, TARGETS)["wcl_moved"]
    assert float(shown) == pytest.approx(float(moved.mean().detach()), abs=1e-6)
    assert not shown.requires_grad
    assert int(count) == 4


def test_states_are_means_over_what_is_real_through_the_projection_heads() -> None:
    loss, given = loss_of(), states()
    for heads, found, parts in (
        (loss.of_pictures, loss.pictures(given), [given.patches[i][given.patch_mask[i]] for i in range(4)]),
        (loss.of_reports, loss.reports(given), [given.words[i == STUDY] for i in range(4)]),
    ):
        for row, part in zip(found, parts, strict=True):
            mean = [sum(column) / len(part) for column in zip(*part.tolist(), strict=True)]
            inner = heads[0](torch.tensor(mean)).clamp_min(0)
            wanted = heads[2](inner)
            assert row.tolist() == pytest.approx((wanted / wanted.norm()).tolist(), rel=1e-5)


def test_what_stands_at_padded_patches_changes_nothing() -> None:
    loss, given = loss_of(), states()
    patches = given.patches.clone()
    patches[3, 1:] = 99.0
    assert torch.equal(loss.pictures(given), loss.pictures(States(patches, given.patch_mask, given.words, STUDY)))


def test_without_clusters_there_is_no_term() -> None:
    assert loss_of()(states(), Targets()) == {}


ADVERSARIAL = {"variant": "adversarial"}
CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"variant": "baseline"}),
    ({}, {"variant": "excluding"}),
    ({}, ADVERSARIAL),
    ({}, {"variant": "distinct"}),
    ({"temperature": 0.1}, {"variant": "as_released"}),
    ({}, {"alpha": 3.0}),
    ({}, {"temperature": 0.1}),
    ({}, {"width": 6}),
    (ADVERSARIAL, {**ADVERSARIAL, "epsilon": 2.0}),
]


@pytest.mark.parametrize(("plain", "change"), CHANGES, ids=str)
def test_every_option_changes_loss_and_gradient(plain: dict[str, Any], change: dict[str, Any]) -> None:
    found = []
    for options in (plain, change):
        given = states(graph=True)
        mean, _ = loss_of(**options)(given, TARGETS)["wcl"]
        mean.backward()
        assert given.patches.grad is not None
        found.append((float(mean.detach()), given.patches.grad))
    assert found[0][0] != pytest.approx(found[1][0], rel=1e-4)
    assert not torch.allclose(found[0][1], found[1][1], rtol=1e-3)


def test_as_released_the_temperature_is_one() -> None:
    plain, released = loss_of(temperature=1.0), loss_of(variant="as_released")
    assert float(term(plain).detach()) == float(term(released).detach())


def test_the_adversary_moves_each_report_by_epsilon_against_the_slope_of_its_probability() -> None:
    loss, given = loss_of(variant="adversarial", epsilon=0.5), states(graph=True)
    assert given.said is not None
    (slope,) = torch.autograd.grad(given.said.sum(), given.words, retain_graph=True)
    moved = []
    for study in range(4):
        own = slope[study == STUDY]
        moved.append(given.words.detach()[study == STUDY] - 0.5 * own / own.norm())
        assert (moved[-1] - given.words.detach()[study == STUDY]).norm() == pytest.approx(0.5, rel=1e-5)
    wanted = loss.reports(States(given.patches, given.patch_mask, torch.cat(moved), STUDY))
    found = loss._perturbed(given)
    assert torch.allclose(found, wanted, atol=1e-5)
    found.sum().backward()
    assert given.words.grad is None


def test_gradients_reach_both_states_and_of_a_frozen_system_neither() -> None:
    for frozen, reached in ((False, True), (True, False)):
        loss, given = loss_of(frozen=frozen), states(graph=True)
        loss(given, TARGETS)["wcl"][0].backward()
        assert (given.patches.grad is not None) == (given.words.grad is not None) == reached
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"variant": "baseline", "alpha": 3.0}, "alpha means nothing with variant baseline"),
        ({"variant": "excluding", "alpha": 0.0}, "alpha means nothing with variant excluding"),
        ({"variant": "as_released", "temperature": 0.1}, "temperature means nothing with variant as_released"),
        ({"epsilon": 0.1}, "epsilon means nothing with variant wcl"),
        ({"clusters": {"file": "here", "k": 3}}, "k means nothing beside file"),
        ({"clusters": {"weights": "here"}}, "weights mean nothing with embedding tfidf"),
        ({"clusters": {"allow_pickle": True}}, "allow_pickle means nothing with embedding tfidf"),
        ({"weight": 0.0}, "greater than 0"),
    ],
)
def test_an_option_that_a_variant_does_not_read_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=said):
        WeakContrastOptions(**options)


def test_the_words_weigh_what_is_left_and_all_of_it_before_it_starts() -> None:
    options = WeakContrastOptions(weight=0.3, start_epoch=2)
    assert options.term_weights == {"wcl": 0.3}
    assert options.word_share == pytest.approx(0.7)
    assert [options.starts(epoch) for epoch in range(4)] == [False, False, True, True]
    assert WeakContrastOptions(frozen=True).word_share == 0
