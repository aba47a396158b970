"""Puts the statistics of its training pictures into a checkpoint that lacks them; the weights stay as they are.

python scripts/quality_reference.py CHECKPOINT [--root DATA] [--cache DIR]

CHECKPOINT is a file or a bundled name; DATA the folder of its data set, where it is not of drawn phantoms. All
training studies of the checkpoint's configuration are measured; the limits are read from its validation studies.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

from safetensors import safe_open

from contrastcxr.assemble import make_encoder
from contrastcxr.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, save_checkpoint
from contrastcxr.config.data_name import data_name
from contrastcxr.data.views import chosen_views
from contrastcxr.features.cache import encode_views
from contrastcxr.features.view_features import CachedFeatures
from contrastcxr.files import default_cache
from contrastcxr.form import Study
from contrastcxr.store.studies import studies_of
from contrastcxr.training.quality import reference_of


def weights_of(path: Path) -> dict[str, str]:
    """A hash of each tensor in the file, the statistics' own left out."""
    with safe_open(path, framework="np") as file:
        kept = [name for name in file.keys() if not name.startswith("quality.")]  # noqa: SIM118
        return {name: hashlib.sha256(file.get_tensor(name).tobytes()).hexdigest() for name in kept}


def studies(checkpoint: Checkpoint, split: str, root: Path | None, cache: Path, limit: int | None) -> list[Study]:
    data = checkpoint.config.data.model_copy(update={"root": None if root is None else str(root)})
    name = data_name(data, split=split) + ("" if limit is None else f"&limit={limit}")
    return studies_of(name, root=cache)


def main() -> None:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("contrastcxr").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--at-most", type=int, help="pictures of each split; all when not given")
    a = parser.parse_args()
    path = find_checkpoint(a.checkpoint)
    before, checkpoint = weights_of(path), load_checkpoint(path)
    views = checkpoint.config.data.max_views
    training, heldout = (studies(checkpoint, s, a.root, a.cache, a.at_most) for s in ("train", "validation"))
    kept, _ = encode_views(
        chosen_views([*training, *heldout], max_views=views),
        encoder=make_encoder(checkpoint.config, seed=0),
        preprocess=checkpoint.preprocess,
        root=a.cache,
    )
    reference = reference_of(
        training,
        heldout,
        preprocess=checkpoint.preprocess,
        features=CachedFeatures(kept),
        max_views=views,
        seed=0,
        at_most=None,
    )
    size = save_checkpoint(path, replace(checkpoint, quality=reference))
    assert weights_of(path) == before, "the weights changed"
    print(f"{path}: {size:,} bytes; {reference and reference.metadata()}")


if __name__ == "__main__":
    main()
