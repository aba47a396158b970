"""Cross-attention as a localizer: regions, weights and negatives against plain loops over paper D."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets
from contrastcxr.losses.cross_attention import CrossAttention
from contrastcxr.models.features import RegionPlaces, VisualFeatures
from contrastcxr.models.heads.base import AttributeAnswer, Head, PartialReading, RegionMarks
from models.tiny_heads import ATTRIBUTES, IMAGE, REGIONS, TARGETS, VECTOR, tiny_features, tiny_head, tiny_regions
from models.tiny_heads import tiny_vectors as vectors

N = 3


def head(**changes: Any) -> Any:
    return tiny_head("localizer", "cross_attention", **changes)


@torch.no_grad()
def answered(
    made: Head, features: VisualFeatures | None = None
) -> tuple[PartialReading, RegionMarks, AttributeAnswer]:
    answer = made.answer(tiny_regions() if features is None else features)
    assert answer.regions is not None
    assert answer.attributes is not None
    return answer, answer.regions, answer.attributes


def best(features: VisualFeatures, study: int) -> list[int]:
    """Places of the regions with the best scores, found by sorting."""
    assert isinstance(features.places, RegionPlaces)
    real = [i for i in range(2 * REGIONS) if features.mask[study, i]]
    return sorted(real, key=lambda i: -float(features.places.scores[study, i]))  # type: ignore[union-attr]


def phi_in_loops(made: Any, row: list[float]) -> torch.Tensor:
    """`φ_i` of one row of a region, term by term."""
    *looked, x1, y1, x2, y2, score = row
    geometry = torch.tensor([x1, y1, x2, y2, (x2 - x1) * (y2 - y1)])

    def normed(layer: torch.nn.Sequential, given: torch.Tensor) -> torch.Tensor:
        linear, norm = layer
        raw = linear.weight @ given + linear.bias
        mean = raw.mean()
        return (raw - mean) / ((raw - mean).square().mean() + norm.eps).sqrt() * norm.weight + norm.bias

    about = torch.cat([normed(made.place, geometry), normed(made.score, torch.tensor([score]))])
    return made.seen.weight @ torch.tensor(looked) + made.seen.bias + made.joined.weight @ about + made.joined.bias


@torch.no_grad()
def test_weights_and_words_are_those_of_the_equations() -> None:
    made, features = head(), tiny_regions()
    answer, marks, said = answered(made)
    for study in range(4):
        chosen = best(features, study)[:N]
        phi = torch.stack([phi_in_loops(made, features.patches[study, i].tolist()) for i in chosen])
        first, last = made.alpha[0], made.alpha[2]
        raw = [float(last.weight @ torch.tanh(first.weight @ p + first.bias)) for p in phi]
        powers = [math.exp(value) for value in raw]
        alpha = [power / sum(powers) for power in powers]
        assert marks.weights[study].tolist() == pytest.approx(alpha, abs=1e-5)
        assert torch.equal(marks.boxes[study], features.places.boxes[study, chosen])  # type: ignore[union-attr]
        v = sum(a * p for a, p in zip(alpha, phi, strict=True))
        told = torch.sigmoid(made.classifier.weight @ v + made.classifier.bias)
        assert said.probabilities[study].tolist() == pytest.approx(told.tolist(), abs=1e-5)
        unit = torch.nn.functional.normalize
        alike = 9.0 * unit(phi, dim=1) @ unit(made.words, dim=1).T
        assert torch.allclose(said.attention[study], torch.softmax(alike, dim=0), atol=1e-5)
    assert said.names == ATTRIBUTES
    assert answer.findings == ("Lung Opacity",)


@torch.no_grad()
def test_negatives_are_the_last_regions_and_the_nearest_word_of_no_other_attribute() -> None:
    made, features, given = head(), tiny_regions(), vectors()
    stated = TARGETS.attributes
    assert stated is not None
    attention = CrossAttention()
    text_terms, roi_terms = [], []
    for study in range(3):  # the last one states nothing
        order = best(features, study)
        rows = [phi_in_loops(made, features.patches[study, i].tolist()) for i in order]
        own = torch.stack(rows[:N])
        others = torch.stack(rows[max(len(rows) - N, N) :])
        names = [j for j in range(len(ATTRIBUTES)) if stated[study, j]]
        m = given.words[names]
        near = []
        for j in names:
            k = next(
                k for k in range(len(ATTRIBUTES)) if int(given.neighbour_attribute[j, k]) not in names
            )  # -1 is no attribute
            near.append(given.neighbours[j, k])
        alpha = torch.softmax(made.alpha(own).squeeze(1), dim=0)

        def score(phi: torch.Tensor, weights: torch.Tensor, words: torch.Tensor) -> tuple[float, float]:
            masks = torch.ones(1, len(phi), dtype=torch.bool), torch.ones(1, len(words), dtype=torch.bool)
            found = attention.scores(phi[None], weights[None], words[None], *masks)
            return float(found[0]), float(found[1])

        text, roi = score(own, alpha, m)
        text_terms.append(max(0.2 - text + score(own, alpha, torch.stack(near))[0], 0.0))
        roi_terms.append(max(0.2 - roi + score(others, torch.ones(len(others)), m)[1], 0.0))
    terms = made.teach(features, TARGETS).terms
    assert int(terms["match_text"][1]) == int(terms["match_region"][1]) == 3
    assert float(terms["match_text"][0]) == pytest.approx(sum(text_terms) / 3, abs=1e-5)
    assert float(terms["match_region"][0]) == pytest.approx(sum(roi_terms) / 3, abs=1e-5)


def test_a_word_that_no_training_report_has_is_never_said() -> None:
    made = head()
    _, _, before = answered(made)
    made.words[1] = 0.0  # as `take_vectors` leaves it
    _, _, said = answered(made)
    assert said.probabilities[:, 1].tolist() == [0.0] * 4
    others = [j for j in range(len(ATTRIBUTES)) if j != 1]
    assert torch.equal(said.probabilities[:, others], before.probabilities[:, others])
    assert bool((before.probabilities > 0).all())


@torch.no_grad()
@pytest.mark.parametrize("axes", ["paper", "scan"])
def test_a_word_without_a_vector_stands_in_no_region_and_takes_no_share_of_others(axes: str) -> None:
    made, features = head(axes=axes), tiny_regions()
    _, _, before = answered(made)
    made.words[1] = 0.0
    _, marks, said = answered(made)
    others = [j for j in range(len(ATTRIBUTES)) if j != 1]
    assert not said.attention[..., 1].any()
    if axes == "paper":  # a share over regions, whatever the other words
        assert torch.equal(said.attention[..., others], before.attention[..., others])
    for study in range(4):
        shares = said.attention[study].sum(dim=1 if axes == "scan" else 0)
        wanted = torch.ones(marks.weights.shape[1]) if axes == "scan" else made.words.any(dim=1).float()
        assert torch.allclose(shares, wanted, atol=1e-5)
        assert len(best(features, study)) >= N  # so that every region is a real one


def test_the_control_weighs_by_scores_alone() -> None:
    made = head(alpha="scores")
    _, marks, _ = answered(made)
    features = tiny_regions()
    assert isinstance(features.places, RegionPlaces)
    for study in range(4):
        scores = features.places.scores[study, best(features, study)[:N]]
        assert torch.allclose(marks.weights[study], torch.softmax(scores, dim=0), atol=1e-6)
    assert not any(name.startswith("alpha") for name, _ in made.named_parameters())


def test_a_study_with_few_regions_has_no_term_of_regions() -> None:
    features = tiny_regions()
    mask = features.mask.clone()
    mask[0, N:] = False
    terms = head().teach(features.replace(mask=mask), TARGETS).terms
    assert (int(terms["match_text"][1]), int(terms["match_region"][1])) == (3, 2)


def test_an_attribute_without_a_vector_is_neither_matched_nor_told() -> None:
    made, given = head(), vectors()
    at = ATTRIBUTES.index("right")
    given.words[at] = 0.0
    made.take_vectors(given)
    terms = made.teach(tiny_regions(), TARGETS).terms
    assert int(terms["match_text"][1]) == 2  # "right" was all that study 1 states
    assert int(terms["attribute"][1]) == 4 * (len(ATTRIBUTES) - 1)
    _, _, said = answered(made)
    assert said.names == ATTRIBUTES
    assert not said.probabilities[:, at].any()
    assert (said.probabilities.sum(dim=1) > 0).all()


def test_the_loss_of_attributes_is_a_cross_entropy_of_what_is_told() -> None:
    made, stated = head(), TARGETS.attributes
    assert stated is not None
    _, _, said = answered(made)
    terms = [
        -math.log(p if stated[study, j] else 1 - p)
        for study, told in enumerate(said.probabilities.tolist())
        for j, p in enumerate(told)
    ]
    with torch.no_grad():
        mean, count = made.teach(tiny_regions(), TARGETS).terms["attribute"]
    assert float(mean) == pytest.approx(sum(terms) / len(terms), rel=1e-4)
    assert int(count) == len(terms)


def test_a_word_without_a_free_neighbour_is_not_matched() -> None:
    made, given = head(), vectors()
    at = ATTRIBUTES.index("right")
    given.neighbours[at] = 0.0
    given.neighbour_attribute[at] = -1
    made.take_vectors(given)
    terms = made.teach(tiny_regions(), TARGETS).terms
    assert int(terms["match_text"][1]) == int(terms["match_region"][1]) == 2  # study 1 states nothing else
    assert int(terms["attribute"][1]) == 4 * len(ATTRIBUTES)


def test_without_the_loss_of_attributes_no_word_is_told() -> None:
    with torch.no_grad():
        answer = head(attribute_weight=0.0).answer(tiny_regions())
    assert answer.attributes is None
    assert answer.regions is not None


def test_reading_needs_no_report_and_training_does() -> None:
    answered(head())
    with pytest.raises(IncompatibleError, match="a training batch needs attributes"):
        head().teach(tiny_regions(), replace(TARGETS, attributes=None))
    with pytest.raises(IncompatibleError, match=r"without encoder\.regions"):
        head().teach(tiny_features(), TARGETS)


@pytest.mark.parametrize(
    ("option", "value"), [("margin", 0.6), ("word_sharpness", 9.0), ("region_sharpness", 1.0), ("axes", "scan")]
)
def test_every_setting_of_the_loss_changes_it(option: str, value: Any) -> None:
    def losses(made: Head, targets: Targets = TARGETS) -> list[float]:
        terms = made.teach(tiny_regions(), targets).terms
        return [float(terms[name][0].detach()) for name in ("match_text", "match_region")]

    assert losses(head()) != losses(head(**{option: value}))


def test_vectors_are_kept_in_the_weights() -> None:
    state = head().state_dict()
    assert torch.equal(state["words"], vectors().words)
    assert state["neighbours"].shape == (len(ATTRIBUTES), len(ATTRIBUTES), VECTOR)
    assert head().image_size == IMAGE
