"""Every part and checkpoint known, with its paper and licence, and the options of parts; nothing needs PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from contrastcxr.config.manual import OptionEntry, Part, parts
from contrastcxr.errors import CheckpointError, UnknownNameError
from contrastcxr.files import known_checkpoints
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.models.align import ALIGNERS
from contrastcxr.models.contrast import CONTRASTS
from contrastcxr.models.heads import HEADS
from contrastcxr.models.options import ENCODERS

OURS = "Apache-2.0"
POOLS = {
    "normal": "Contrastive Attention (paper A): 1,000 normal training images",
    "random": "control (ours): random training images in place of normal ones",
    "zeros": "control (ours): nothing to compare with",
}
"""Where each kind of pool comes from."""
KINDS = {"decoder": "decoder", "finding_head": "findings", "localizer": "localizer"}
"""What a head is called, by its slot."""


PLACES = {
    "aligner": "align",
    "encoder": "encoder",
    "contrast": "contrast",
    "pool": "contrast.pool",
    **{kind: slot for slot, kind in KINDS.items()},
    "loss": "losses",
}
"""Where the options of each kind of entry stand in a configuration."""
SYSTEM = "system"
"""What the options are asked for by that stand in no part."""


@dataclass(frozen=True)
class CatalogueEntry:
    """One thing that a system can be built from, or that can be read with; `also` is another name it goes by."""

    kind: str
    name: str
    paper: str
    licence: str
    also: str = ""


@dataclass(frozen=True)
class PartDescription(CatalogueEntry):
    """One entry with what it is and its options, those of the parts inside it too; a checkpoint has none."""

    summary: str = ""
    options: tuple[OptionEntry, ...] = ()


def known() -> list[CatalogueEntry]:
    """Return every aligner, encoder, contrast module, pool, head, loss of the system and checkpoint."""
    return [*_parts(), *_checkpoints()]


def describe(name: str) -> PartDescription:
    """Return what is known of a part, by its name, the other name it goes by or its place in a configuration.

    Raises:
        UnknownNameError: there is none; the nearest is named.
    """
    entries = list(_parts())
    entry = next((each for each in entries if name and name in (each.name, each.also)), None)
    if entry is not None:
        return _described(entry)
    part = next((each for each in parts() if not each.kind and name in _place_names(each)), None)
    if part is not None:
        return _of_place(part, entries)
    checkpoints = {each.name: each for each in _checkpoints()}
    if name in checkpoints:
        return PartDescription(**asdict(checkpoints[name]))
    named = {each for entry in entries for each in (entry.name, entry.also) if each}
    places = {each for part in parts() for each in _place_names(part)}
    raise UnknownNameError("part", name, {*named, *places, *checkpoints})


def _place_names(part: Part) -> set[str]:
    """Return what a part goes by: its place, and the last name of that."""
    return {part.place, part.place.rpartition(".")[2]} if part.place else {SYSTEM}


def _described(entry: CatalogueEntry) -> PartDescription:
    """Return an entry with the options of its place, of those of its kind where the place takes several."""
    here = [part for part in parts() if part.place == PLACES[entry.kind]]
    part = next((part for part in here if part.kind == entry.name), here[0])
    return PartDescription(**asdict(entry), summary=part.summary, options=_options(part))


def _of_place(part: Part, entries: Sequence[CatalogueEntry]) -> PartDescription:
    """Return the only entry that stands at a place, else a part without a paper of its own."""
    here = [entry for entry in entries if PLACES[entry.kind] == part.place]
    if len(here) == 1 and not part.takes_kinds:
        return _described(here[0])
    return PartDescription("part", part.place or SYSTEM, "", OURS, summary=part.summary, options=_options(part))


def _options(part: Part) -> tuple[OptionEntry, ...]:
    """Return the options of a part and of those inside it; of the system itself its own alone."""
    inside = list(parts(part.options, place=part.place))[1:] if part.place and not part.takes_kinds else []
    return tuple(entry for each in (part, *inside) for entry in each.entries)


def _parts() -> Iterator[CatalogueEntry]:
    for name, aligner in ALIGNERS.items():
        yield CatalogueEntry("aligner", name, aligner.paper, OURS, aligner.also)
    for name, spec in ENCODERS.items():
        yield CatalogueEntry("encoder", name, spec.paper, spec.licence)
    yield CatalogueEntry("encoder", "any other of timm", "see timm", "see timm")
    for name, contrast in CONTRASTS.items():
        yield CatalogueEntry("contrast", name, contrast.paper, OURS, contrast.also)
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
