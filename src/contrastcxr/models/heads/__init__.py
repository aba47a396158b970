"""Heads, by the slot of a system that each fills and by name; their modules need PyTorch and are loaded late."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.localizers import LOCALIZERS
from contrastcxr.models.heads.options import FindingHeadOptions, HeadOptions
from contrastcxr.options import Registered

FINDING_HEADS: Mapping[str, Registered[FindingHeadOptions]] = {
    "finding head": Registered(
        FindingHeadOptions,
        f"{__name__}.findings:FindingHead",
        "ours: a probability per finding from the contrasted global feature",
    ),
}

HEADS: Mapping[str, Mapping[str, Registered[HeadOptions]]] = {
    "decoder": DECODERS,
    "finding_head": FINDING_HEADS,
    "localizer": LOCALIZERS,
}
"""What a system may answer with, by the slots of `SLOTS`."""
