"""Rooms that are read, written and configured in without PyTorch: they import where it cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import contrastcxr

PACKAGE = Path(contrastcxr.__file__).parent
ROOMS = (
    "version",
    "errors",
    "form",
    "files",
    "vocab",
    "published",
    "text",
    "phantom",
    "data",
    "store",
    "quality.measures",
    "quality.flags",
    "decode.settings",
    "metrics",
    "config",
    "checkpoint.metadata",
    "write",
    "reading.evidence",
    "reading.findings",
    "reading.plan",
    "reading.provenance",
    "reading.regions",
    "reading.session",
    "machine",
    "catalogue",
    "api",
    "cli",
)
"""Rooms, and modules of rooms that do need PyTorch elsewhere."""

BLOCKED = ("torch", "torchvision", "timm", "lightning")

BLOCK = f"""
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"{{name}} is imported, here of all places", name=name)

sys.meta_path.insert(0, Block())
"""


def modules(room: str) -> list[str]:
    """The module of that name, and those inside it."""
    path = PACKAGE.joinpath(*room.split("."))
    found = [path.with_suffix(".py"), *path.rglob("*.py")]
    parts = [f.relative_to(PACKAGE.parent).with_suffix("").parts for f in found if f.is_file()]
    return sorted(".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BLOCK + code], capture_output=True, text=True, timeout=300)


def test_every_room_named_is_there() -> None:
    assert not [room for room in ROOMS if not modules(room)]


def test_the_block_blocks() -> None:
    done = run("import torch")
    assert done.returncode == 1
    assert "torch is imported, here of all places" in done.stderr


def test_no_module_of_these_rooms_needs_torch_to_be_imported() -> None:
    names = [name for room in ROOMS for name in modules(room)]
    done = run(
        f"""
for name in {names}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(f"{{name}}: {{error}}")
"""
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_metadata_of_a_bundled_checkpoint_are_read_without_torch() -> None:
    done = run(
        """
from contrastcxr.checkpoint import read_metadata

read = read_metadata("phantom")
print(read.config.name, read.preprocess.size, len(read.tokenizer) > 100, read.sources[0].name)
"""
    )
    assert done.stdout == "phantom 256 True phantom\n", done.stdout + done.stderr


def test_every_known_checkpoint_is_listed_without_torch() -> None:
    done = run("from contrastcxr.machine import checkpoints\nprint(len(checkpoints()) > 0, checkpoints())")
    assert done.stdout.startswith("True "), done.stdout + done.stderr
    assert "error" not in done.stdout


def test_parts_are_listed_and_described_without_torch() -> None:
    done = run(
        """
from contrastcxr import api

print(len(api.list_models()) > 10, api.describe_part("cam").kind, api.describe_part("resnet50").kind)
"""
    )
    assert done.stdout == "True localizer encoder\n", done.stdout + done.stderr
