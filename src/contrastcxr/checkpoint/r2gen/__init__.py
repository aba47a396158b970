"""Checkpoints of the public R2Gen project (Chen 2020), and of WCL with the same model (paper C), become ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastcxr.checkpoint.metadata import SourceNote
from contrastcxr.checkpoint.r2gen.mapping import Layout, encoder_name, map_pictures, map_text
from contrastcxr.checkpoint.r2gen.vocabulary import Dataset, Vocabulary, read_vocabulary
from contrastcxr.checkpoint.r2gen.weights import read_weights
from contrastcxr.checkpoint.system import Checkpoint
from contrastcxr.config import SystemConfig, parse_config
from contrastcxr.data.readers import iu_xray, mimic_cxr
from contrastcxr.data.source import Licence
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import CheckpointError, RequestError, UnknownNameError

PAPER = "Generating Radiology Reports via Memory-driven Transformer"
VIEWS: Mapping[Dataset, int] = {"iu_xray": 2, "mimic_cxr": 1}
"""Pictures of a study that enter: on IU X-ray the patches of both views stand side by side."""
MAX_TOKENS: Mapping[Dataset, int] = {"iu_xray": 60, "mimic_cxr": 100}
"""Longest report written, as the published scripts set it; one word more than their references are cut to."""
_LICENCES: Mapping[Dataset, Licence] = {"iu_xray": iu_xray.LICENCE, "mimic_cxr": mimic_cxr.LICENCE}


def import_r2gen(
    path: Path,
    *,
    vocabulary: Path,
    dataset: Dataset | None = None,
    heads: int = 8,
    memory_heads: int = 8,
    min_count: int | None = None,
) -> Checkpoint:
    """Return one of our checkpoints with the weights and the vocabulary of one of theirs; word ids are kept.

    Begin, end and padding share the id 0 there, and here too. What is not in the file is as their published
    scripts have it: 224 pixels with ImageNet's mean and deviation, heads, beam 3 without penalties.

    Args:
        path: their `model_best.pth`, or its weights as safetensors; see `read_weights`.
        vocabulary: see `read_vocabulary`.
        dataset: `iu_xray` reads two views of a study, `mimic_cxr` one; None takes what the vocabulary file says,
            and `iu_xray`, the default of their scripts, where it does not say.
        heads: of every attention but the memory's, which no shape shows.
        memory_heads: of the memory's attention.
        min_count: see `read_vocabulary`.

    Raises:
        CheckpointError: not a checkpoint of theirs, more than weights in it, no vocabulary, or not its vocabulary.
        UnknownNameError: no such data set.
        RequestError: heads that do not divide the width.
    """
    if dataset is not None and dataset not in VIEWS:
        raise UnknownNameError("data set of R2Gen", dataset, VIEWS)
    words = read_vocabulary(vocabulary, min_count=min_count)
    state = read_weights(path)
    layout = Layout.of(state, path)
    _check_vocabulary(words, layout, path=path, vocabulary=vocabulary)
    _check_heads(layout, heads=heads, memory_heads=memory_heads)
    config = _config(
        layout,
        encoder=encoder_name(state, path),
        dataset=dataset or words.dataset or "iu_xray",
        heads=heads,
        memory_heads=memory_heads,
        where=path,
    )
    checkpoint = Checkpoint(
        config=config,
        tokenizer=words.tokenizer(),
        labels=(),
        preprocess=Preprocess(size=config.image.size),
        state={**map_pictures(state), **map_text(state, layout, path)},
        sources=_sources(config.data.source),
        record={"imported_from": "R2Gen or WCL", "file": path.name},
        where=str(path),
    )
    checkpoint.build()  # refuses weights that do not make the system, before anything is written
    return checkpoint


def _check_vocabulary(words: Vocabulary, layout: Layout, *, path: Path, vocabulary: Path) -> None:
    if words.rows != layout.rows:
        raise CheckpointError(
            f"{vocabulary}: {words.rows:,} ids (its {len(words.ids):,} words and the shared 0), but {path} was "
            f"trained with {layout.rows:,}; give the vocabulary it was trained with (for an annotation file also "
            "--min-count)"
        )


def _check_heads(layout: Layout, *, heads: int, memory_heads: int) -> None:
    for option, value in (("--heads", heads), ("--memory-heads", memory_heads)):
        if layout.width % value:
            raise RequestError(
                f"{option} {value} does not divide the checkpoint's width {layout.width}; give what its run had"
            )


def _config(
    layout: Layout, *, encoder: str, dataset: Dataset, heads: int, memory_heads: int, where: Path
) -> SystemConfig:
    values: dict[str, Any] = {
        "name": f"r2gen-{dataset.replace('_', '-')}",
        "paper": PAPER,
        "width": layout.width,
        "data": {"source": dataset, "max_views": VIEWS[dataset]},
        "text": {"max_tokens": MAX_TOKENS[dataset]},
        "encoder": {"name": encoder, "weights": "random", "trainable": True, "train_norm": True},
        "projection": {"kind": "r2gen"},
        "decoder": {
            "kind": "r2gen",
            "layers": layout.layers,
            "heads": heads,
            "feed_forward": layout.feed_forward,
            "memory_slots": layout.slots,
            "memory_heads": memory_heads,
        },
        "generate": {"method": "beam", "beams": 3, "max_tokens": MAX_TOKENS[dataset]},
    }
    return parse_config(values, where=str(where))


def _sources(dataset: str) -> tuple[SourceNote, ...]:
    licence = _LICENCES["mimic_cxr" if dataset == "mimic_cxr" else "iu_xray"]
    return (
        SourceNote(
            name=dataset,
            licence=licence.terms,
            redistributable=licence.redistributable,
            contains_text=licence.contains_text,
            contains_pictures=False,
        ),
    )


__all__ = ["MAX_TOKENS", "VIEWS", "Dataset", "import_r2gen", "read_vocabulary", "read_weights"]
