"""The normality pool: what normal images look like to the encoder (paper A, section 3.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError, UnknownNameError

PoolKind = Literal["normal", "random", "zeros"]
POOL_KINDS: tuple[PoolKind, ...] = ("normal", "random", "zeros")
PoolUnit = Literal["image", "study"]
"""What a row of a pool is: one image (paper A), or the mean over the views of one study (ours)."""

UNKNOWN_VIEW = "unknown"


def views_name(positions: Sequence[str]) -> str:
    """Return the position of a row that stands for several views, such as `LATERAL+PA`.

    Unknown when one of them is.
    """
    return UNKNOWN_VIEW if UNKNOWN_VIEW in positions else "+".join(sorted(set(positions)))


@dataclass(frozen=True)
class PoolRows:
    """Who the rows of a pool are; one entry per row in each tuple.

    Attributes:
        image_ids: ids of the images.
        study_ids: ids of their studies.
        patient_ids: ids of their patients; None where unknown.
        positions: their view positions.
        locators: where their pixels may be had again.
    """

    image_ids: tuple[str, ...]
    study_ids: tuple[str, ...]
    patient_ids: tuple[str | None, ...]
    positions: tuple[str, ...]
    locators: tuple[str | None, ...]

    def __post_init__(self) -> None:
        sizes = {name: len(values) for name, values in asdict(self).items()}
        if len(set(sizes.values())) != 1:
            raise IncompatibleError(f"rows of a pool differ in number: {sizes}")

    def __len__(self) -> int:
        return len(self.image_ids)

    def select(self, index: Sequence[int]) -> PoolRows:
        """Return the rows at `index`, in that order."""
        return PoolRows(**{name: tuple(values[i] for i in index) for name, values in asdict(self).items()})


class NormalityPool(nn.Module):
    """Raw pooled encoder features of normal training images, with who they are.

    The vectors are kept before the projection: `W_I` is linear, so `P = pool · W_I` at every step and gradient
    reaches `W_I` through it. They are a buffer, so they travel with the checkpoint.

    Attributes:
        raw: `[N_P, C]`.
        rows: ids, patients, positions and locators of the rows.
        kind: `normal`, or a control of equal size (ours): `random` training images, or `zeros`, the same
            rows with their features set to 0, so that masking acts alike.
        wanted: the size that was asked for; a smaller pool took all there was.
        unit: what a row is; the positions of a study's row are joined (`views_name`).
    """

    raw: Tensor

    def __init__(
        self,
        raw: Tensor,
        rows: PoolRows,
        *,
        kind: PoolKind = "normal",
        wanted: int | None = None,
        unit: PoolUnit = "image",
    ) -> None:
        super().__init__()
        if kind not in POOL_KINDS:
            raise UnknownNameError("pool kind", kind, POOL_KINDS)
        if raw.ndim != 2 or raw.shape[0] != len(rows) or len(rows) == 0:
            raise IncompatibleError(
                f"a pool needs raw features [N_P, C], a row for each of its {len(rows)} images and at least one; "
                f"found {tuple(raw.shape)}"
            )
        own = raw.detach()
        self.register_buffer("raw", torch.zeros_like(own) if kind == "zeros" else own.clone())
        self.rows = rows
        self.kind = kind
        self.wanted = wanted if wanted is not None else len(rows)
        self.unit = unit

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_pictures(self) -> bool:
        """Whether its rows are pictures that can be shown and encoded; those of the `zeros` control are not."""
        return self.kind != "zeros"

    def exclude_mask(self, patient_ids: Sequence[str | None]) -> Tensor:
        """Return True `[B, N_P]` where a row belongs to the patient being read.

        An unknown patient excludes nothing.

        Without it attention can copy `v̂` and `v^d` vanishes (ours).
        """
        known = dict.fromkeys(patient for patient in self.rows.patient_ids if patient is not None)
        codes = {patient: code for code, patient in enumerate(known)}
        own = self._codes(codes, self.rows.patient_ids, unknown=-1)
        read = self._codes(codes, patient_ids, unknown=-2)
        return read.unsqueeze(1) == own.unsqueeze(0)

    def match_mask(self, positions: Sequence[Sequence[str]]) -> Tensor:
        """Return True `[B, N_P]` where a row is left out because its view is none of the study's.

        This is what `pool.match: view` asks for (ours).

        `positions` holds the positions of each study's real views. A position `unknown`, of the study or of a
        row, matches all; a study whose views the pool has none of is compared with the whole pool. Where the rows
        are studies, those with the very same views match.
        """
        if self.unit == "study":
            positions = [[views_name(views)] for views in positions]
        names = {name: code for code, name in enumerate(dict.fromkeys(self.rows.positions))}
        own = self._codes(names, self.rows.positions, unknown=-1)  # [N_P]
        has = torch.zeros(len(positions), len(names), dtype=torch.bool)
        for row, views in enumerate(positions):
            known = [names[view] for view in views if view in names]
            has[row, known] = True
            has[row] |= UNKNOWN_VIEW in views or not known
        if UNKNOWN_VIEW in names:
            has[:, names[UNKNOWN_VIEW]] = True
        return ~has.to(self.raw.device)[:, own]

    def _codes(self, codes: dict[str, int], names: Sequence[str | None], *, unknown: int) -> Tensor:
        values = [unknown if name is None else codes.get(name, unknown) for name in names]
        return torch.tensor(values, device=self.raw.device)

    def refresh(self, raw: Tensor) -> None:
        """Put in the features of the same images by the encoder as it is now; the `zeros` control stays zero."""
        if raw.shape != self.raw.shape:
            raise IncompatibleError(f"a refreshed pool stays {tuple(self.raw.shape)}; found {tuple(raw.shape)}")
        if self.has_pictures:
            self.raw.copy_(raw.detach())

    def metadata(self) -> dict[str, Any]:
        """Return all but the features, as plain JSON values."""
        return {
            "kind": self.kind,
            "wanted": self.wanted,
            "rows": {k: list(v) for k, v in asdict(self.rows).items()},
            **({} if self.unit == "image" else {"unit": self.unit}),
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any], raw: Tensor) -> NormalityPool:
        """Return the pool that `metadata()` and `raw` describe."""
        rows = PoolRows(**{name: tuple(values) for name, values in metadata["rows"].items()})
        unit: PoolUnit = metadata.get("unit", "image")
        return cls(raw, rows, kind=metadata["kind"], wanted=metadata["wanted"], unit=unit)

    def summary(self) -> dict[str, Any]:
        """Return kind, size, size asked for, patients and view mix, for the run record."""
        return {
            "kind": self.kind,
            "size": len(self),
            "wanted": self.wanted,
            "patients": len(set(self.rows.patient_ids)),
            "views": dict(sorted(Counter(self.rows.positions).items())),
            **({} if self.unit == "image" else {"unit": self.unit}),
        }


def draw_pool(
    rows: PoolRows,
    *,
    normal: Sequence[bool] | Tensor,
    size: int = 1000,
    kind: PoolKind = "normal",
    seed: int = 0,
) -> list[int]:
    """Return which training images make the pool, in increasing order (paper A: 1,000 normal ones, at random).

    Args:
        rows: who the M candidates are, all of the training split.
        normal: `[M]`, True for normal images; the `random` control draws from all.
        size: images to draw; where there are fewer, all are taken.
        kind: `normal`, `random` or `zeros`, which has the rows of `normal`.
        seed: of the draw.

    Raises:
        IncompatibleError: there is no candidate.
    """
    flags = torch.as_tensor(normal, dtype=torch.bool)
    if flags.shape != (len(rows),):
        raise IncompatibleError(f"{len(rows)} candidates, {flags.numel()} normal flags")
    candidates = torch.arange(len(rows)) if kind == "random" else flags.nonzero().flatten()
    if len(candidates) == 0:
        raise IncompatibleError("no training image is normal, so there is no normality pool; check the labels")
    order = candidates[torch.randperm(len(candidates), generator=torch.Generator().manual_seed(seed))]
    drawn: list[int] = order[:size].sort().values.tolist()
    return drawn


@dataclass(frozen=True)
class PatchPlaces:
    """Which patches a pool of patches holds: of which image each is, and which of that image's patches."""

    images: tuple[int, ...]
    places: tuple[int, ...]

    @classmethod
    def draw(cls, images: int, patches: int, *, size: int, seed: int) -> PatchPlaces:
        """Draw at most `size` of the `images * patches` patches, at random and none twice (ours)."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randperm(images * patches, generator=generator)[:size].sort().values
        return cls(tuple((drawn // patches).tolist()), tuple((drawn % patches).tolist()))
