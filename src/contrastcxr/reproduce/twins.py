"""The claim on twins for one trained row: its features and its side words on four pictures of one anatomy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastcxr.data.ref import DataRef
from contrastcxr.errors import DatasetError
from contrastcxr.evaluation.cached import cached_batches, encoded_for
from contrastcxr.evaluation.references import References, load_references, system_answers
from contrastcxr.features.batch import Batch
from contrastcxr.features.cache import FeatureCache
from contrastcxr.features.extraction import batch_features, raw_features
from contrastcxr.features.readable import all_in
from contrastcxr.form import Finding, Reading, Study
from contrastcxr.metrics.bootstrap import Floats, Interval
from contrastcxr.metrics.contrast_claim import (
    Claim,
    compare_ratios,
    lesion_to_pose,
    pair_of,
    swap_share,
    swapped_sides,
)
from contrastcxr.models.system import System
from contrastcxr.phantom import ROLES
from contrastcxr.reading.reader import Reader


def twins_of(reader: Reader, *, data: DataRef, split: str, cache: Path, limit: int | None) -> dict[str, Any]:
    """Return what a record keeps of the twins: ratios of every quadruple, the claim, and whether side words swap.

    Args:
        reader: of the trained row.
        data: phantoms.
        split: of twins, four studies in the order of `phantom.twins.ROLES` after each other.
        cache: folder of encoder features.
        limit: the first so many quadruples only.
    """
    references = load_references(data, split, limit=limit * len(ROLES) if limit else None, cache=cache)
    quadruples = _quadruples(references)
    kept, failures = encoded_for(reader, references.studies, cache=cache)
    if failures or not all(all_in(study, kept, reader.max_views) for study in references.studies):
        raise DatasetError(f"{data}/{split}: pictures of twins cannot be read ({'; '.join(failures[:3])})")
    vectors = {role: _vectors(reader, [q[role] for q in quadruples], kept) for role in ROLES[:3]}
    ratios = {name: lesion_to_pose(*(vectors[role][name] for role in ROLES[:3])) for name in vectors["normal"]}
    sides = _sides(reader, references, quadruples, kept)
    return {
        "quadruples": len(quadruples),
        "ratios": {name: [_rounded(value) for value in values] for name, values in ratios.items()},
        "sides": sides.tolist(),
        **summary(ratios, sides),
    }


def summary(ratios: Mapping[str, Floats], sides: NDArray[np.int64]) -> dict[str, Any]:
    """Return the claim (where there is a difference) and the share of swapped side words, with intervals."""
    found: dict[str, Any] = {"swapped_sides": _plain(swap_share(sides))}
    if (pair := pair_of(ratios)) is not None:
        found["claim"] = plain_claim(compare_ratios(*([ratios[name]] for name in pair)))
    return found


def plain_claim(claim: Claim) -> dict[str, Any]:
    """Return a claim as plain values."""
    parts = {name: _plain(getattr(claim, name)) for name in ("pooled", "difference", "gain")}
    return {**parts, "holds": claim.holds}


def _quadruples(references: References) -> list[dict[str, Study]]:
    count = len(references.studies) // len(ROLES)
    found = [references.studies[k * len(ROLES) : (k + 1) * len(ROLES)] for k in range(count)]
    for four in found:
        if [study.study_id.rpartition("-")[2] for study in four] != list(ROLES):
            raise DatasetError(f"{four[0].study_id}: expected twins in the order {', '.join(ROLES)}")
    return [dict(zip(ROLES, four, strict=True)) for four in found]


@torch.no_grad()
def _vectors(reader: Reader, studies: Sequence[Study], kept: FeatureCache) -> dict[str, Floats]:
    """Return what contrast is given and what it makes of it, `[Q, d]` each, named as in `contrast_claim.PAIRS`.

    A system without contrast has the first alone.
    """
    system = reader.system.eval()
    rows: dict[str, list[Floats]] = {}
    for batch in cached_batches(reader, studies, kept):
        for name, values in _compared(system, batch.to(reader.device)).items():
            rows.setdefault(name, []).append(values.flatten(1).double().cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _compared(system: System, batch: Batch) -> dict[str, Tensor]:
    raw = raw_features(system, batch)
    found = batch_features(system, batch, raw=raw)
    difference, common = found.evidence.get("difference"), found.evidence.get("common")
    if difference is not None and common is not None:
        return {"pooled": common + difference, "difference": difference}
    if (induced := found.evidence.get("difference_map")) is None:
        return {"pooled": found.pooled}
    given = system.projection(raw, batch.view_mask, system.places).patches
    return {"patches": given.masked_fill(~found.mask.unsqueeze(-1), 0.0), "difference_map": induced}


def _sides(
    reader: Reader, references: References, quadruples: Sequence[Mapping[str, Study]], kept: FeatureCache
) -> NDArray[np.int64]:
    truth = {r.study_id: r.findings for r in references.readings}
    lesions = [q["lesion"] for q in quadruples]
    said = [_findings(reader, [q[role] for q in quadruples], references, kept) for role in ("lesion", "mirrored")]
    return swapped_sides([truth[study.study_id] for study in lesions], said[0], said[1])


def _findings(
    reader: Reader, studies: Sequence[Study], references: References, kept: FeatureCache
) -> list[tuple[Finding, ...]]:
    readings: list[Reading] = []
    for batch in cached_batches(reader, studies, kept):
        readings += reader.read_features(batch)
    return [answer.findings or () for answer in system_answers(readings, references)]


def _plain(found: Interval) -> dict[str, Any]:
    values = {"value": found.value, "low": found.low, "high": found.high}
    return {**{k: _rounded(v) for k, v in values.items()}, "n": found.n}


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
