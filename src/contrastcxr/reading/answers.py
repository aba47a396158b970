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
from contrastcxr.decode.votes import SampledReport
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import Marking, PartialReading
from contrastcxr.models.heads.writing import GeneratedReports
from contrastcxr.reading.regions import RegionWords, StudyRegions
from contrastcxr.text.tokenizer import SpecialTokens


@dataclass(frozen=True, eq=False)
class DecodedReport:
    """The tokens of one report, and where the decoder looked for each."""

    token_ids: tuple[int, ...]
    ended: bool
    attention: np.ndarray | None  # [T, N]
    plan: Mapping[str, np.ndarray] = field(default_factory=dict)  # see `GeneratedReports`


_SHOWN = {
    "contrast": "contrast_map",
    "difference": "difference_map",
    **{name: name for name in ("negative", "negative_similarity", "negative_same_view")},
    **{name: name for name in ("pool_weights", "pool_keep")},
}
"""Fields of a study that are evidence of the features, and what they are called there."""
NO_REPORT = DecodedReport((), ended=True, attention=None)
"""Of a system without words."""


@dataclass(frozen=True, eq=False)
class DecodedStudy:
    """Everything one study's reading is made of."""

    written: DecodedReport
    probabilities: Mapping[str, float]  # by finding; empty where no head gives any
    pooled: Tensor  # [V, C] of the encoder, averaged over the patches; padded views too
    heat: Mapping[str, np.ndarray] = field(default_factory=dict)  # [V n] of a localizer's cells, by finding
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)  # [N] of a localizer in [0, 1], by finding
    cuts: tuple[float, ...] = ()  # of the heat, see `FindingMaps`
    marking: Marking = "range"  # what the cuts are heights of
    regions: Mapping[str, StudyRegions] = field(default_factory=dict)  # that a localizer chooses from, by finding
    contrast: np.ndarray | None = None  # [N]
    difference: np.ndarray | None = None  # [N]
    negative: np.ndarray | None = None  # [V] rows of the bank, -1 for none
    negative_similarity: np.ndarray | None = None  # [V]
    negative_same_view: np.ndarray | None = None  # [V] bool
    pool_weights: np.ndarray | None = None  # [n, N_P]
    pool_keep: np.ndarray | None = None  # [N_P] bool
    samples: tuple[SampledReport, ...] = ()  # of a search that votes


def report_search(
    special: SpecialTokens,
    settings: GenerationSettings,
    *,
    study_ids: Sequence[str],
    seed: int,
    normals: VisualFeatures | None = None,
) -> ReportSearch:
    """Return the search that writes the reports of a batch.

    Each report is drawn from a stream of its own, made of the seed, the study's id and, where a study has several,
    the report's number, so that the order and size of a batch change nothing. `normals` are for guidance.
    """
    streams = [stream for name in study_ids for stream in _streams(seed, name, settings)]
    return ReportSearch(
        settings,
        bos=special.bos,
        eos=special.eos,
        pad=special.pad,
        generators=streams if settings.draws else None,
        normals=normals,
    )


def by_study(
    answer: PartialReading,
    features: VisualFeatures,
    *,
    pooled: Tensor,
    samples: Sequence[tuple[SampledReport, ...]] = (),
) -> list[DecodedStudy]:
    """Return what is answered of each study, with what its features have to show.

    `pooled [B, V, C]` is what the encoder gave, averaged over the patches; `samples` are the reports that voted.
    """
    studies = features.studies
    written = [NO_REPORT] * studies if answer.reports is None else list(decoded_reports(answer.reports))
    probabilities = [()] * studies if answer.probabilities is None else answer.probabilities.tolist()
    maps = answer.maps
    shown = {name: array(features.evidence.get(key)) for name, key in _SHOWN.items()}
    return [
        DecodedStudy(
            written[row],
            dict(zip(answer.findings, probabilities[row], strict=True)),
            pooled=pooled[row],
            heat={} if maps is None else _by_finding(maps.findings, maps.heat[row]),
            maps={} if maps is None else _by_finding(maps.findings, maps.shown[row]),
            cuts=() if maps is None else maps.cuts,
            marking="range" if maps is None else maps.marking,
            regions=_regions(answer, row),
            **{name: _row(values, row) for name, values in shown.items()},
            samples=samples[row] if samples else (),
        )
        for row in range(studies)
    ]


def _regions(answer: PartialReading, row: int) -> dict[str, StudyRegions]:
    marks, told = answer.regions, answer.attributes
    if marks is None:
        return {}
    boxes, weights, views = (each[row].cpu().numpy() for each in (marks.boxes, marks.weights, marks.views))
    words = None
    if told is not None:
        words = RegionWords(
            told.names, *(each[row].cpu().numpy() for each in (told.probabilities, told.attention))
        )
    return {marks.finding: StudyRegions(boxes.astype(np.float64), weights.astype(np.float64), views, words)}


def _by_finding(names: Sequence[str], values: Tensor) -> dict[str, np.ndarray]:
    """Return `values [L, N]` of one study by the names of the L findings."""
    return dict(zip(names, values.detach().float().cpu().numpy(), strict=True))


def _row(values: np.ndarray | None, row: int) -> np.ndarray | None:
    return None if values is None else values[row]


def decoded_reports(found: GeneratedReports) -> Iterator[DecodedReport]:
    """Yield each report by itself, without the padding."""
    attention = array(found.attention)
    plan = {name: values for name, tensor in found.plan.items() if (values := array(tensor)) is not None}
    for row, (ids, length) in enumerate(zip(found.token_ids.tolist(), found.lengths.tolist(), strict=True)):
        seen = None if attention is None else attention[row, :length]  # [B,T,N] -> [T,N]
        own = {name: values[row] for name, values in plan.items()}
        yield DecodedReport(tuple(ids[:length]), bool(found.ended[row]), seen, own)


def _streams(seed: int, study_id: str, settings: GenerationSettings) -> list[torch.Generator]:
    if not settings.draws:
        return []
    own = f"{seed}:{study_id}"
    return [_stream(own if settings.reports == 1 else f"{own}:{report}") for report in range(settings.reports)]


def _stream(name: str) -> torch.Generator:
    digest = hashlib.sha256(name.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def array(tensor: Tensor | None) -> np.ndarray | None:
    """Return a tensor as a numpy array, float32 where it holds floats of any width."""
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    values: np.ndarray = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return values
