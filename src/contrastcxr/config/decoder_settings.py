"""Settings of decoders: the list `decoders` of a configuration file, and how one is chosen from it.

`--set decoder.kind=hlstm`, or `decoder: {kind: hlstm}` in a file that extends the one with the list, brings what
the list says of `hlstm` and its name: `phantom` becomes `phantom-hlstm`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from contrastcxr.errors import ConfigError, listed, suggestion
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.options import own_name

LIST = "decoders"
"""The key of the list; it is read away, so that no `SystemConfig` has it."""


def unknown_kind(kind: str, *, known: Collection[str]) -> str:
    """Return what is said of a decoder that nobody, or a list, has."""
    also = [DECODERS[each].also for each in known if each in DECODERS]
    return f"unknown decoder.kind '{kind}'; {suggestion(kind, known, also=also)}"


def settings_of(base: Mapping[str, Any], decoder: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return what choosing a decoder sets above the file with the list.

    Args:
        base: the values of that file, the list among them.
        decoder: the chosen decoder, as the files and overrides have it.
        where: names the configuration in an error.

    Raises:
        ConfigError: no kind is chosen, the list does not have it, or it is no list of settings by kind.
    """
    by_kind = _checked(base[LIST], where=where)
    if "kind" not in decoder:
        options = listed((f"decoder.{option}" for option in decoder), none="")
        none = f"{options}: there is no decoder here" if options else "no decoder"
        raise ConfigError(f"{where}: {none}; choose one with --set decoder.kind=KIND: {listed(by_kind)}")
    kind = own_name(DECODERS, str(decoder["kind"]))
    if kind not in by_kind:
        raise ConfigError(f"{where}: {unknown_kind(kind, known=by_kind)}")
    settings = by_kind[kind]
    named = {"name": f"{base['name']}-{_in_names(kind)}"} if "name" in base else {}
    return {**named, **settings, "decoder": {"kind": kind, **settings.get("decoder", {})}}


def _checked(by_kind: object, *, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(by_kind, dict):
        raise ConfigError(f"{where}: {LIST}: expected settings by kind of decoder, found {by_kind!r}")
    for kind, settings in by_kind.items():
        if kind not in DECODERS:
            raise ConfigError(f"{where}: {LIST}: {unknown_kind(str(kind), known=DECODERS)}")
        if not isinstance(settings, dict) or not isinstance(settings.get("decoder", {}), dict):
            raise ConfigError(
                f"{where}: {LIST}.{kind}: expected keys such as `train:`, or {{}}, found {settings!r}"
            )
    return by_kind


def successor(path: Path) -> str | None:
    """Return what an absent file of one decoder is now, such as `phantom-hlstm.yaml` beside `phantom.yaml`."""
    for kind in DECODERS:
        corpus = path.stem.removesuffix(f"-{_in_names(kind)}")
        beside = path.with_name(f"{corpus}{path.suffix}")
        if corpus != path.stem and _has_list(beside):
            return f"`{beside} --set decoder.kind={kind}`"
    return None


def _has_list(path: Path) -> bool:
    return path.is_file() and f"\n{LIST}:" in path.read_text(encoding="utf-8", errors="replace")


def _in_names(kind: str) -> str:
    return kind.replace("_", "-")
