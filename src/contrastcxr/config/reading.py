"""Configurations from YAML, read strictly: files with parents, overrides, and errors that name the nearest key.

A file may name a parent (`extends: base.yaml`), and `--set a.b=c` changes one value of either. The decoder brings
its settings from the list `decoders` of the file or a parent. A file that an option names is looked for beside it
first, then from the working folder.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from contrastcxr.config.decoder_settings import LIST, settings_of, successor
from contrastcxr.config.parts import FILES, SystemConfig
from contrastcxr.config.retired import without_retired
from contrastcxr.decode.settings import MEANT_FOR
from contrastcxr.errors import ConfigError, listed, suggestion
from contrastcxr.options import Options, Registered, kinds_of, own_name, part_of


def load_config(path: Path | str, *, overrides: Sequence[str] = ()) -> SystemConfig:
    """Read a configuration file, its parents, the settings of its decoder, and then the overrides.

    Args:
        path: a YAML file.
        overrides: `a.b=value`, the value in YAML (`null` takes a part away); `decoder.kind=KIND` chooses from the
            list `decoders`, where there is one.

    Raises:
        ConfigError: the file is missing or not YAML, a key or value is not one of a `SystemConfig`, or an option
            of the search means nothing with its method.
    """
    files = _with_parents(Path(path))
    decoder = _overridden(files, overrides).get("decoder", {})
    values = _overridden(_with_decoder_settings(files, decoder, where=str(path)), overrides)
    return _without_idle(parse_config(values, where=str(path)), where=str(path))


def with_search(config: SystemConfig, overrides: Sequence[str]) -> SystemConfig:
    """Return the configuration of a trained system with changes to its search, `generate.a=b` each.

    Where another method is chosen, options that mean nothing with it, or meant nothing with the one before, take
    their default: what a file says of a search that it does not use is what was usual when it was written.

    Raises:
        ConfigError: something else is changed, a wrong value, or an option that means nothing with the method.
    """
    if not overrides:
        return config
    for override in overrides:
        if not override.startswith("generate."):
            raise ConfigError(
                f"--set {override}: of a trained system only the search can be set: "
                f"{listed(f'generate.{name}' for name in type(config.generate).model_fields)}"
            )
    values = config.to_dict()
    methods = {config.generate.method, _overridden([values], overrides)["generate"].get("method")}
    kept = {k: v for k, v in values["generate"].items() if k not in MEANT_FOR or methods <= {*MEANT_FOR[k]}}
    changed = _overridden([{**values, "generate": kept}], overrides)
    return _without_idle(parse_config(changed, where="--set"), where="--set")


def _without_idle(config: SystemConfig, *, where: str) -> SystemConfig:
    """Refuse options that say nothing; not done of a checkpoint, which says all options as they were then."""
    settings = config.generate
    for name in settings.idle:
        raise ConfigError(
            f"{where}: generate.{name} {getattr(settings, name)} with generate.method {settings.method}: it means "
            f"something with {listed(MEANT_FOR[name])} alone; change the method or take the option away"
        )
    return config


def _with_decoder_settings(files: Sequence[dict[str, Any]], decoder: Any, *, where: str) -> list[dict[str, Any]]:
    """Return the values of files, parents first, with those of the decoder above the last that lists decoders."""
    below = max((n for n, values in enumerate(files, 1) if LIST in values), default=0)
    base, above = _merged(files[:below]), files[below:]
    settings = settings_of(base, decoder, where=where) if LIST in base and isinstance(decoder, dict) else {}
    base.pop(LIST, None)
    return [base, settings, *above]


def parse_config(values: Mapping[str, Any], *, where: str) -> SystemConfig:
    """Check plain values against `SystemConfig`; `where` names them in the error.

    Raises:
        ConfigError: an unknown key (its nearest neighbour is named), a value out of range, an option that is gone.
    """
    try:
        return SystemConfig.model_validate(without_retired(values, where=f"{where}: "))
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_explain(dict(e), values) for e in error.errors())) from None


def read_with_parents(path: Path) -> dict[str, Any]:
    """Return the plain values of a YAML file over those of the file that it `extends`, and so on.

    Args:
        path: a YAML file; a parent is named relative to the file that names it.

    Raises:
        ConfigError: a file is missing, not YAML or its own ancestor.
    """
    return _merged(_with_parents(path))


def _with_parents(path: Path, *, seen: tuple[Path, ...] = ()) -> list[dict[str, Any]]:
    """Return the values of the farthest parent first, those of the file itself last."""
    if path.resolve() in seen:
        raise ConfigError(f"{path}: `extends` leads back to this file; remove one of the two lines")
    values = reduce(partial(_with_file_beside, folder=path.parent), FILES, _read_yaml(path))
    parent = values.pop("extends", None)
    if parent is None:
        return [values]
    return [*_with_parents(path.parent / str(parent), seen=(*seen, path.resolve())), values]


def _with_file_beside(values: dict[str, Any], place: Sequence[str], *, folder: Path) -> dict[str, Any]:
    *parts, option = place
    part: Any = values
    for name in parts:
        part = part.get(name) if isinstance(part, dict) else None
    file = part.get(option) if isinstance(part, dict) else None
    beside = os.path.normpath(folder / file) if isinstance(file, str) else ""
    is_there = os.path.isfile(beside)  # noqa: PTH113 - which says no of a name that is too long, and Path raises
    named: Any = beside
    for name in reversed(place):
        named = {name: named}
    return _merge(values, named) if is_there else values


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        now = successor(path) if isinstance(error, FileNotFoundError) else None
        reason = f"{path}: {error.strerror or error}; give the path of a configuration file"
        raise ConfigError(f"{path} is now {now}" if now else reason) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8 text; save it as UTF-8") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}{_line_of(error)}: is not YAML; correct its brackets, colons or indents"
        ) from None
    if not isinstance(values, dict):
        found = "nothing" if values is None else type(values).__name__
        raise ConfigError(f"{path}: expected keys such as `decoder:`, found {found}")
    return cast(dict[str, Any], values)


def _line_of(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f" line {mark.line + 1}"


def _merged(files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return reduce(_merge, files, {})


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _overridden(files: Sequence[dict[str, Any]], overrides: Sequence[str]) -> dict[str, Any]:
    values = copy.deepcopy(_merged(files))
    for override in overrides:
        _override(values, override)
    return values


def _override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {override}: expected a.b=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"--set {override}: the value is not YAML") from None
    *parents, last = name.split(".")
    part: Any = values
    for parent in parents:
        part = _part(part, parent, override)
    if not isinstance(part, dict):
        raise ConfigError(f"--set {override}: `{parents[-1]}` is a list; name an option of one of its places")
    part[last] = value


def _part(held: dict[str, Any] | list[Any], name: str, override: str) -> Any:
    """Return what stands at a key, made where it lacks, or at a place of a list, counted from 0."""
    if isinstance(held, list):
        if not name.isdecimal() or int(name) >= len(held):
            raise ConfigError(f"--set {override}: no place '{name}' in a list of {len(held)}, counted from 0")
        return held[int(name)]
    if held.get(name) is None:
        held[name] = {}
    if not isinstance(held[name], dict | list):
        raise ConfigError(f"--set {override}: `{name}` holds a single value, not keys")
    return held[name]


HAVE_KINDS = ("align", "contrast", "contrast.bank", "contrast.pool", "decoder", "localizer", "projection")
"""Parts that a user may take for a single value: their `kind` is meant."""


def _explain(error: dict[str, Any], values: Mapping[str, Any]) -> str:
    place = [str(key) for key in error["loc"]]
    dotted = ".".join(place)
    if error["type"] == "missing":
        part = place[-2] if place[1:] and not place[-2].isdecimal() else "configuration"
        return f"no '{dotted}'; every {part} needs it"
    if error["type"] in ("kind_unknown", "kind_missing"):
        return _without_kind(dotted, error)
    if error["type"] in ("model_type", "model_attributes_type", "is_instance_of"):
        hint = f"; --set {dotted}.kind={error['input']} chooses one" if dotted in HAVE_KINDS else ""
        return f"{dotted}: expected keys, found {error['input']!r}{hint}"
    if error["type"] == "value_error" and isinstance(error["input"], dict):  # a rule over several options
        return f"{dotted}: {error['msg'].removeprefix('Value error, ')}"
    if error["type"] != "extra_forbidden":
        return f"{dotted}: {error['msg']}, found {error['input']!r}"
    known = _keys_at(place[:-1], values)
    return f"unknown key '{dotted}'; {suggestion(place[-1], known)}"


def _without_kind(dotted: str, error: dict[str, Any]) -> str:
    registry: Mapping[str, Registered[Options]] = error["ctx"]["registry"]
    if error["type"] == "kind_missing":
        return _options_of_nothing(dotted, [str(option) for option in error["input"]], known=registry)
    kind = str(error["input"].get("kind"))
    also = [entry.also for entry in registry.values() if entry.also]
    return f"unknown {dotted}.kind '{kind}'; {suggestion(kind, registry, also=also)}"


def _options_of_nothing(part: str, options: Sequence[str], *, known: Collection[str]) -> str:
    if not options:
        return f"no '{part}.kind'; known: {listed(known)}"
    named = listed(f"{part}.{option}" for option in options)
    return (
        f"{named}: there is no {part} here; give it a {part}.kind of {listed(known)}, or take the "
        f"option{'s' if options[1:] else ''} away"
    )


def _keys_at(place: Sequence[str], values: Any) -> list[str]:
    """Return the keys of the part of `values` at a place, which may lie in a list of parts."""
    model: type[BaseModel] = SystemConfig
    field = FieldInfo(annotation=SystemConfig)
    for key in place:
        values, field = _at(values, key), model.model_fields.get(key, field)
        if not isinstance(values, list):
            model = _model(field, values)
    return sorted(model.model_fields)


def _at(values: Any, key: str) -> Any:
    if isinstance(values, list):
        return values[int(key)]
    return values.get(key) if isinstance(values, Mapping) else None


def _model(field: FieldInfo, values: Any) -> type[BaseModel]:
    """Return the model of a field; of several kinds that of the `kind` there."""
    kinds, part = kinds_of(field), part_of(field)
    assert part is not None  # an unknown key is inside of a part
    if kinds is None:
        return part
    kind = own_name(kinds.registry, str(_at(values, "kind") or kinds.usual))
    return kinds.registry[kind].options if kind in kinds.registry else part
