from __future__ import annotations

import json
from typing import Any

import pytest

import contrastcxr
from contrastcxr.cli.doctor import lines
from contrastcxr.data.dicom.decode import PREFERRED


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    from contrastcxr.machine import examine

    return examine()


def test_every_section_is_there_and_goes_to_json(found: dict[str, Any], command: Any) -> None:
    assert found["contrastcxr"] == contrastcxr.__version__
    sections = {
        "cpu",
        "devices",
        "gpus",
        "packages",
        "extras",
        "dicom codecs",
        "java",
        "checkpoints",
        "weights",
        "cache",
    }
    assert sections | {"licences"} <= set(found)
    assert json.loads(json.dumps(found)) == found
    assert json.loads(command("doctor", "--json").out)["extras"] == found["extras"]


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
                "gpus": {"driver": None, "cuda": None, "found": []},
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
    assert "driver none, PyTorch's CUDA none; none found: training is on the CPU" in said
    assert "lacks torchxrayvision: pip install 'contrastcxr[xrv]'" in said
    assert "no decoder; pip install 'contrastcxr[dicom-gpl]'" in said
    assert "METEOR is left out" in said
    assert "unreadable: damaged" in said
    assert "none installed (none needed)" in said


def test_each_gpu_has_its_memory_and_whether_it_has_bf16(found: dict[str, Any]) -> None:
    gpus = [{"name": "card 0", "gb": 80.0, "bf16": True}, {"name": "card 1", "gb": 16.0, "bf16": False}]
    [line] = (
        line
        for line in lines({**found, "gpus": {"driver": "535.1", "cuda": "12.4", "found": gpus}})
        if line.startswith("gpus ")
    )
    assert line.split("  ")[-1].strip() == (
        "driver 535.1, PyTorch's CUDA 12.4; card 0 80.0 GB, bf16 yes; card 1 16.0 GB, bf16 no"
    )


def test_verbose_adds_the_licence_of_every_package(found: dict[str, Any]) -> None:
    assert len(lines(found, verbose=True)) == len(lines(found)) + len(found["licences"]["packages"])
    assert found["licences"]["packages"]["pydicom"].startswith("MIT")
