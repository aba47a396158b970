"""The data that a configuration names."""

from __future__ import annotations

from dataclasses import replace

from contrastcxr.config import DataConfig
from contrastcxr.data.ref import DataRef
from contrastcxr.data.sources import SOURCES, parse_data
from contrastcxr.errors import ConfigError, UnknownNameError


def data_ref(config: DataConfig, *, split: str | None) -> DataRef:
    """Return the data of one split, or of all, as a configuration describes it.

    Of `options`, those that the source takes after its root go there, the others after the `?`; seed and fold are
    named where the source knows them.

    Raises:
        UnknownNameError: no such source, option or parameter; names the nearest.
        ConfigError: a source with two roots or none, or with a split or parameters of its own.
    """
    ref = _named(config)
    given = {key: str(value) for key, value in config.options.items()}
    options = dict(ref.options) | {key: value for key, value in given.items() if key in ref.kind.options}
    params = {key: value for key, value in given.items() if key not in ref.kind.options}
    params |= {"seed": str(config.seed)} if "seed" in ref.kind.params else {}
    params |= {"fold": str(config.fold)} if config.fold is not None else {}
    return replace(ref, split=split, params=tuple(params.items()), options=tuple(options.items()))


def _named(config: DataConfig) -> DataRef:
    """Return the source with its root: `phantom:standard` holds both, other sources have `data.root`."""
    if ":" in config.source:
        if config.root:
            raise ConfigError(f"data.source '{config.source}' draws its studies; take data.root away")
        ref = parse_data(config.source)
        if ref.split is not None or ref.params:
            raise ConfigError(
                f"data.source '{config.source}' names a split or parameters; take them away: "
                "splits are found by themselves, parameters are data.seed, data.fold and data.options"
            )
        return ref
    if config.source not in SOURCES:
        raise UnknownNameError("data source", config.source, SOURCES)
    kind = SOURCES[config.source]
    if not config.root:
        raise ConfigError(f"data.source '{config.source}' needs its {kind.root}; set data.root")
    return DataRef(kind, config.root)
