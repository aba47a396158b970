"""Four studies with all that a head may learn from, and the tiny options of every head of the registries."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any

import torch

from contrastcxr.losses.base import Targets
from contrastcxr.models.features import GridPlaces, VisualFeatures, masked_mean
from contrastcxr.models.heads import HEADS
from contrastcxr.models.heads.base import AttributeVectors, Head, HeadInputs
from contrastcxr.models.heads.build import build_head
from contrastcxr.models.heads.library import SentenceLibrary
from contrastcxr.models.regions import region_places
from contrastcxr.vocab.attribute_words import attribute_list

PAD, BOS, EOS, UNK, STOP = 0, 1, 2, 3, 4
V, WIDTH, N = 24, 16, 6
FINDINGS = ("Pleural Effusion", "Nodule", "Pneumothorax")
SIDE = 4
"""Cells a side that boxes are taught at."""
VECTOR = 8
"""Width of vectors of attributes."""
REGIONS = 4
"""Regions of a view."""
ATTRIBUTES = attribute_list("phantom-opacity").attributes
IMAGE = 96
"""Pixels a side of the pictures that the features are of."""
RECURRENT = {"embedding": 16, "hidden": 32, "dropout": 0.0}
SENTENCES = {**RECURRENT, "sentence_end": STOP, "end_of_report": EOS, "sentences": 4, "words": 6}
LIBRARY = SentenceLibrary(
    torch.tensor(
        [[BOS, 7, 8, STOP, PAD], [BOS, 10, 11, 12, STOP], [BOS, 14, 15, 16, STOP], [BOS, 20, STOP, 0, 0]]
    ),
    torch.tensor([3, 4, 4, 2]),
    torch.tensor([0, 1, 1, 2]),
    sources=[["a"], ["b"], ["c"], ["a", "b"]],
    counts=[1, 1, 1, 2],
)
TRANSFORMER = {"layers": 2, "heads": 2, "feed_forward": 16, "dropout": 0.0}
TINY: dict[str, dict[str, dict[str, Any]]] = {
    "decoder": {
        "nic": RECURRENT,
        "visual_attention": RECURRENT,
        "spatial_attention": RECURRENT,
        "adaptive_attention": RECURRENT,
        "att2in": RECURRENT,
        "up_down": RECURRENT,
        "hlstm": {**SENTENCES, "layers": 2},
        "hlstm_dual": SENTENCES,
        "co_attention": {**SENTENCES, "tag_count": 5},
        "multi_attention": SENTENCES,
        "cvse": {
            **RECURRENT,
            "sentence_end": STOP,
            "end_of_report": EOS,
            "sentences": 2,
            "sentence_library": LIBRARY,
        },
        "transformer": TRANSFORMER,
        "r2gen": {**TRANSFORMER, "memory_slots": 2, "memory_heads": 2},
    },
    "finding_head": {"finding head": {"labels": "phantom", "dropout": 0.0, "findings": FINDINGS}},
    "localizer": {
        "cam": {"labels": "phantom", "findings": FINDINGS},
        "gradcam": {"labels": "phantom", "findings": FINDINGS, "hidden": 8},
        "li2018": {
            "labels": "phantom",
            "findings": FINDINGS,
            "hidden": 8,
            "upsample": SIDE,
            "reduction": "mean",
        },
        "cross_attention": {
            "attributes": "phantom-opacity",
            "embedding": VECTOR,
            "count": 3,
            "image_size": IMAGE,
        },
        "retinanet": {
            "attributes": "phantom-opacity",
            "pyramid": 8,
            "count": 5,
            "smallest_anchor": 8,
            "stage_widths": (6, 4),
            "image_size": IMAGE,
        },
    },
}
"""Options of each head by its slot and kind, and what it is built for."""
REPORTS = torch.tensor(
    [
        [BOS, 5, 6, STOP, 7, 8, STOP, EOS, PAD, PAD],
        [BOS, 5, 9, 9, STOP, 10, 11, 12, STOP, EOS],
        [BOS, 13, STOP, EOS, PAD, PAD, PAD, PAD, PAD, PAD],
        [BOS, 5, 6, STOP, 14, 15, 16, STOP, EOS, PAD],
    ]
)


def _box_cells() -> torch.Tensor:
    """Boxes of two studies: of one finding in both views, of another in the second, of one that is not known."""
    cells = torch.zeros(4, 2, len(FINDINGS), SIDE, SIDE, dtype=torch.bool)
    cells[0, :, 0, 1:3, :2] = True
    cells[0, 1, 2, 3, 3] = True
    cells[3, 0, 0, :, 1:] = True
    return cells.flatten(3)


def _box_corners() -> torch.Tensor:
    """Boxes of two studies: of one in both views, of another in the first alone."""
    corners = torch.full((4, 2, 2, 4), torch.nan)
    corners[0, 0, 0] = torch.tensor([4.0, 8.0, 30.0, 40.0])
    corners[0, 1] = torch.tensor([[10.0, 8.0, 24.0, 20.0], [50.0, 40.0, 90.0, 90.0]])
    corners[3, 0, 0] = torch.tensor([0.0, 60.0, 20.0, 96.0])
    return corners


def _stated() -> torch.Tensor:
    """Attributes of three studies, the fourth states none."""
    stated = torch.zeros(4, len(ATTRIBUTES), dtype=torch.bool)
    for study, names in enumerate((("left", "lower", "mass"), ("right",), ("bilateral", "edema"))):
        stated[study, [ATTRIBUTES.index(name) for name in names]] = True
    return stated


TARGETS = Targets(
    token_ids=REPORTS,
    mask=REPORTS[:, 1:] != PAD,
    abnormal=torch.tensor([[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]).bool(),
    tags=torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0]]).float(),
    findings=torch.tensor([[1, 0, 1], [0, 1, torch.nan], [0, 0, 0], [torch.nan, 1, 0]]),
    known=torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1], [0, 1, 1]]).bool(),
    box_cells=_box_cells(),
    box_corners=_box_corners(),
    attributes=_stated(),
)


def tiny_features() -> VisualFeatures:
    """Four studies; the second half of the patches belongs to a view that studies 1 and 3 do not have.

    Two finer stages have four and two cells along each side of a patch. Study 2 comes without an indication.
    """
    indication = torch.tensor([[5, 6, 7], [8, PAD, PAD], [PAD, PAD, PAD], [9, 10, PAD]])
    fine = tuple(_cells(GridPlaces(k, k * N // 2), width, seed=k) for k, width in ((4, 6), (2, 4)))
    return _cells(GridPlaces(1, N // 2), WIDTH, seed=0).replace(
        indication=indication, indication_mask=indication != PAD, fine=fine
    )


def tiny_regions() -> VisualFeatures:
    """The same four studies as regions of two views, of which studies 1 and 3 have one."""
    draw = torch.Generator().manual_seed(5)
    total = 2 * REGIONS
    corners = torch.rand(4, total, 2, generator=draw) * 0.6
    shares = torch.cat([corners, corners + 0.1 + 0.3 * torch.rand(4, total, 2, generator=draw)], dim=2)
    scores = torch.rand(4, total, generator=draw) * 0.9 + 0.05
    mask = torch.ones(4, total, dtype=torch.bool)
    mask[1::2, REGIONS:] = False
    seen = torch.randn(4, total, WIDTH - 5, generator=draw)
    rows = torch.cat([seen, shares, scores.unsqueeze(2)], dim=2).masked_fill(~mask.unsqueeze(2), 0.0)
    return VisualFeatures(rows, masked_mean(rows, mask), mask, region_places(rows, IMAGE, 2))


def tiny_vectors() -> AttributeVectors:
    """Vectors of the attributes; the nearest word of an attribute is the next attribute, then words of no list."""
    A, draw = len(ATTRIBUTES), torch.Generator().manual_seed(6)
    which = torch.full((A, A), -1)
    which[:, 0] = (torch.arange(A) + 1) % A
    words = torch.randn(A, VECTOR, generator=draw)
    neighbours = torch.randn(A, A, VECTOR, generator=draw)
    neighbours[:, 0] = words[which[:, 0]]
    return AttributeVectors(words, neighbours, which)


def features_for(kind: str) -> VisualFeatures:
    """What a head is shown: regions where it weighs these, else a grid."""
    return tiny_regions() if kind == "cross_attention" else tiny_features()


def _cells(places: GridPlaces, width: int, *, seed: int) -> VisualFeatures:
    patches = torch.randn(4, 2 * places.cells, width, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(4, 2 * places.cells, dtype=torch.bool)
    mask[1::2, places.cells :] = False
    patches = patches.masked_fill(~mask.unsqueeze(-1), 0.0)
    return VisualFeatures(patches, masked_mean(patches, mask), mask, places)


def tiny_head(slot: str, kind: str, *, seed: int = 0, **changes: Any) -> Head:
    """A head with its tiny options, some of them changed, in evaluation mode."""
    inputs = {field.name for field in fields(HeadInputs)}
    given = {**copy.deepcopy(TINY[slot][kind]), **changes}
    own = {name: value for name, value in given.items() if name not in inputs}
    options = HEADS[slot][kind].options.model_validate(own)
    torch.manual_seed(seed)
    known = {name: value for name, value in given.items() if name in inputs}
    head: Head = build_head(HEADS[slot], options, HeadInputs(width=WIDTH, vocabulary=V, **known))
    head.take_vectors(tiny_vectors())
    return head.eval()
