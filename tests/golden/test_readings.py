"""The bundled models read as recorded: every value of the document, every value of the page.

Other processors round differently: with AVX off (`ATEN_CPU_CAPABILITY=default`) no name, order or text changed,
and no figure by as much as a share of 1e-3. Probabilities have four digits, so that share is a unit of the last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from golden import readings
from golden.alike import differences
from golden.command import recorded

SHARE = 1e-3
MAP_UNIT, PICTURE_UNIT = 2e-5, 0.1
"""Maps and weights are written to five places or more; means of pictures are of 255."""


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return readings.draw(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="module")
def nih(shared_data: Path) -> Path:
    path = shared_data / "nih14" / "images" / readings.NIH_PICTURE
    if not path.is_file():
        pytest.skip(f"the NIH picture is not at {path}")
    return path


def check(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Names, probabilities, the rest of the documents, pages and their pictures, each with its own tolerance."""
    assert {kind: sorted(found[kind]) for kind in found} == {kind: sorted(wanted[kind]) for kind in wanted}
    findings = [{name: each["findings"] for name, each in side["documents"].items()} for side in (found, wanted)]
    pages = [{n: {**page, "pictures": []} for n, page in side["pages"].items()} for side in (found, wanted)]
    pictures = [{name: page["pictures"] for name, page in side["pages"].items()} for side in (found, wanted)]
    assert not list(differences(*findings, rel=SHARE))
    assert not list(differences(found["documents"], wanted["documents"], rel=SHARE, least=MAP_UNIT))
    assert not list(differences(*pages, rel=0))
    assert not list(differences(*pictures, rel=SHARE, least=PICTURE_UNIT))


@pytest.mark.parametrize("model", readings.MODELS)
def test_phantoms_are_read_as_recorded(model: str, phantoms: Path, tmp_path: Path) -> None:
    check(readings.read(phantoms, model, tmp_path), recorded(f"{model}-phantoms"))


@pytest.mark.data
@pytest.mark.parametrize("model", readings.MODELS)
def test_a_radiograph_is_read_as_recorded(model: str, nih: Path, tmp_path: Path) -> None:
    check(readings.read(nih, model, tmp_path), recorded(f"{model}-nih"))


@pytest.mark.parametrize("model", readings.MODELS)
def test_what_is_recorded_is_a_whole_reading(model: str) -> None:
    """Nothing above passes because both sides are empty."""
    kept = recorded(f"{model}-phantoms")
    assert len(kept["documents"]) == 3
    assert kept["pages"].keys() == {"index.html", *(f"{Path(name).stem}.html" for name in kept["documents"])}
    for document in kept["documents"].values():
        assert document["report"]["sentences"]
        assert all(finding["probability"] for finding in document["findings"])
        assert document["evidence"]["closest"]
        assert document["evidence"]["attention"]
    assert all(page["pictures"] for name, page in kept["pages"].items() if name != "index.html")
