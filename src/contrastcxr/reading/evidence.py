"""From tensors to the evidence of a reading, in pixels of the original views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contrastcxr.data.transforms import Affine, map_box
from contrastcxr.form import Evidence, FindingMap, Map, Negative, PlannedSentence, PoolMatch, RepeatMatches, Tag
from contrastcxr.reading.sentences import Sentence
from contrastcxr.reading.upright import upright

MATCHES = 3
_DECIMALS = 5


@dataclass(frozen=True)
class PatchGrid:
    """Where one view's patches lie.

    Attributes:
        view: index into the study's views.
        first: of the patches, in `N`.
        rows: of patches.
        columns: of patches.
        extent: of the model's picture in the original's pixels; of one that was aligned the whole original.
        size: side of the model's picture.
        affine: `[2, 3]`, model pixels to original pixels, of a picture that was aligned; None of any other.
        shape: (H, W) of the original; None where the extent says it.
    """

    view: int
    first: int
    rows: int
    columns: int
    extent: tuple[float, float, float, float]
    size: int = 0
    affine: Affine | None = None
    shape: tuple[int, int] | None = None

    def cells(self, values: np.ndarray) -> np.ndarray:
        """Return `values [N]` of this view's patches, `[rows, columns]`."""
        return values[self.first : self.first + self.rows * self.columns].reshape(self.rows, self.columns)

    def map(self, values: np.ndarray) -> Map:
        """Return `values [N]` of this view's patches as a map."""
        cells = self.cells(values)
        if self.affine is not None and self.shape is not None:
            cells = upright(cells, self.affine, size=self.size, shape=self.shape)
        rows = tuple(tuple(round(float(v), _DECIMALS) for v in row) for row in cells)
        return Map(view=self.view, rows=rows, extent=self.extent)


def grids(
    *,
    rows: int,
    columns: int,
    affines: np.ndarray,
    view_index: Sequence[int],
    size: int,
    unaligned: np.ndarray | None = None,
) -> tuple[PatchGrid, ...]:
    """Return the grid of each real view.

    Args:
        rows: of patches of one view.
        columns: of patches of one view.
        affines: `[V, 2, 3]`, model pixels to original pixels.
        view_index: which view of the study each real one is.
        size: side of the model's picture.
        unaligned: `[V, 2, 3]`, of pictures that were aligned what the affines were before.
    """
    cells, extents = rows * columns, [_extent(a, size) for a in (affines if unaligned is None else unaligned)]
    if unaligned is None:
        return tuple(PatchGrid(view, i * cells, rows, columns, extents[i]) for i, view in enumerate(view_index))
    shapes = [(round(y2), round(x2)) for _, _, x2, y2 in extents]
    return tuple(
        PatchGrid(view, i * cells, rows, columns, extents[i], size, affines[i], shapes[i])
        for i, view in enumerate(view_index)
    )


def _extent(affine: np.ndarray, size: int) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(v, 2) for v in map_box(affine, (0.0, 0.0, float(size), float(size))))
    return max(x1, 0.0), max(y1, 0.0), x2, y2


def sentence_attention(
    attention: np.ndarray, sentences: Sequence[Sentence], places: Sequence[PatchGrid]
) -> tuple[tuple[Map, ...], ...]:
    """Return per sentence and view the mean attention `[T, N]` of the sentence's tokens."""
    means = (attention[s.first : s.last].mean(axis=0) for s in sentences)
    return tuple(tuple(place.map(mean) for place in places) for mean in means)


@dataclass(frozen=True)
class Abilities:
    """What a model can show.

    Attributes:
        decoder: its name; None for a model without words.
        attends: whether it looks at patches.
        placed: whether the patches are places of a picture.
        plans: whether it plans or retrieves its sentences before it writes them.
        tags: whether it predicts tags that have names.
        contrasts: whether it has Contrastive Attention.
        images: how many images the pool has; 0 of the control that holds zeros.
        repeats: of Aggregate Attention.
        induces: whether it has contrast-induced attention.
        negatives: how many images the bank of that has; 0 of the control that holds zeros.
        localizes: whether it marks where a finding is.
        maps: whether it does so by maps.
    """

    decoder: str | None
    attends: bool
    placed: bool
    plans: bool = False
    tags: bool = False
    contrasts: bool = False
    images: int = 0
    repeats: int = 0
    induces: bool = False
    negatives: int = 0
    localizes: bool = False
    maps: bool = False


def unavailable(model: Abilities) -> dict[str, str]:
    """Return why a model can never show parts of the evidence, by field of `Evidence`."""
    reasons = _without_comparison(model)
    if not model.attends:
        reasons["attention"] = _decoder_has(model, "has no attention over the picture")
    if not model.placed:
        for map_ in ("attention", "contrast", "difference"):
            reasons.setdefault(map_, "the patches are no grid over the picture")
    if not model.plans:
        reasons["plan"] = _decoder_has(model, "plans no sentences before it writes")
    if not model.tags:
        reasons["tags"] = _decoder_has(model, "predicts no tags")
    if not model.maps:
        boxes = "the localizer finds boxes, which have no map"
        reasons["finding_maps"] = boxes if model.localizes else "the model has no localizer"
    return reasons


def _decoder_has(model: Abilities, lack: str) -> str:
    return "the model writes no report" if model.decoder is None else f"the decoder {model.decoder} {lack}"


