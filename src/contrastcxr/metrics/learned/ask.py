"""Learned scores as a person asks for them, `bertscore=/weights/roberta-large,layer=17`, and what they gave."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from contrastcxr.errors import RequestError, UnknownNameError
from contrastcxr.metrics.bootstrap import Floats
from contrastcxr.metrics.learned.bertscore import BertScore
from contrastcxr.metrics.learned.chexbert_similarity import CheXbertSimilarity
from contrastcxr.metrics.learned.radgraph import RadGraphFile, RadGraphPackage


class TextMetric(Protocol):
    """Scores pairs of texts, study by study."""

    signature: str

    @property
    def names(self) -> tuple[str, ...]:
        """The scores, in the order of their columns."""
        ...

    def scores(self, references: Sequence[str], candidates: Sequence[str]) -> Floats:
        """Return `[S, len(names)]`."""
        ...


Metric = TextMetric | RadGraphFile
Options = Mapping[str, str]


@dataclass(frozen=True)
class LearnedScores:
    """What learned metrics say of each study.

    Attributes:
        names: of K scores.
        values: `[S, K]`.
        signatures: of each family of names, such as `bertscore`: which weights made it.
    """

    names: tuple[str, ...]
    values: Floats
    signatures: Mapping[str, str]


def _bertscore(path: Path, options: Options, *, allow_pickle: bool) -> Metric:
    return BertScore.load(path, layer=_whole(options, "layer"), allow_pickle=allow_pickle)


def _chexbert(path: Path, options: Options, *, allow_pickle: bool) -> Metric:
    del options  # it has none
    return CheXbertSimilarity.load(path, allow_pickle=allow_pickle)


def _radgraph(path: Path, options: Options, *, allow_pickle: bool) -> Metric:
    del allow_pickle  # the package reads its weights without running code
    if path.suffix == ".jsonl":
        return RadGraphFile.load(path)
    return RadGraphPackage.load(path, model=options.get("model", "radgraph-xl"))


class _Load(Protocol):
    def __call__(self, path: Path, options: Options, *, allow_pickle: bool) -> Metric: ...


LEARNED: Mapping[str, tuple[_Load, tuple[str, ...]]] = {
    "bertscore": (_bertscore, ("layer",)),
    "chexbert": (_chexbert, ()),
    "radgraph": (_radgraph, ("model",)),
}
"""Learned metrics: how each is loaded, and its options."""


def ask(wanted: Sequence[str], *, allow_pickle: bool = False) -> list[Metric]:
    """Return the metrics that these texts name, each `NAME=PATH[,option=value]`, loaded from this machine.

    Raises:
        UnknownNameError: no such metric; names the nearest.
        RequestError: no path, an unknown option, or one metric twice.
        MissingExtraError: a package is not installed.
        CheckpointError: weights are absent or are others; says what is expected.
    """
    names = [text.partition("=")[0] for text in wanted]
    if len(set(names)) < len(names):
        raise RequestError(f"--metric {' --metric '.join(wanted)}: one metric is asked for twice")
    return [_one(text, allow_pickle=allow_pickle) for text in wanted]


def _one(text: str, *, allow_pickle: bool) -> Metric:
    name, _, rest = text.partition("=")
    if name not in LEARNED:
        raise UnknownNameError("learned metric", name, (*LEARNED, "retrieval"))
    load, known = LEARNED[name]
    path, *pairs = re.split(r",(?=[a-z_]+=)", rest)
    if not path:
        raise RequestError(f"--metric {text}: no weights; expected {name}=FOLDER on this machine")
    options = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    for key in options:
        if key not in known:
            raise UnknownNameError(f"option of {name}", key, known or ("none",))
    return load(Path(path), options, allow_pickle=allow_pickle)


def learned_scores(
    metrics: Sequence[Metric], studies: Sequence[str], references: Sequence[str], candidates: Sequence[str]
) -> LearnedScores | None:
    """Return what the metrics say of each study; None without metrics.

    Args:
        metrics: of `ask`.
        studies: S ids.
        references: texts as written.
        candidates: likewise, study by study.
    """
    if not metrics:
        return None
    values = [
        m.of_studies(studies) if isinstance(m, RadGraphFile) else m.scores(references, candidates) for m in metrics
    ]
    names = tuple(name for m in metrics for name in m.names)
    signatures = {m.names[0].partition("/")[0]: m.signature for m in metrics}
    return LearnedScores(names, np.concatenate(values, axis=1), signatures)


def _whole(options: Options, name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise RequestError(f"{name}={text}; expected a whole number")
    return int(text)
