"""The search as decoders are handed it: settings, special tokens and random numbers of a batch of studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contrastcxr.decode.guidance import GuidedDecoder
from contrastcxr.decode.search import generate
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.writing import GeneratedReports, StepDecoder


@dataclass(frozen=True, eq=False)
class ReportSearch:
    """`generate` for the rows that a decoder makes of its studies: one each, or one per sentence.

    Attributes:
        settings: of the search; a length limit, a minimum length and trigram blocking hold within each row.
        bos: fed first.
        eos: ends a report.
        pad: fills up behind the end.
        generators: of searches that draw, one per report; None draws from the global generator.
        normals: features of normal pictures, a row per study; needed for guidance, and for nothing else.
    """

    settings: GenerationSettings
    bos: int
    eos: int
    pad: int
    generators: Sequence[torch.Generator] | None = None
    normals: VisualFeatures | None = None

    @property
    def max_tokens(self) -> int:
        """The most tokens of a report, its end included."""
        return self.settings.max_tokens

    @property
    def reports(self) -> int:
        """How many reports to write for each study."""
        return self.settings.reports

    def __call__(
        self,
        decoder: StepDecoder,
        features: Any,
        *,
        end: int | None = None,
        max_tokens: int | None = None,
        study: Tensor | None = None,
        normals: Any = None,
    ) -> GeneratedReports:
        """Return the best sequence of each row; arguments as of `models.heads.writing.Search`."""
        guides = normals is not None
        return generate(
            GuidedDecoder(decoder, self.settings.guidance) if guides else decoder,
            (features, normals) if guides else features,
            bos=self.bos,
            eos=self.eos if end is None else end,
            pad=self.pad,
            settings=self._limited(max_tokens),
            generator=self._uniforms(study),
            forbidden=() if end is None else (self.eos,),
            copies=self.reports if study is None else 1,
        )

    def _limited(self, max_tokens: int | None) -> GenerationSettings:
        if max_tokens is None:
            return self.settings
        shortest = min(self.settings.min_tokens, max_tokens - 1)
        return self.settings.model_copy(update={"max_tokens": max_tokens, "min_tokens": shortest})

    def _uniforms(self, study: Tensor | None) -> Sequence[torch.Generator] | None:
        """Return the generator of each row; rows of a report draw from its stream one after another."""
        if self.generators is None or study is None:
            return self.generators
        return [self.generators[row] for row in study.tolist()]
