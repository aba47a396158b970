"""Cross-attention of regions and words against plain loops over paper D's equations, and what must hold of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrastcxr.losses.cross_attention import Axes, CrossAttention, triplet

Vectors = list[list[float]]
B, N, M, WIDTH = 4, 5, 3, 7
axes = pytest.mark.parametrize("kind", ["paper", "scan"])


def cosine(one: list[float], other: list[float]) -> float:
    lengths = math.sqrt(math.fsum(x * x for x in one)) * math.sqrt(math.fsum(y * y for y in other))
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / lengths


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / math.fsum(powers) for power in powers]


def in_loops(
    phi: Vectors, alpha: list[float], m: Vectors, *, word: float = 4.0, region: float = 9.0, kind: Axes = "paper"
) -> tuple[float, float]:
    """`S_text` and `S_roi` of one study, word by word and region by region."""
    s = [[cosine(p, w) for w in m] for p in phi]
    over_words = [softmax([word * s[i][j] for j in range(len(m))]) for i in range(len(phi))]
    columns = [softmax([region * s[i][j] for i in range(len(phi))]) for j in range(len(m))]
    over_regions = [[columns[j][i] for j in range(len(m))] for i in range(len(phi))]
    a, b = (over_words, over_regions) if kind == "paper" else (over_regions, over_words)
    texts, rois = [], []
    for j in range(len(m)):
        seen = [math.fsum(alpha[i] * phi[i][k] * a[i][j] for i in range(len(phi))) for k in range(WIDTH)]
        texts.append(cosine(seen, m[j]))
    for i in range(len(phi)):
        read = [math.fsum(m[j][k] * b[i][j] for j in range(len(m))) for k in range(WIDTH)]
        rois.append(cosine(read, phi[i]))
    return math.fsum(texts) / len(texts), math.fsum(rois) / len(rois)


@pytest.fixture
def studies() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """φ, α, m and both masks of studies with different numbers of regions and words."""
    draw = torch.Generator().manual_seed(0)
    phi, m = torch.randn(B, N, WIDTH, generator=draw), torch.randn(B, M, WIDTH, generator=draw)
    alpha = torch.rand(B, N, generator=draw)
    regions = torch.arange(N) < torch.tensor([[N], [3], [1], [4]])
    words = torch.arange(M) < torch.tensor([[M], [2], [M], [1]])
    return phi, alpha, m, regions, words


@axes
def test_scores_are_those_of_the_equations(studies: tuple[Tensor, ...], kind: Axes) -> None:
    phi, alpha, m, regions, words = studies
    found = CrossAttention(axes=kind).scores(phi, alpha, m, regions, words)
    for row in range(B):
        n, k = int(regions[row].sum()), int(words[row].sum())
        wanted = in_loops(phi[row, :n].tolist(), alpha[row, :n].tolist(), m[row, :k].tolist(), kind=kind)
        assert [float(score[row]) for score in found] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(("over", "dim"), [("words", 2), ("regions", 1)])
@axes
def test_each_attention_sums_to_1_over_its_axis(
    studies: tuple[Tensor, ...], kind: Axes, over: str, dim: int
) -> None:
    phi, _, m, regions, words = studies
    a, b = CrossAttention(axes=kind).weights(phi, m, regions, words)
    weights = a if (over == "words") == (kind == "paper") else b
    there = (regions.unsqueeze(2) & words.unsqueeze(1)).any(dim=dim)
    assert torch.allclose(weights.sum(dim=dim), there.float(), atol=1e-6)
    assert bool((weights[~(regions.unsqueeze(2) & words.unsqueeze(1))] == 0).all())


def test_with_one_word_neither_score_depends_on_its_sharpness(studies: tuple[Tensor, ...]) -> None:
    phi, alpha, m, regions, _ = studies
    one = torch.tensor([[True, False, False]]).expand(B, M)
    first = CrossAttention(4.0, 9.0).scores(phi, alpha, m, regions, one)
    other = CrossAttention(40.0, 0.1).scores(phi, alpha, m, regions, one)
    for before, after in zip(first, other, strict=True):
        assert torch.allclose(before, after, atol=1e-5)
    alone = torch.nn.functional.cosine_similarity(phi, m[:, :1], dim=-1)  # B_i points along m_1
    for row in range(B):
        assert float(first[1][row]) == pytest.approx(float(alone[row, regions[row]].mean()), abs=1e-5)


def test_the_score_of_regions_never_contains_alpha(studies: tuple[Tensor, ...]) -> None:
    phi, alpha, m, regions, words = studies
    first = CrossAttention().scores(phi, alpha, m, regions, words)
    other = CrossAttention().scores(phi, alpha.flip(1).square(), m, regions, words)
    assert torch.equal(first[1], other[1])
    assert not torch.allclose(first[0], other[0])


@pytest.mark.parametrize("part", ["alpha", "regions", "words"])
def test_gradient_reaches_everything(studies: tuple[Tensor, ...], part: str) -> None:
    phi, alpha, m, regions, words = studies
    moving = {"alpha": alpha, "regions": phi, "words": m}
    moving[part].requires_grad_(True)
    text, _ = CrossAttention().scores(phi, alpha, m, regions, words)
    text.sum().backward()
    gradient = moving[part].grad
    assert gradient is not None
    assert float(gradient.abs().sum()) > 0
    assert bool(gradient.isfinite().all())


def test_padding_changes_nothing(studies: tuple[Tensor, ...]) -> None:
    phi, alpha, m, regions, words = studies
    first = CrossAttention().scores(phi, alpha, m, regions, words)
    wild = torch.where(regions.unsqueeze(2), phi, 1e3), torch.where(words.unsqueeze(2), m, -1e3)
    other = CrossAttention().scores(wild[0], alpha.masked_fill(~regions, 0.0), wild[1], regions, words)
    for before, after in zip(first, other, strict=True):
        assert torch.allclose(before, after, atol=1e-6)


def test_a_study_without_a_word_scores_0_and_has_a_gradient(studies: tuple[Tensor, ...]) -> None:
    phi, alpha, m, regions, words = studies
    words = words.clone()
    words[0] = False
    phi.requires_grad_(True)
    text, roi = CrossAttention().scores(phi, alpha, m, regions, words)
    assert text[0].item() == roi[0].item() == 0.0
    (text.sum() + roi.sum()).backward()
    assert phi.grad is not None
    assert bool(phi.grad.isfinite().all())


def test_the_triplet_is_a_mean_over_the_chosen_studies() -> None:
    positive, negative = torch.tensor([0.5, 0.1, 0.9]), torch.tensor([0.2, 0.3, 0.0])
    loss, count = triplet(positive, negative, torch.tensor([True, True, False]), margin=0.2)
    assert int(count) == 2
    assert float(loss) == pytest.approx((max(0.2 - 0.5 + 0.2, 0) + (0.2 - 0.1 + 0.3)) / 2)
    nothing, none = triplet(positive, negative, torch.zeros(3, dtype=torch.bool), margin=0.2)
    assert (float(nothing), int(none)) == (0.0, 0)
