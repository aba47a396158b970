"""Every part and checkpoint known, with its paper and licence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contrastcxr.errors import CheckpointError
from contrastcxr.files import known_checkpoints
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.models.heads import HEADS

OURS = "Apache-2.0"
CONTRAST = "Contrastive Attention (paper A), section 3.2"
POOLS = {
    "normal": "Contrastive Attention (paper A): 1,000 normal training images",
    "random": "control (ours): random training images in place of normal ones",
    "zeros": "control (ours): nothing to compare with",
}
"""Where each kind of pool comes from."""
KINDS = {"decoder": "decoder", "finding_head": "findings", "localizer": "localizer"}
"""What a head is called, by its slot."""


@dataclass(frozen=True)
class CatalogueEntry:
    """One thing that a system can be built from, or that can be read with; `also` is another name it goes by."""

    kind: str
    name: str
    paper: str
    licence: str
    also: str = ""


def known() -> list[CatalogueEntry]:
    """Return every encoder, contrast module, pool, head, loss of the system and checkpoint."""
    return [*_parts(), *_checkpoints()]


def _parts() -> Iterator[CatalogueEntry]:
    # Imported here: this registry holds modules of torch, which `--help` must not wait for.
    from contrastcxr.models.encoders import ENCODERS

    for name, spec in ENCODERS.items():
        yield CatalogueEntry("encoder", name, spec.paper, spec.licence)
    yield CatalogueEntry("encoder", "any other of timm", "see timm", "see timm")
    yield CatalogueEntry("contrast", "contrastive attention", CONTRAST, OURS)
    for name, paper in POOLS.items():
        yield CatalogueEntry("pool", name, paper, OURS)
    for slot, registry in HEADS.items():
        for name, entry in registry.items():
            yield CatalogueEntry(KINDS[slot], name, entry.paper, OURS, entry.also)
    for name, loss in SYSTEM_LOSSES.items():
        yield CatalogueEntry("loss", name, loss.paper, OURS, loss.also)


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
