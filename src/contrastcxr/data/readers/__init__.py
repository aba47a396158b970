"""A reader for each published collection, for phantoms and for manifests; `data.sources` knows them by name."""
