"""What `contrastcxr doctor` looks at, section by section."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from email.message import Message
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydicom.uid import JPEGExtended12Bit

import contrastcxr
from contrastcxr import machine
from contrastcxr.checkpoint import save_checkpoint
from contrastcxr.data.dicom.decode import PREFERRED
from tiny_system import tiny_checkpoint

ROOT = Path(__file__).resolve().parents[1]


def test_the_whole_is_its_sections_in_values_that_go_to_json() -> None:
    found = machine.examine()
    assert json.loads(json.dumps(found)) == found
    assert found["devices"] == machine.devices()
    assert found["gpus"] == machine.gpus()
    assert found["packages"] == machine.packages()
    assert found["extras"] == machine.extras()
    assert found["java"] == machine.java()
    assert list(found)[:4] == ["contrastcxr", "python", "system", "memory"]


def test_the_extras_are_those_of_the_project_file() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = {"test", "dev", "all"}
    packages = {
        extra: tuple(re.split(r"[<>=~ ;\[]", line, maxsplit=1)[0] for line in lines)
        for extra, lines in stated.items()
        if extra not in own
    }
    assert packages == machine.EXTRAS


def test_the_core_is_part_of_what_the_project_file_needs() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=~ ;\[]", line, maxsplit=1)[0] for line in needed}
    assert set(machine.CORE) <= names


def test_the_system_says_versions_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine.system()
    assert found["contrastcxr"] == contrastcxr.__version__
    assert re.fullmatch(r"\d+\.\d GB", found["memory"])

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", unknown)
    assert machine.system()["memory"] == "unknown"


def test_the_processor_names_only_features_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "processor : 0\nflags\t\t: fpu avx2 sse amx_tile\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    found = machine.processor()
    assert found["features"] == ["avx2", "amx_tile"]
    assert found["torch threads"] == torch.get_num_threads()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "nothing of it")
    assert machine.processor()["features"] == []


def test_a_machine_that_does_not_say_its_features_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert machine.processor()["features"] == []


@pytest.mark.parametrize("there", [True, False])
def test_bf16_is_in_hardware_or_slow(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for check in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, check, lambda: there, raising=False)
    assert machine.processor()["bf16"] == ("in hardware" if there else "emulated: slower than float32")


def test_the_processor_is_a_device_and_others_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"card {number}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine.devices() == ["cpu", "cuda:0 card 0", "cuda:1 card 1", "mps"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert machine.devices() == ["cpu"]


@pytest.mark.parametrize("bf16", [True, False])
def test_gpus_have_memory_and_bf16_and_there_is_a_driver(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(name="card", total_memory=80_000_000_000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
    text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 2023\nGCC version: 11.4.0\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    found = machine.gpus()
    assert found["driver"] == "535.104.05"
    assert found["found"] == [{"name": "card", "gb": 80.0, "bf16": bf16}] * 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.gpus()["found"] == []
    assert not machine.gpus_multiply_bf16()


@pytest.mark.parametrize("text", [None, "nothing of it"])
def test_without_a_driver_there_is_no_version_of_it(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> str:
        if text is None:
            raise FileNotFoundError
        return text

    monkeypatch.setattr(Path, "read_text", read)
    assert machine.gpus()["driver"] is None


def packaged(monkeypatch: pytest.MonkeyPatch, **packages: dict[str, str]) -> None:
    """Let only these packages be installed, with these fields in their metadata."""

    def metadata(name: str) -> Message:
        if name not in packages:
            raise PackageNotFoundError(name)
        message = Message()
        for field, value in packages[name].items():
            message[field.replace("_", "-")] = value
        return message

    monkeypatch.setattr(machine, "metadata", metadata)


def test_packages_have_their_version_and_absent_ones_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.packages()["numpy"] == version("numpy")
    packaged(monkeypatch, torch={"Version": "9.1"}, gensim={"Version": "4"})
    assert machine.packages() == {**dict.fromkeys(machine.CORE), "torch": "9.1"}
    assert machine.extras()["attributes"] == {"gensim": "4"}
    assert machine.extras()["hf"] == {"transformers": None}


def test_every_compressed_syntax_names_its_decoders_and_the_extra_for_it() -> None:
    rows = machine.codecs()
    assert [row["uid"] for row in rows] == list(PREFERRED)
    for row in rows:
        assert [name for name in PREFERRED[row["uid"]] if name in row["decoders"]] == row["decoders"]
        assert row["extra"] == ("dicom-gpl" if row["uid"] == JPEGExtended12Bit else "dicom")


@pytest.mark.parametrize("where", ["/usr/bin/java", None])
def test_java_is_where_the_path_says(where: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: where if name == "java" else "other")
    assert machine.java() == where


def test_checkpoints_have_size_and_licences_and_a_damaged_one_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrastcxr.files.model_folders", lambda: (tmp_path,))
    save_checkpoint(tmp_path / "mine.safetensors", tiny_checkpoint(), dtype="float32")
    (tmp_path / "broken.safetensors").write_bytes(bytes(1_230_000))
    broken, mine = machine.checkpoints()
    assert (broken["name"], broken["mb"]) == ("broken", 1.2)
    assert "broken.safetensors" in broken["error"]
    assert (mine["name"], mine["sources"]) == ("mine", {"phantom": "Apache-2.0"})
    assert "error" not in mine


def test_weights_are_looked_for_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hub" / "deep").mkdir(parents=True)
    (tmp_path / "hub" / "deep" / "a.bin").write_bytes(bytes(2_000_000))
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "link.bin").symlink_to(tmp_path / "hub" / "deep" / "a.bin")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    packaged(monkeypatch)
    found = machine.weights()
    assert found["hub"] == f"{tmp_path / 'hub'} (2 MB)"
    assert found["torch"] == f"{tmp_path / 'torch'} (empty)"
    assert found["package (tf_efficientnet_lite0)"] == "not installed: extra train"
    packaged(monkeypatch, **{machine.LITE0: {"Version": "1.0"}})
    assert machine.weights()["package (tf_efficientnet_lite0)"] == f"{machine.LITE0} 1.0"


def test_the_cache_is_measured_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prepared" / "nih14-0").mkdir(parents=True)
    (tmp_path / "prepared" / "nih14-0" / "a.npy").write_bytes(bytes(1_500_000))
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path))
    cache = machine.caches()
    assert (cache["mb"], cache["prepared"]) == ({"prepared": 1.5}, ["nih14-0"])
    assert cache["free_mb"] > 0
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path / "not" / "there"))
    assert machine.caches()["mb"] == {}
    assert machine.caches()["free_mb"] > 0
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize(
    ("licence", "gpl"),
    [
        ("GPL-3.0", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0-only", True),
        ("GNU Lesser General Public License v2 (LGPLv2)", False),
        ("LGPL-2.1", False),
        ("GNU Lesser General Public License", False),
        ("MIT", False),
    ],
)
def test_the_gpl_is_told_from_other_licences(licence: str, gpl: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged(monkeypatch, numpy={"License": licence})
    found = machine.licences()
    assert found["packages"] == {"numpy": licence}
    assert found["gpl"] == ({"numpy": licence} if gpl else {})


def test_a_package_that_is_known_to_bind_others_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    [name] = machine.GPL
    packaged(monkeypatch, **{name: {"License": "whatever"}})
    assert machine.licences()["gpl"] == {name: machine.GPL[name]}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"License_Expression": "MIT", "License": "other"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License", "License": "other"}, "BSD License"),
        ({"Classifier": "Topic :: Software", "License": "Apache-2.0\nlong text"}, "Apache-2.0"),
        ({"License": "UNKNOWN"}, "not stated"),
        ({"License": "x" * 90}, "x" * 60),
        ({}, "not stated"),
    ],
)
def test_a_licence_is_what_the_package_states_first(
    fields: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged(monkeypatch, torch={"Version": "1", **fields})
    assert machine.licences()["packages"] == {"torch": said}


def test_licences_name_each_installed_package_once_in_the_order_of_core_and_extras() -> None:
    found = machine.licences()
    wanted = [*machine.CORE, *(name for names in machine.EXTRAS.values() for name in names)]
    order = [name for name in dict.fromkeys(wanted) if name in found["packages"]]
    assert list(found["packages"]) == order
    assert set(machine.CORE) <= set(order)
    assert found["contrastcxr"] == "Apache-2.0"
    assert set(found["gpl"]) <= set(found["packages"])
