"""One system: aligner, encoder, projection, contrast with its pool, the heads, and losses over them, joined."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import SystemLoss, Targets, Term
from contrastcxr.models.align.aligner import Aligner, Normalisation
from contrastcxr.models.align.pose import cells_inside
from contrastcxr.models.align.teaching import alignment_terms
from contrastcxr.models.contrast.attention import ContrastiveAttention, StageFeatures
from contrastcxr.models.contrast.bank import NegativeBank, thumbnails
from contrastcxr.models.contrast.base import Contrast
from contrastcxr.models.contrast.difference import InducedAttention
from contrastcxr.models.contrast.pool import NormalityPool
from contrastcxr.models.encoders import Encoder
from contrastcxr.models.features import GridPlaces, VisualFeatures, masked_mean
from contrastcxr.models.heads.base import AttributeVectors, Head, IdentifyingHead, PartialReading
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.writing import Search
from contrastcxr.models.projection import PatchProjection
from contrastcxr.models.regions import are_regions, region_places


class System(nn.Module):
    """Pictures (or cached raw features) to visual features, and these to what the heads make of them.

    Args:
        projection: raw features to model width.
        decoder: writes the report; None for none.
        finding_head: gives each finding a probability; None for none.
        localizer: marks where each finding is; None for none.
        encoder: None for a system that is only ever fed raw features.
        places: the grid of the raw features of a view; None takes the encoder's.
        contrast: None for the plain baseline; Contrastive Attention needs a pool, contrast-induced attention a
            bank.
        pool: global vectors of the normal images.
        bank: thumbnails and maps of the negatives.
        patch_pool: patch vectors of normal images, for `ContrastiveAttention(patches=True)`.
        match_views: leave out pool rows whose view the study does not have (`pool.match: view`, ours); where
            contrast goes view by view, those of another view than the one that is compared.
        losses: over the states of encoder and decoder, by name; reading goes without.
        aligner: brings pictures into one pose before they are encoded; without a head it is all that is taught.

    Attributes:
        finds_regions: whether patches are the regions of the encoder's detector.
        fine_places: the grids of the stages of the encoder that a head stands on by itself.
        marked_grid: the grid over a view whose cells the localizer's maps have; None where nobody knows.

    Raises:
        IncompatibleError: no head, and no aligner to be taught; contrast without its pool or bank, one of these
            without contrast, or Contrastive Attention after a projection that is not linear; a localizer that
            cannot mark this grid.
    """

    def __init__(
        self,
        *,
        projection: PatchProjection,
        decoder: ReportDecoder | None = None,
        finding_head: IdentifyingHead | None = None,
        localizer: Head | None = None,
        encoder: Encoder | None = None,
        places: GridPlaces | None = None,
        contrast: Contrast | None = None,
        pool: NormalityPool | None = None,
        bank: NegativeBank | None = None,
        patch_pool: NormalityPool | None = None,
        match_views: bool = True,
        losses: Mapping[str, SystemLoss] | None = None,
        aligner: Aligner | None = None,
    ) -> None:
        super().__init__()
        _check(projection, contrast, pool, patch_pool)
        if isinstance(contrast, InducedAttention) != (bank is not None):
            raise IncompatibleError("contrast-induced attention and a bank go together; give both or neither")
        self.aligner = aligner
        self.encoder = encoder
        self.projection = projection
        self.contrast = contrast
        self.pool = pool
        self.bank = bank
        self.patch_pool = patch_pool
        self.decoder = decoder
        self.finding_head = finding_head
        self.localizer = localizer
        self.match_views = match_views
        self.finds_regions = encoder is not None and encoder.detector is not None
        self.places = places
        if encoder is not None and places is None and not self.finds_regions:
            self.places = GridPlaces(*encoder.grid)
        self.fine_places = _fine_places(localizer, self.places, projection)
        self.marked_grid = self.places
        if localizer is not None and self.places is not None:
            self.marked_grid = localizer.marked_grid(self.fine_places[0] if self.fine_places else self.places)
        self.losses = nn.ModuleDict(dict(losses or {}))
        if not self.heads and (aligner is None or not aligner.trained_here):
            raise IncompatibleError("a system without a head: nothing teaches it and it answers nothing")

    @property
    def device(self) -> torch.device:
        """Where its weights are, and what it is given should be."""
        return next(self.parameters()).device

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that are there; of two that know a finding, the first one counts."""
        return tuple(head for head in (self.decoder, self.finding_head, self.localizer) if head is not None)

    def take_vectors(self, vectors: AttributeVectors) -> None:
        """Give the heads that need them the word vectors of attributes."""
        for head in self.heads:
            head.take_vectors(vectors)

    def without_decoder(self) -> System:
        """Return the same system, its weights shared, that writes nothing."""
        silent = copy.copy(self)
        silent._modules = {**self._modules, "decoder": None}
        return silent

    @property
    def identifier(self) -> IdentifyingHead | None:
        """The head whose probabilities a reading has; None where none gives any."""
        return next((head for head in self.heads if isinstance(head, IdentifyingHead)), None)

    @property
    def reads_indication(self) -> bool:
        """Whether the indication of a study changes what is answered."""
        return any(head.reads_indication for head in self.heads)

    def teach(self, features: VisualFeatures, targets: Targets, *, without: Head | None = None) -> dict[str, Term]:
        """Return the terms of all heads and of the losses over them, by name; those of `without` are left out.

        No gradient reaches the features from a head that is released.
        """
        terms: dict[str, Term] = {}
        states = None
        for head in self.heads:
            if head is not without:
                seen = features.detach() if head.released else features
                lesson = head.teach(seen, targets, states=bool(self.losses))
                terms |= lesson.terms
                states = states or lesson.states
        if states is not None:
            for loss in self.losses.values():
                terms |= loss(states, targets)
        return terms

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return what all heads make of each study; a head with words writes them with the search."""
        found = PartialReading()
        for head in self.heads:
            found = found.with_rest_of(head.answer(features, search=search))
        return found

    def teach_alignment(self, images: Tensor, chosen: Tensor) -> dict[str, Term]:
        """Return the terms of the aligner, by name, of a system without a head.

        Args:
            images: `[B, V, 3, S, S]`, normalised.
            chosen: `[B, V]` bool, the views that can be aligned.
        """
        assert self.aligner is not None  # a system without a head has one
        assert self.encoder is not None  # and an encoder, its perceptual network
        return alignment_terms(self.aligner, self.encoder, images[chosen])

    def aligned(self, images: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures `[B, V, 3, S, S]` in the pose of the canonical chest, and the poses `[B, V, 5]` found.

        Args:
            images: `[B, V, 3, S, S]`, normalised.
            chosen: `[B, V]` bool, the views that can be aligned; others stay as they are, with a pose of 0.

        Raises:
            IncompatibleError: the system has no aligner.
        """
        if self.aligner is None or self.encoder is None:
            raise IncompatibleError("this system has no aligner; give it one (align.weights)")
        normalisation = Normalisation(self.encoder.mean, self.encoder.std)
        moved, poses = self.aligner.align(images.flatten(0, 1), normalisation, chosen=chosen.flatten())
        return moved.view_as(images), poses.view(*images.shape[:2], -1)

    def encode(self, images: Tensor) -> Tensor:
        """Return the raw features `[B, V, N, C]` of `images [B, V, 3, S, S]`.

        Raises:
            IncompatibleError: the system has no encoder.
        """
        if self.encoder is None:
            raise IncompatibleError("this system has no encoder; give it raw features or build it with one")
        B, V = images.shape[:2]
        raw: Tensor = self.encoder(images.flatten(0, 1))  # [B*V, N, C]
        return raw.reshape(B, V, *raw.shape[1:])

    def thumbnails(self, images: Tensor) -> Tensor | None:
        """Return what the bank finds negatives by, `[B, V, 256]` uint8 of `images [B, V, 3, S, S]`; None without.

        The images are those that the encoder sees.
        """
        if self.bank is None or self.encoder is None:
            return None
        small = thumbnails(images.flatten(0, 1), mean=self.encoder.mean, std=self.encoder.std)
        return small.reshape(*images.shape[:2], -1)

    def negative_map(self, raw: Tensor) -> Tensor:
        """Return `M [...]` of what the encoder gave for a picture, `raw [..., C]`, or of its last C' channels."""
        assert isinstance(self.contrast, InducedAttention)  # which a bank is there for
        return self.contrast.map(self.projection.branch(raw))

    def features(
        self,
        *,
        images: Tensor | None = None,
        raw: Tensor | None = None,
        view_mask: Tensor,
        patient_ids: Sequence[str | None] | None = None,
        positions: Sequence[Sequence[str]] | None = None,
        indication: Tensor | None = None,
        indication_mask: Tensor | None = None,
        study_ids: Sequence[str] | None = None,
        thumbnails: Tensor | None = None,
        negatives: Tensor | None = None,
        poses: Tensor | None = None,
        negative_poses: Tensor | None = None,
    ) -> VisualFeatures:
        """Return features of a batch, contrasted where the system has a contrast; evidence included.

        Args:
            images: `[B, V, 3, S, S]`, normalised; or
            raw: `[B, V, N, C]`, what the encoder gave for them.
            view_mask: `[B, V]` bool, True for real views.
            patient_ids: B ids; rows of the pool with the same id are left out. None leaves nothing out.
            positions: per study the positions of its views (padded ones are ignored); None matches everything.
            indication: `[B, T]` token ids, for decoders that read it.
            indication_mask: `[B, T]` bool, True at its real words.
            study_ids: B ids; no study is its own negative. None is nobody's.
            thumbnails: `[B, V, 256]` uint8, what a bank finds negatives by; those of `images` where there are any.
            negatives: in training the negative of each view, which the bank is then not asked for: pixels
                `[B, V, 3, S, S]`, or C' channels of what the encoder gave for them, `[B, V, n, C']`.
            poses: `[B, V, 5]` of pictures that were aligned; what lies outside of them is masked out.
            negative_poses: the same of `negatives`; nothing is compared with what lies outside of these.

        Raises:
            IncompatibleError: neither or both of images and raw; a bank without thumbnails.
        """
        if (images is None) == (raw is None):
            raise IncompatibleError("features need either images or raw features, not both")
        source = self.encode(images) if images is not None else raw
        assert source is not None  # one of the two was given
        inside = are_regions(source) if self.finds_regions else self._inside(poses)
        features: VisualFeatures = self.projection(source, view_mask, self.places, inside=inside)
        if self.finds_regions:
            assert self.encoder is not None  # which finds them
            return features.replace(
                places=region_places(features.patches, self.encoder.image_size, len(source[0]))
            )
        features = features.replace(
            indication=indication, indication_mask=indication_mask, fine=self._fine(source, view_mask, poses)
        )
        if self.bank is not None:
            own = self.negative_map(source)  # [B, V, n]
            if negatives is not None:
                return self._induced(features, own, self._negative_maps(negatives), negative_poses)
            if thumbnails is None and images is not None:
                thumbnails = self.thumbnails(images)
            return self._compared(features, own, view_mask, thumbnails, study_ids, patient_ids, positions)
        if self.contrast is None or self.pool is None:
            return features
        return self._contrasted(features, source, view_mask, patient_ids, positions)

    def _contrasted(
        self,
        features: VisualFeatures,
        source: Tensor,
        view_mask: Tensor,
        patient_ids: Sequence[str | None] | None,
        positions: Sequence[Sequence[str]] | None,
    ) -> VisualFeatures:
        """Return features of `source [B, V, N, C]` compared with the pool."""
        assert self.contrast is not None  # a pool is there
        assert self.pool is not None  # asked for only then
        stages = None
        if self.projection.stages:
            by_view = self.projection.project_stages(source.mean(dim=2))  # [B, V, S, d]
            stages = StageFeatures(by_view, self.projection.project_stages(self.pool.raw))
        # The pool is projected anew at every step, so that gradient reaches W_I through it too.
        contrasted: VisualFeatures = self.contrast(
            features,
            pool=self.projection.project(self.pool.raw),
            exclude=self._exclude(self.pool, view_mask, patient_ids, positions),
            patch_pool=None if self.patch_pool is None else self.projection.project(self.patch_pool.raw),
            patch_exclude=self._exclude(self.patch_pool, view_mask, patient_ids, positions),
            stages=stages,
        )
        return contrasted

    def _inside(self, poses: Tensor | None) -> Tensor | None:
        """Return `[B, V, N]` bool, which cells show some of pictures with `poses [B, V, 5]`; None says all."""
        return None if poses is None or self.places is None else cells_inside(poses, self.places)

    def _fine(self, source: Tensor, view_mask: Tensor, poses: Tensor | None) -> tuple[VisualFeatures, ...]:
        """Return the stages that a head stands on, of `source [B, V, N, C]`, each in cells of its own grid."""
        if not self.fine_places:
            return ()
        stages = torch.split(self.projection.branch(source), list(self.projection.stage_channels), dim=-1)
        return tuple(
            self._unfolded(stage, fine, view_mask, poses)
            for stage, fine in zip(stages, self.fine_places, strict=True)
        )

    def _unfolded(
        self, stage: Tensor, fine: GridPlaces, view_mask: Tensor, poses: Tensor | None
    ) -> VisualFeatures:
        """Return a stage `[B, V, N, c k²]`, k² of whose cells stand in each patch, in its own cells."""
        assert self.places is not None  # which `fine_places` are made of
        B, V = stage.shape[:2]
        folded = stage.transpose(2, 3).reshape(B * V, -1, self.places.rows, self.places.columns)
        maps = F.pixel_shuffle(folded, fine.rows // self.places.rows)  # [B*V, c, r, s]
        cells = maps.flatten(2).transpose(1, 2).reshape(B, V * fine.cells, -1)  # [B, V n, c]
        mask = view_mask.bool().repeat_interleave(fine.cells, dim=1)
        if poses is not None:
            mask = mask & cells_inside(poses, fine).flatten(1)
        cells = cells.masked_fill(~mask.unsqueeze(-1), 0.0)
        return VisualFeatures(cells, masked_mean(cells, mask), mask, fine)

    def _induced(
        self, features: VisualFeatures, own: Tensor, negative: Tensor, poses: Tensor | None = None
    ) -> VisualFeatures:
        assert isinstance(self.contrast, InducedAttention)  # a bank is there
        induced: VisualFeatures = self.contrast(features, own=own, negative=negative, shown=self._inside(poses))
        return induced

    def _negative_maps(self, negatives: Tensor) -> Tensor:
        """Return `M⁻ [B, V, n]` of the negatives that come with a batch."""
        if negatives.ndim < 5:
            return self.negative_map(negatives)
        assert self.encoder is not None  # pixels come with a batch that is encoded
        raw = self.encoder.stages_of(negatives.flatten(0, 1))  # [B*V, n, C']
        return self.negative_map(raw.reshape(*negatives.shape[:2], *raw.shape[1:]))

    def _compared(
        self,
        features: VisualFeatures,
        own: Tensor,
        view_mask: Tensor,
        small: Tensor | None,
        study_ids: Sequence[str] | None,
        patient_ids: Sequence[str | None] | None,
        positions: Sequence[Sequence[str]] | None,
    ) -> VisualFeatures:
        """Return features compared with the negatives that the bank has for their views.

        The evidence has `negative [B, V]`, rows of the bank, -1 where there is none, `negative_similarity` and
        `negative_same_view` too.
        """
        assert self.bank is not None
        B, V, _ = own.shape
        if not self.bank.has_pictures:
            return self._induced(features, own, torch.zeros_like(own))
        if small is None:
            raise IncompatibleError(
                "features without thumbnails with contrast-induced attention: a negative is found by them; give "
                "pixels, or features from a cache that this version filled"
            )
        real = [(b, v) for b, views in enumerate(view_mask.tolist()) for v in range(V) if views[v]]
        found = self.bank.find(
            small[view_mask.bool()],
            study_ids=["" if study_ids is None else study_ids[b] for b, _ in real],
            patient_ids=[None if patient_ids is None else patient_ids[b] for b, _ in real],
            positions=["unknown" if positions is None else positions[b][v] for b, v in real],
            numbers=[v for _, v in real],
        )
        theirs = own.detach().clone()  # a view without a negative has nothing that sets it apart
        taken = self.bank.maps_of(found.rows).to(own.dtype)
        here = own[view_mask.bool()].detach()
        theirs[view_mask.bool()] = torch.where((found.rows < 0).unsqueeze(1), here, taken)
        rows = found.rows.new_full((B, V), -1)
        similarity, same_view = found.similarity.new_zeros(B, V), found.same_view.new_ones(B, V)
        for into, values in ((rows, found.rows), (similarity, found.similarity), (same_view, found.same_view)):
            into[view_mask.bool()] = values
        placed = self.bank.poses_of(found.rows)
        poses = None
        if placed is not None:
            poses = placed.new_zeros(B, V, placed.shape[-1])
            poses[view_mask.bool()] = placed
        induced = self._induced(features, own, theirs, poses)
        shown = {"negative": rows, "negative_similarity": similarity, "negative_same_view": same_view}
        return induced.replace(evidence={**induced.evidence, **shown})

    def _exclude(
        self,
        pool: NormalityPool | None,
        view_mask: Tensor,
        patient_ids: Sequence[str | None] | None,
        positions: Sequence[Sequence[str]] | None,
    ) -> Tensor | None:
        """Return `[B, N_P]`, or `[B, V, N_P]` where contrast goes view by view."""
        if pool is None:
            return None
        exclude = torch.zeros(len(view_mask), len(pool), dtype=torch.bool, device=pool.raw.device)
        if patient_ids is not None:
            exclude |= pool.exclude_mask(patient_ids)
        matched = None
        if self.match_views and positions is not None:
            matched = _real_positions(positions, view_mask)
        if not isinstance(self.contrast, ContrastiveAttention) or not self.contrast.per_view:
            return exclude if matched is None else exclude | pool.match_mask(matched)
        views = view_mask.shape[1]
        by_view = exclude.unsqueeze(1).repeat(1, views, 1)  # [B, V, N_P]
        if matched is not None:
            single = [[name] for names in matched for name in [*names, *(["unknown"] * views)][:views]]
            by_view |= pool.match_mask(single).view_as(by_view)
        return by_view


def _real_positions(positions: Sequence[Sequence[str]], view_mask: Tensor) -> list[list[str]]:
    return [
        [name for name, real in zip(names, mask, strict=False) if real]
        for names, mask in zip(positions, view_mask.tolist(), strict=True)
    ]


def _check(
    projection: PatchProjection,
    contrast: Contrast | None,
    pool: NormalityPool | None,
    patch_pool: NormalityPool | None,
) -> None:
    if isinstance(contrast, ContrastiveAttention) != (pool is not None):
        raise IncompatibleError("Contrastive Attention and a normality pool go together; give both or neither")
    if not isinstance(contrast, ContrastiveAttention):
        return
    if not projection.is_linear:
        raise IncompatibleError(
            f"Contrastive Attention with projection '{projection.kind}': the pool is kept raw, which needs a "
            "linear projection; set projection.kind: linear"
        )
    if contrast.needs_patch_pool != (patch_pool is not None):
        raise IncompatibleError("contrast of patches and a pool of patch vectors go together: both or neither")
    if contrast.per_view and pool is not None and pool.unit == "study":
        raise IncompatibleError(
            "contrast view by view with a pool of whole studies: a view has no row to be compared with; "
            "set pool.unit: image or pool.views: all"
        )
    if len(contrast.of_stages) != len(projection.stages):
        raise IncompatibleError(
            f"contrast over {len(contrast.of_stages)} further stages with a projection of "
            f"{len(projection.stages)}; give both the same contrast.stages"
        )


def _fine_places(
    head: Head | None, places: GridPlaces | None, projection: PatchProjection
) -> tuple[GridPlaces, ...]:
    """Return the grids of the further stages that a head stands on, whose cells lie in those of `places`."""
    if head is None or not head.stage_widths or places is None:
        return ()
    stages = zip(projection.stage_channels, head.stage_widths, strict=True)
    factors = [math.isqrt(channels // width) for channels, width in stages]
    return tuple(GridPlaces(places.rows * factor, places.columns * factor) for factor in factors)
