"""Studies from wherever they are kept: files, tables, manifests, or phantoms drawn on the spot.

The names are imported when first used, so that a process that only decodes pixels does not load every source.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["SOURCES", "load_studies", "open_source"]

if TYPE_CHECKING:
    from contrastcxr.data.sources import SOURCES, load_studies, open_source


def __getattr__(name: str) -> Any:
    if name in __all__:
        from contrastcxr.data import sources

        return getattr(sources, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
