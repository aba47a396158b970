"""The negatives of contrast-induced attention: normal pictures, each a thumbnail to be found by and its map."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.blocks.precision import FullPrecision
from contrastcxr.models.contrast.options import BankOptions
from contrastcxr.models.contrast.pool import UNKNOWN_VIEW, PoolRows

SIDE = 16
"""Rows and columns of a thumbnail (paper B, section 4.3.2)."""
_TOGETHER = 4096
"""Rows of the bank that are compared at a time: their products stay in the processor's cache."""


def thumbnails(images: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return `[M, 256]` uint8 of the pictures `[M, 3, S, S]` that an encoder sees: area means, in steps of 1/255.

    Args:
        images: normalised, of three equal channels.
        mean: of the normalisation, per channel, of pixels in [0, 1].
        std: per channel.
    """
    grey = (images[:, :1].float() * std[0] + mean[0]).clamp(0, 1)
    small: Tensor = F.adaptive_avg_pool2d(grey, SIDE).flatten(1)
    return (small * 255).round().to(torch.uint8)


@dataclass(frozen=True, eq=False)
class FoundNegatives:
    """The negative of each of Q views.

    Attributes:
        rows: `[Q]` int64, of the bank; -1 where every row is of the view's own patient.
        similarity: `[Q]` float32, the cosine of the thumbnails.
        same_view: `[Q]` bool, False where the bank has none of the view's position, so that any was taken.
    """

    rows: Tensor
    similarity: Tensor
    same_view: Tensor


class NegativeBank(FullPrecision):
    """Thumbnails and attention maps of normal training pictures, with who they are (paper B, section 4.3.2).

    The negative of a view is the picture whose thumbnail has the greatest cosine with its own, never one of its
    patient or study, and one of its view position (`match: view`, ours); of several equal ones the first.
    Thumbnails are whole numbers and sums of their products stay below 2^24, so that float32 holds them exactly:
    neither the order nor the size of a batch changes what is found. `sampling: random` draws one for each view by
    its study's id; of the `canonical` bank the rows are mean pictures. The control of `zeros` has no rows.

    Args:
        thumbnails: `[M, 256]` uint8.
        maps: `[M, n]`, kept in float16; `set_maps` puts in those of the weights as they are.
        rows: ids, patients, positions and locators of the pictures.
        options: which pictures they are, and how one is found.
        seed: of `sampling: random`.
        poses: `[M, 5]` of pictures that were aligned, which say what of a map lies outside of its picture; None of
            pictures that were not, and of mean pictures.
    """

    thumbnails: Tensor
    maps: Tensor
    poses: Tensor | None
    _mean: Tensor  # [256] uint8, rounded
    _has: Tensor  # [M], the code of each row's position, -1 of an unknown one

    def __init__(
        self,
        thumbnails: Tensor,
        maps: Tensor,
        rows: PoolRows,
        options: BankOptions,
        *,
        seed: int,
        poses: Tensor | None = None,
    ) -> None:
        super().__init__()
        if thumbnails.shape != (len(rows), SIDE * SIDE) or maps.ndim != 2 or len(maps) != len(rows):
            raise IncompatibleError(
                f"a bank of {len(rows)} negatives needs thumbnails {(len(rows), SIDE * SIDE)} and as many maps; "
                f"found {tuple(thumbnails.shape)} and {tuple(maps.shape)}"
            )
        self.register_buffer("thumbnails", thumbnails.detach().to(torch.uint8).clone())
        self.register_buffer("maps", _half(maps))
        self.register_buffer("poses", None if poses is None else poses.detach().float().clone())
        self.register_buffer("_mean", _mean_of(self.thumbnails), persistent=False)
        self.rows = rows
        self.options = options
        self.seed = seed
        codes = [-1 if name == UNKNOWN_VIEW else self._codes[name] for name in rows.positions]
        self.register_buffer("_has", torch.tensor(codes, dtype=torch.int64), persistent=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_pictures(self) -> bool:
        """Whether there are pictures to be compared with; the control of `zeros` has none."""
        return self.options.kind != "zeros"

    def set_maps(self, maps: Tensor) -> None:
        """Put in the maps `[M, n]` of the same pictures by the weights as they are now."""
        if maps.shape != self.maps.shape:
            raise IncompatibleError(f"maps of a bank stay {tuple(self.maps.shape)}; found {tuple(maps.shape)}")
        self.maps.copy_(_half(maps))

    @torch.no_grad()
    def find(
        self,
        queries: Tensor,
        *,
        study_ids: Sequence[str],
        patient_ids: Sequence[str | None],
        positions: Sequence[str],
        numbers: Sequence[int] | None = None,
    ) -> FoundNegatives:
        """Return the negative of each view.

        A position `unknown`, of the view or of a row, matches all. A view whose position the bank has none of,
        its own patient left out, is compared with all the others.

        Args:
            queries: `[Q, 256]` uint8, thumbnails of the views.
            study_ids: Q ids; a study is never its own negative.
            patient_ids: Q ids; an unknown one leaves nobody out.
            positions: Q view positions.
            numbers: which view of its study each is, for `sampling: random`; None for the first.
        """
        own = self._own(study_ids, patient_ids)
        asked = self._asked(positions)
        found = self._search(queries, own, asked, study_ids, numbers)
        other = (found < 0).nonzero().flatten().tolist()
        if other:
            places = {place: number for number, place in enumerate(other)}
            pairs = [(places[query], row) for query, row in own if query in places]
            anyone = torch.full((len(other),), -1, device=self.thumbnails.device)
            names = [study_ids[place] for place in other]
            views = None if numbers is None else [numbers[place] for place in other]
            found[other] = self._search(queries[other], pairs, anyone, names, views)
        same_view = torch.ones_like(found, dtype=torch.bool)
        same_view[other] = False
        return FoundNegatives(found, self._cosines(queries, found), same_view)

    def maps_of(self, rows: Tensor) -> Tensor:
        """Return the maps `[Q, n]` of rows `[Q]`; zeros of the row -1, which nobody should use."""
        if not len(self):
            return self.maps.new_zeros(len(rows), self.maps.shape[1])
        return self.maps[rows.clamp_min(0)].masked_fill((rows < 0).unsqueeze(1), 0.0)

    def poses_of(self, rows: Tensor) -> Tensor | None:
        """Return the poses `[Q, 5]` of rows `[Q]`, 0 of the row -1; None of a bank without poses."""
        if self.poses is None:
            return None
        return self.poses[rows.clamp_min(0)].masked_fill((rows < 0).unsqueeze(1), 0.0)

    def _own(self, study_ids: Sequence[str], patient_ids: Sequence[str | None]) -> list[tuple[int, int]]:
        """Return the pairs of a view and a row that is its own study or patient."""
        of_study, of_patient = self._by_study, self._by_patient
        pairs = []
        for query, (study, patient) in enumerate(zip(study_ids, patient_ids, strict=True)):
            own = {*of_study.get(study, ()), *(of_patient.get(patient, ()) if patient is not None else ())}
            pairs += [(query, row) for row in sorted(own)]
        return pairs

    @cached_property
    def _by_study(self) -> dict[str, list[int]]:
        return _places(self.rows.study_ids)

    @cached_property
    def _by_patient(self) -> dict[str, list[int]]:
        return _places(self.rows.patient_ids)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(dict.fromkeys(self.rows.positions))}

    def _asked(self, positions: Sequence[str]) -> Tensor:
        """Return the code `[Q]` of each position; -1 of what matches all, -2 of one that the bank has none of."""
        free = self.options.match == "none"
        codes = [-1 if free or name == UNKNOWN_VIEW else self._codes.get(name, -2) for name in positions]
        return torch.tensor(codes, dtype=torch.int64, device=self.thumbnails.device)

    def _search(
        self,
        queries: Tensor,
        own: Sequence[tuple[int, int]],
        asked: Tensor,
        study_ids: Sequence[str],
        numbers: Sequence[int] | None,
    ) -> Tensor:
        """Return the row `[Q]` of each view, -1 where none is left."""
        if self.options.sampling == "random":
            return self._drawn(own, asked, study_ids, numbers)
        return self._nearest(self._vectors(queries), own, asked)

    def _nearest(self, queries: Tensor, own: Sequence[tuple[int, int]], asked: Tensor) -> Tensor:
        """Return the row `[Q]` with the greatest cosine to `queries [Q, 256]`, a slice of the bank at a time."""
        best = queries.new_full((len(queries),), -torch.inf)
        rows = torch.full((len(queries),), -1, device=queries.device)
        pairs = torch.tensor(own, dtype=torch.int64, device=queries.device).reshape(-1, 2)
        free = asked.unsqueeze(1) == -1
        for start in range(0, len(self), _TOGETHER):
            vectors = self._vectors(self.thumbnails[start : start + _TOGETHER])
            scores = _products(queries, vectors) * _inverse_norms(vectors)
            here = self._has[start : start + _TOGETHER]
            scores.masked_fill_(~(free | (here == -1) | (here == asked.unsqueeze(1))), -torch.inf)
            inside = pairs[(pairs[:, 1] >= start) & (pairs[:, 1] < start + len(vectors))]
            scores[inside[:, 0], inside[:, 1] - start] = -torch.inf
            value, row = scores.max(dim=1)
            better = value > best
            best, rows = torch.where(better, value, best), torch.where(better, row + start, rows)
        return rows

    def _drawn(
        self,
        own: Sequence[tuple[int, int]],
        asked: Tensor,
        study_ids: Sequence[str],
        numbers: Sequence[int] | None,
    ) -> Tensor:
        """Return a row `[Q]` for each view that seed, study and number of the view alone decide."""
        left_out: dict[int, list[int]] = defaultdict(list)
        for query, row in own:
            left_out[query].append(row)
        has, rows = self._has, []
        for query, study in enumerate(study_ids):
            allowed = (has == -1) | (has == asked[query]) | (asked[query] == -1)
            allowed[left_out[query]] = False
            candidates = allowed.nonzero().flatten()
            number = 0 if numbers is None else numbers[query]
            name = f"{self.seed}:{study}:{number}".encode()
            place = int.from_bytes(hashlib.sha256(name).digest()[:8], "big")
            rows.append(int(candidates[place % len(candidates)]) if len(candidates) else -1)
        return torch.tensor(rows, dtype=torch.int64, device=has.device)

    def _cosines(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Return the cosine `[Q]` of each view with its negative; 0 where there is none."""
        if not len(self):
            return torch.zeros(len(queries), device=queries.device)
        one, other = self._vectors(queries), self._vectors(self.thumbnails[rows.clamp_min(0)])
        cosines = (one * other).sum(dim=1) * _inverse_norms(one) * _inverse_norms(other)
        return torch.where(rows < 0, 0.0, cosines)

    def _vectors(self, small: Tensor) -> Tensor:
        """Return thumbnails `[…, 256]` as float32, whole numbers still where the mean is taken away."""
        values = small.float()
        return values - self._mean.float() if self.options.center else values

    def metadata(self) -> dict[str, Any]:
        """Return all but the tensors and the options, as plain JSON values."""
        return {"seed": self.seed, "rows": {name: list(values) for name, values in asdict(self.rows).items()}}

    @classmethod
    def from_metadata(
        cls,
        metadata: Mapping[str, Any],
        options: BankOptions,
        *,
        thumbnails: Tensor,
        maps: Tensor,
        poses: Tensor | None = None,
    ) -> NegativeBank:
        """Return the bank that `metadata()`, the options and the tensors describe."""
        rows = PoolRows(**{name: tuple(values) for name, values in metadata["rows"].items()})
        return cls(thumbnails, maps, rows, options, seed=int(metadata["seed"]), poses=poses)

    def summary(self) -> dict[str, Any]:
        """Return kind, sampling, size, size asked for, patients and view mix, for the run record."""
        return {
            "kind": self.options.kind,
            "sampling": self.options.sampling,
            "size": len(self),
            "wanted": self.options.size,
            "patients": len(set(self.rows.patient_ids)),
            "views": dict(sorted(Counter(self.rows.positions).items())),
        }


def _mean_of(small: Tensor) -> Tensor:
    """Return the mean `[256]` of thumbnails `[M, 256]`, in whole steps, so that products stay whole numbers."""
    total = small.sum(dim=0, dtype=torch.int64)
    return (total.double() / max(len(small), 1)).round().to(torch.uint8)


def _places(names: Sequence[str | None]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if name is not None:
            found[name].append(place)
    return dict(found)


def _products(queries: Tensor, vectors: Tensor) -> Tensor:
    """Return `[Q, R]`, the exact products of whole numbers, which half precision would round."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries @ vectors.T


def _inverse_norms(vectors: Tensor) -> Tensor:
    """Return one over the length of each of `vectors [R, 256]`; 0 of a picture that is black everywhere."""
    squares = vectors.square().sum(dim=1)
    return torch.where(squares > 0, squares.rsqrt(), 0.0)


def _half(maps: Tensor) -> Tensor:
    limit = torch.finfo(torch.float16).max
    return maps.detach().float().clamp(-limit, limit).half()
