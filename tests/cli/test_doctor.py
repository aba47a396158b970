from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import contrastcxr
from contrastcxr import machine
from contrastcxr.cli.doctor import lines
from contrastcxr.data.dicom.decode import PREFERRED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    from contrastcxr.machine import examine

    return examine()


def test_every_section_is_there_and_goes_to_json(found: dict[str, Any], command: Any) -> None:
    assert found["contrastcxr"] == contrastcxr.__version__
    sections = {"cpu", "devices", "packages", "extras", "dicom codecs", "java", "checkpoints", "weights", "cache"}
    assert sections | {"licences"} <= set(found)
    assert json.loads(json.dumps(found)) == found
    assert json.loads(command("doctor", "--json").out)["extras"] == found["extras"]


def test_the_extras_are_those_of_the_project_file() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = {"test", "dev", "all"}
    packages = {
        extra: tuple(re.split(r"[<>=~ ;\[]", line, maxsplit=1)[0] for line in lines)
        for extra, lines in stated.items()
        if extra not in own
    }
    assert packages == machine.EXTRAS


def test_every_compressed_transfer_syntax_has_a_line(found: dict[str, Any]) -> None:
    assert [row["uid"] for row in found["dicom codecs"]] == list(PREFERRED)
    said = "\n".join(lines(found))
    assert all(f"codec {row['keyword']}" in said for row in found["dicom codecs"])


def test_what_lacks_names_the_extra_to_install() -> None:
    codec = {"keyword": "JPEGExtended12Bit", "decoders": [], "extra": "dicom-gpl"}
    said = "\n".join(
        lines(
            {
                "contrastcxr": "1",
                "python": "3",
                "system": "s",
                "memory": "m",
                "cpu": {"cores": 1, "torch threads": 1, "features": [], "bf16": "emulated"},
                "devices": ["cpu"],
                "packages": {"torch": None},
                "extras": {"xrv": {"torchxrayvision": None}},
                "dicom codecs": [codec],
                "java": None,
                "checkpoints": [{"name": "bad", "mb": 1.0, "error": "damaged"}],
                "weights": {},
                "cache": {"folder": "c", "mb": {"features": 2.0}, "prepared": [], "free_mb": 3},
                "licences": {"contrastcxr": "Apache-2.0", "packages": {}, "gpl": {}, "gpl_note": "none needed"},
            }
        )
    )
    assert "torch MISSING" in said
    assert "lacks torchxrayvision: pip install 'contrastcxr[xrv]'" in said
    assert "no decoder; pip install 'contrastcxr[dicom-gpl]'" in said
    assert "METEOR is left out" in said
    assert "unreadable: damaged" in said
    assert "none installed (none needed)" in said


def test_the_cache_is_measured_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prepared" / "nih14-0").mkdir(parents=True)
    (tmp_path / "prepared" / "nih14-0" / "a.npy").write_bytes(bytes(1_500_000))
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path))
    cache = machine.caches()
    assert (cache["mb"], cache["prepared"]) == ({"prepared": 1.5}, ["nih14-0"])
    assert cache["free_mb"] > 0
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path / "not" / "there"))
    assert machine.caches()["mb"] == {}


@pytest.mark.parametrize(
    ("licence", "gpl"),
    [
        ("GPL-3.0", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0-only", True),
        ("GNU Lesser General Public License v2 (LGPLv2)", False),
        ("MIT", False),
    ],
)
def test_the_gpl_is_told_from_other_licences(licence: str, gpl: bool) -> None:
    assert machine._is_gpl(licence) is gpl


def test_verbose_adds_the_licence_of_every_package(found: dict[str, Any]) -> None:
    assert len(lines(found, verbose=True)) == len(lines(found)) + len(found["licences"]["packages"])
    assert found["licences"]["packages"]["pydicom"].startswith("MIT")
