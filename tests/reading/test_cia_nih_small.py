"""The bundled model of paper B: small enough to ship, and it marks findings and says what it compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrastcxr.api import load_studies
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.reading.reader import Reader

FILE = Path(__file__).resolve().parents[2] / "models" / "cia-nih-small" / "cia-nih-small.safetensors"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.from_checkpoint(FILE)


def test_it_is_small_and_has_nothing_of_rsna() -> None:
    assert FILE.stat().st_size <= 10_000_000
    config = load_checkpoint(FILE).config
    assert config.data.options == {"boxed_by": "chestx-det", "rsna": "unread"}
    assert config.contrast is not None
    assert config.contrast.kind == "difference"


def test_it_says_where_findings_are_and_what_it_compared_with(reader: Reader) -> None:
    (study,) = load_studies("phantom:smoke/test?limit=1")
    reading = reader.read(study)
    assert len(reading.findings) == 14
    assert all(finding.probability is not None for finding in reading.findings)
    assert {map_.finding for map_ in reading.evidence.finding_maps} == set(reader.labels)
    (negative, *_) = reading.evidence.negatives
    assert negative.source == "nih14-cv"
    assert reading.evidence.difference
