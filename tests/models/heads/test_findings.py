"""The finding head: named outputs, and a temperature that only probabilities see."""

from __future__ import annotations

import math

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.findings import FindingHead
from contrastcxr.models.heads.options import FindingHeadOptions

POOLED = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
FEATURES = VisualFeatures(torch.zeros(4, 3, 6), POOLED, torch.ones(4, 3, dtype=torch.bool))
OPTIONS = FindingHeadOptions(labels="phantom")


def made(*names: str) -> FindingHead:
    return FindingHead(HeadInputs(width=6, findings=names), OPTIONS).eval()


@pytest.fixture
def head() -> FindingHead:
    return made("Mass", "Edema")


def test_an_output_per_finding(head: FindingHead) -> None:
    assert head.logits(FEATURES).shape == (4, 2)
    assert head.findings == ("Mass", "Edema")


def test_temperature_scales_probabilities_and_not_logits(head: FindingHead) -> None:
    logits = head.logits(FEATURES)
    head.set_temperature(2.0)
    torch.testing.assert_close(head.logits(FEATURES), logits, atol=0, rtol=0)
    torch.testing.assert_close(head.probabilities(FEATURES), torch.sigmoid(logits / 2))


def test_temperature_is_saved_with_the_weights_and_not_trained(head: FindingHead) -> None:
    head.set_temperature(1.5)
    other = made("Mass", "Edema")
    other.load_state_dict(head.state_dict())
    assert other.temperature == 1.5
    assert "temperature" not in dict(head.named_parameters())


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(head: FindingHead, temperature: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        head.set_temperature(temperature)


@pytest.mark.parametrize("names", [(), ("Mass", "Mass")])
def test_no_finding_or_one_twice_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(IncompatibleError):
        made(*names)


def test_it_is_taught_the_labels_that_are_known(head: FindingHead) -> None:
    labels = torch.tensor([[1.0, 0.0], [0.0, torch.nan], [1.0, 1.0], [0.0, 0.0]])
    known = labels.isfinite()
    (name, (mean, count)), *others = head.teach(FEATURES, Targets(findings=labels, known=known)).terms.items()
    assert (name, int(count), others) == ("finding", 7, [])
    logits = head.logits(FEATURES).tolist()
    each = [
        math.log1p(math.exp(-z if y else z))
        for row, wanted in zip(logits, labels.tolist(), strict=True)
        for z, y in zip(row, wanted, strict=True)
        if not math.isnan(y)
    ]
    assert float(mean.detach()) == pytest.approx(sum(each) / 7, rel=1e-5)


def test_studies_without_labels_are_refused(head: FindingHead) -> None:
    with pytest.raises(IncompatibleError, match="needs labels of findings"):
        head.teach(FEATURES, Targets())


def test_it_answers_probabilities_alone(head: FindingHead) -> None:
    answer = head.answer(FEATURES)
    assert (answer.findings, answer.reports, answer.maps) == (("Mass", "Edema"), None, None)
    torch.testing.assert_close(answer.probabilities, head.probabilities(FEATURES))
