"""What a system's tensors say of each study, brought to the CPU and taken apart study by study."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.decoders.base import GeneratedReports, ReportDecoder
from contrastcxr.text.tokenizer import SpecialTokens


@dataclass(frozen=True, eq=False)
class DecodedReport:
    """The tokens of one report, and where the decoder looked for each."""

    token_ids: tuple[int, ...]
    ended: bool
    attention: np.ndarray | None  # [T, N]
    plan: Mapping[str, np.ndarray] = field(default_factory=dict)  # see `GeneratedReports`


@dataclass(frozen=True, eq=False)
class DecodedStudy:
    """Everything one study's reading is made of."""

    written: DecodedReport
    probabilities: tuple[float, ...]  # of the finding head; empty without one
    patches: int  # of one view
    pooled: Tensor  # [V, C] of the encoder, averaged over the patches; padded views too
    contrast: np.ndarray | None = None  # [N]
    pool_weights: np.ndarray | None = None  # [n, N_P]
    pool_keep: np.ndarray | None = None  # [N_P] bool


def write_reports(
    decoder: ReportDecoder,
    features: VisualFeatures,
    *,
    special: SpecialTokens,
    settings: GenerationSettings,
    study_ids: Sequence[str],
    seed: int,
) -> list[DecodedReport]:
    """Return the report of each study.

    Sampling (`nucleus`) draws from a stream of each study's own, made of the seed and the study's id, so that the
    order and size of a batch change nothing.
    """
    streams = [_stream(seed, study_id) for study_id in study_ids] if settings.method == "nucleus" else None
    search = ReportSearch(settings, bos=special.bos, eos=special.eos, pad=special.pad, generators=streams)
    with torch.no_grad():
        return list(_rows(decoder.write(features, search)))


def _rows(found: GeneratedReports) -> Iterator[DecodedReport]:
    attention = array(found.attention)
    plan = {name: values for name, tensor in found.plan.items() if (values := array(tensor)) is not None}
    for row, (ids, length) in enumerate(zip(found.token_ids.tolist(), found.lengths.tolist(), strict=True)):
        seen = None if attention is None else attention[row, :length]  # [B,T,N] -> [T,N]
        own = {name: values[row] for name, values in plan.items()}
        yield DecodedReport(tuple(ids[:length]), bool(found.ended[row]), seen, own)


def _stream(seed: int, study_id: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{study_id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def array(tensor: Tensor | None) -> np.ndarray | None:
    """Return a tensor as a numpy array, float32 where it holds floats of any width."""
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    values: np.ndarray = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return values


def with_evidence(
    answers: Sequence[tuple[DecodedReport, tuple[float, ...]]],
    features: VisualFeatures,
    *,
    patches: int,
    pooled: Tensor,
) -> list[DecodedStudy]:
    """Return each study's answer with what its features have to show."""
    contrast = array(features.evidence.get("contrast_map"))
    weights = array(features.evidence.get("pool_weights"))
    keep = array(features.evidence.get("pool_keep"))
    return [
        DecodedStudy(
            written,
            probabilities,
            patches,
            pooled=pooled[row],
            contrast=None if contrast is None else contrast[row],
            pool_weights=None if weights is None else weights[row],
            pool_keep=None if keep is None else keep[row],
        )
        for row, (written, probabilities) in enumerate(answers)
    ]