def _without_comparison(model: Abilities) -> dict[str, str]:
    return {**_without_pool(model), **_without_negative(model)}


def _without_negative(model: Abilities) -> dict[str, str]:
    if not model.induces:
        return dict.fromkeys(("difference", "negatives"), "the model has no contrast-induced attention")
    if not model.negatives:
        return {"negatives": "the bank holds zeros, a control: the picture was compared with no other"}
    return {}


def _without_pool(model: Abilities) -> dict[str, str]:
    if not model.contrasts:
        instead = (
            "each view is compared with one picture of its bank" if model.induces else "it compares with nothing"
        )
        why = f"the model has no Contrastive Attention: {instead}"
        return dict.fromkeys(("contrast", "closest", "farthest", "repeats"), why)
    if not model.images:
        why = "the pool holds zeros, a control: the picture was compared with no other"
        return dict.fromkeys(("closest", "farthest", "repeats"), why)
    reasons: dict[str, str] = {}
    if model.images <= MATCHES:
        reasons["farthest"] = f"the pool has no more images than are named as closest, {model.images}"
    if model.repeats <= 1:
        reasons["repeats"] = "Aggregate Attention runs once: closest and farthest are its own"
    return reasons


@dataclass(frozen=True)
class PoolNames:
    """What is known of the images of a pool or bank, row by row."""

    image_ids: Sequence[str]
    locators: Sequence[str | None]
    source: str | None = None

    def match(self, row: int, weight: float) -> PoolMatch:
        """Return row `row` of the pool with its weight."""
        locator = self.locators[row] if row < len(self.locators) else None
        return PoolMatch(
            image_id=self.image_ids[row], weight=round(weight, 6), locator=locator or None, source=self.source
        )

    def negative(self, row: int, *, view: int, similarity: float, same_view: bool) -> Negative:
        """Return row `row` of a bank as what a view was compared with."""
        locator = self.locators[row] if row < len(self.locators) else None
        return Negative(
            view=view,
            image_id=self.image_ids[row],
            similarity=round(min(max(similarity, -1.0), 1.0), 6),
            locator=locator or None,
            source=self.source,
            note=None if same_view else "of another view position: the bank has none of this one",
        )


def matches(weights: np.ndarray, names: PoolNames, *, allowed: np.ndarray | None = None) -> RepeatMatches:
    """Return the three images most and the three least attended to; none is named as both.

    Args:
        weights: `[N_P]`, the attention of one repeat, or its mean over the repeats.
        names: of the pool's images.
        allowed: `[N_P]` bool, False where a row was masked for this study.
    """
    rows = np.arange(weights.size) if allowed is None else np.flatnonzero(allowed)
    order = rows[np.argsort(-weights[rows], kind="stable")]
    closest = tuple(names.match(int(row), float(weights[row])) for row in order[:MATCHES])
    farthest = tuple(names.match(int(row), float(weights[row])) for row in order[MATCHES:][::-1][:MATCHES])
    return RepeatMatches(closest=closest, farthest=farthest)


@dataclass(frozen=True)
class PoolMatches:
    """The pool images a study was compared with: over all repeats, and by repeat where there are several."""

    mean: RepeatMatches
    repeats: tuple[RepeatMatches, ...] = ()

    @classmethod
    def of(cls, weights: np.ndarray, names: PoolNames, *, allowed: np.ndarray | None = None) -> PoolMatches:
        """Return the matches of attention `[n, N_P]` of each repeat; `names` and `allowed` as for `matches`."""
        each = (matches(row, names, allowed=allowed) for row in weights)
        mean = matches(weights.mean(axis=0), names, allowed=allowed)
        return cls(mean, tuple(each) if len(weights) > 1 else ())


def evidence(
    *,
    places: Sequence[PatchGrid],
    sentences: Sequence[Sentence],
    attention: np.ndarray | None,
    contrast: np.ndarray | None,
    difference: np.ndarray | None = None,
    negatives: tuple[Negative, ...] = (),
    pool: PoolMatches | None = None,
    plan: tuple[PlannedSentence, ...] = (),
    tags: tuple[Tag, ...] = (),
    maps: Mapping[str, np.ndarray] | None = None,
    votes: Mapping[str, float] | None = None,
    unavailable: Mapping[str, str] | None = None,
) -> Evidence:
    """Return the evidence of one study from `attention [T, N]`, `contrast [N]`, `difference [N]` and `maps [N]`.

    The maps are by finding.

    `votes` are the shares of a search that votes. `unavailable` says why fields are empty that this model can
    never fill.
    """
    shown = () if attention is None else sentence_attention(attention, sentences, places)
    contrasts = () if contrast is None else tuple(place.map(contrast) for place in places)
    compared = pool or PoolMatches(RepeatMatches())
    return Evidence(
        closest=compared.mean.closest,
        farthest=compared.mean.farthest,
        repeats=compared.repeats,
        contrast=contrasts,
        difference=() if difference is None else tuple(place.map(difference) for place in places),
        negatives=negatives,
        attention=shown,
        plan=plan,
        tags=tags,
        finding_maps=tuple(
            FindingMap(finding=name, maps=tuple(place.map(values) for place in places))
            for name, values in (maps or {}).items()
        ),
        votes=dict(votes or {}),
        unavailable=dict(unavailable or {}),
    )
