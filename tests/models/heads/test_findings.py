"""The finding head: named outputs, and a temperature that only probabilities see."""

from __future__ import annotations

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.heads.findings import FindingHead

POOLED = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def head() -> FindingHead:
    return FindingHead(6, ("Mass", "Edema")).eval()


def test_an_output_per_finding(head: FindingHead) -> None:
    assert head(POOLED).shape == (4, 2)
    assert head.findings == ("Mass", "Edema")


def test_temperature_scales_probabilities_and_not_logits(head: FindingHead) -> None:
    logits = head(POOLED)
    head.set_temperature(2.0)
    torch.testing.assert_close(head(POOLED), logits, atol=0, rtol=0)
    torch.testing.assert_close(head.probabilities(POOLED), torch.sigmoid(logits / 2))


def test_temperature_is_saved_with_the_weights_and_not_trained(head: FindingHead) -> None:
    head.set_temperature(1.5)
    other = FindingHead(6, ("Mass", "Edema"))
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
        FindingHead(6, names)
