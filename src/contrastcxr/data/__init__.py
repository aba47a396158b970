"""Studies from wherever they are kept: files, tables, manifests, or phantoms drawn on the spot."""
