"""The data name of a configuration."""

from __future__ import annotations

from contrastcxr.config import DataConfig
from contrastcxr.data.sources import SOURCES
from contrastcxr.errors import ConfigError


def data_name(config: DataConfig, *, split: str) -> str:
    """The data name of one split, as `load_studies` and `--data` take it.

    Of `options`, those that the source takes after its root go there, the others after the `?`; seed and fold are
    named where the source knows them.
    """
    kind = SOURCES.get(config.source.partition(":")[0])
    known = kind.params if kind else ("seed",)
    after_root = {key: value for key, value in config.options.items() if kind and key in kind.options}
    params = {key: value for key, value in config.options.items() if key not in after_root}
    params |= {"seed": str(config.seed)} if "seed" in known else {}
    params |= {"fold": str(config.fold)} if config.fold is not None else {}
    place = f":{config.root}" if config.root else ""
    if ":" in config.source and place:
        raise ConfigError(f"data.source '{config.source}' draws its studies; take data.root away")
    further = "".join(f",{key}={value}" for key, value in after_root.items())
    query = "&".join(f"{key}={value}" for key, value in params.items())
    return f"{config.source}{place}{further}/{split}" + (f"?{query}" if query else "")
