"""Studies from wherever they are kept: files, tables, manifests, or phantoms drawn on the spot."""

from contrastcxr.data.sources import SOURCES, load_studies, open_source

__all__ = ["SOURCES", "load_studies", "open_source"]
