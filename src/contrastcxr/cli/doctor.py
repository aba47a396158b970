"""`contrastcxr doctor`: what this machine has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contrastcxr import api
from contrastcxr.cli import output

Found = dict[str, Any]


@output.verb
def doctor(said: output.Output) -> None:
    """Say what this machine has: devices, codecs, extras, weights, Java, caches, licences, disk."""
    found = api.doctor()
    said.result("\n".join(lines(found, verbose=said.verbose)))
    said.result_json(found)


def lines(found: Found, *, verbose: bool = False) -> list[str]:
    """Return what was found in words, a line for each thing; `verbose` adds the licence of every package."""
    pairs = list(_pairs(found, verbose=verbose))
    width = max(len(name) for name, _ in pairs)
    return [f"{name:<{width}}  {value}" for name, value in pairs]


def _pairs(found: Found, *, verbose: bool) -> Iterator[tuple[str, str]]:
    for name in ("contrastcxr", "python", "system", "memory"):
        yield name, found[name]
    yield "cpu", _cpu(found["cpu"])
    yield "devices", ", ".join(found["devices"])
    yield "gpus", _gpus(found["gpus"])
    yield "packages", _versions(found["packages"])
    for extra, packages in found["extras"].items():
        yield f"extra {extra}", _extra(extra, packages)
    for codec in found["dicom codecs"]:
        lacking = f"no decoder; pip install 'contrastcxr[{codec['extra']}]'"
        yield f"codec {codec['keyword']}", ", ".join(codec["decoders"]) or lacking
    yield "java", found["java"] or "none (METEOR is left out; nothing else needs it)"
    for checkpoint in found["checkpoints"]:
        yield f"checkpoint {checkpoint['name']}", _checkpoint(checkpoint)
    for name, value in found["weights"].items():
        yield f"weights {name}", value
    yield from _cache(found["cache"])
    yield from _licences(found["licences"], verbose=verbose)


def _cpu(cpu: Found) -> str:
    features = " ".join(cpu["features"]) or "none known"
    return f"{cpu['cores']} cores, {cpu['torch threads']} threads, {features}; bf16 {cpu['bf16']}"


def _gpus(gpus: Found) -> str:
    driver = f"driver {gpus['driver'] or 'none'}, PyTorch's CUDA {gpus['cuda'] or 'none'}"
    each = [f"{gpu['name']} {gpu['gb']} GB, bf16 {'yes' if gpu['bf16'] else 'no'}" for gpu in gpus["found"]]
    return "; ".join([driver, *(each or ["none found: training is on the CPU"])])


def _versions(packages: Found) -> str:
    return ", ".join(f"{name} {version or 'MISSING'}" for name, version in packages.items())


def _extra(extra: str, packages: Found) -> str:
    missing = [name for name, version in packages.items() if version is None]
    there = ", ".join(f"{name} {version}" for name, version in packages.items() if version is not None)
    lacks = f"lacks {', '.join(missing)}: pip install 'contrastcxr[{extra}]'" if missing else ""
    return "; ".join(part for part in (there, lacks) if part)


def _checkpoint(checkpoint: Found) -> str:
    if "error" in checkpoint:
        return f"{checkpoint['mb']} MB, unreadable: {checkpoint['error']}"
    sources = "; ".join(f"{name}: {licence}" for name, licence in checkpoint["sources"].items())
    return f"{checkpoint['mb']} MB, from {sources}"


def _cache(cache: Found) -> Iterator[tuple[str, str]]:
    parts = ", ".join(f"{name} {size:,.1f} MB" for name, size in cache["mb"].items()) or "empty"
    yield "cache", f"{cache['folder']} ({parts})"
    yield "disk", f"{cache['free_mb']:,} MB free beside the cache"


def _licences(licences: Found, *, verbose: bool) -> Iterator[tuple[str, str]]:
    yield "licence", f"contrastcxr {licences['contrastcxr']}; every package's with --verbose"
    gpl = "; ".join(f"{name}: {said}" for name, said in licences["gpl"].items()) or "none installed"
    yield "GPL packages", f"{gpl} ({licences['gpl_note']})"
    if verbose:
        yield from ((f"licence {name}", said) for name, said in licences["packages"].items())
