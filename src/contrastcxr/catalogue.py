"""Every part and checkpoint known, with its paper and licence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contrastcxr.errors import CheckpointError
from contrastcxr.files import known_checkpoints

OURS = "Apache-2.0"
PAPERS = {
    "contrastive attention": "Contrastive Attention (paper A), section 3.2",
    "normal": "Contrastive Attention (paper A): 1,000 normal training images",
    "random": "control (ours): random training images in place of normal ones",
    "zeros": "control (ours): nothing to compare with",
    "nic": "Vinyals 2015; paper A, Table 1",
    "visual_attention": "Xu 2015; paper A, Table 1; paper C, Table 1",
    "spatial_attention": "Lu 2017; paper A, Table 1",
    "adaptive_attention": "Lu 2017; paper A, Table 1",
    "att2in": "Rennie 2017; paper A, Table 1",
    "up_down": "Anderson 2018; paper A, Table 1; paper C, Table 1",
    "hlstm": "Krause 2017, Jing 2018; paper A, Table 1",
    "hlstm_dual": "Harzig 2019; paper A, Table 1",
    "co_attention": "Jing 2018; paper A, Table 1; paper C, Table 1",
    "multi_attention": "Huang 2019; paper A, Table 1",
    "transformer": "Chen 2020, the baseline of R2Gen; paper A, Table 2",
    "r2gen": "Chen 2020, the memory-driven transformer; paper A, Table 2; paper C, Table 1",
    "cvse": "Ni 2020; paper C, Table 1",
    "finding head": "ours: a probability per finding from the contrasted global feature",
}
"""Where each part comes from, by name."""


@dataclass(frozen=True)
class CatalogueEntry:
    """One thing that a system can be built from, or that can be read with; `also` is another name it goes by."""

    kind: str
    name: str
    paper: str
    licence: str
    also: str = ""


def known() -> list[CatalogueEntry]:
    """Return every encoder, contrast module, pool, decoder, head and checkpoint."""
    return [*_parts(), *_checkpoints()]


def _parts() -> Iterator[CatalogueEntry]:
    # Imported here: these registries hold modules of torch, which `--help` must not wait for.
    from contrastcxr.config.decoders import ALIASES
    from contrastcxr.models.contrast.pool import POOL_KINDS
    from contrastcxr.models.encoders import ENCODERS
    from contrastcxr.models.heads.decoders import DECODERS

    for name, spec in ENCODERS.items():
        yield CatalogueEntry("encoder", name, spec.paper, spec.licence)
    yield CatalogueEntry("encoder", "any other of timm", "see timm", "see timm")
    yield CatalogueEntry("contrast", "contrastive attention", PAPERS["contrastive attention"], OURS)
    for kind in POOL_KINDS:
        yield CatalogueEntry("pool", kind, PAPERS[kind], OURS)
    also = {name: alias for alias, name in ALIASES.items()}
    for name in DECODERS:
        yield CatalogueEntry("decoder", name, PAPERS[name], OURS, also.get(name, ""))
    yield CatalogueEntry("findings", "finding head", PAPERS["finding head"], OURS)


def _checkpoints() -> Iterator[CatalogueEntry]:
    from contrastcxr.checkpoint import read_metadata

    for name, path in known_checkpoints().items():
        try:
            checkpoint = read_metadata(path)
        except CheckpointError as error:
            yield CatalogueEntry("checkpoint", name, "unreadable", str(error))
        else:
            licence = "; ".join(f"{note.name}: {note.licence}" for note in checkpoint.sources)
            yield CatalogueEntry("checkpoint", name, checkpoint.config.paper or "ours", licence or "not stated")
