"""Votes of a decoder's own samples: each is read for its findings, and the best supported one is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.decode.votes import SampledReport, best_supported
from contrastcxr.models.heads.base import PartialReading
from contrastcxr.models.heads.writing import GeneratedReports
from contrastcxr.reading.answers import DecodedReport, decoded_reports
from contrastcxr.reading.findings import Parse
from contrastcxr.text.labeler import default_labeler
from contrastcxr.vocab.labels import NO_FINDING

TextOf = Callable[[DecodedReport], str]
Samples = Sequence[tuple[SampledReport, ...]]


def vote(
    answer: PartialReading, settings: GenerationSettings, *, text_of: TextOf, parse: Parse | None
) -> tuple[PartialReading, Samples]:
    """Return the answer with the best supported of the reports drawn for each study, and all that were drawn.

    Nothing but the samples decides: no probability of a head, and no report that was searched for.

    Args:
        answer: `reports` has `settings.samples` rows a study.
        settings: of the search.
        text_of: from the tokens of a report to its text.
        parse: as of `Reader`.
    """
    assert answer.reports is not None  # a search that votes goes with a decoder
    samples = read_samples(answer.reports, settings.samples, text_of=text_of, parse=parse)
    rows = [k * settings.samples + best_supported(own, settings.threshold) for k, own in enumerate(samples)]
    index = torch.tensor(rows, device=answer.reports.lengths.device)
    return replace(answer, reports=answer.reports.select(index)), samples


def read_samples(found: GeneratedReports, samples: int, *, text_of: TextOf, parse: Parse | None) -> Samples:
    """Return the reports drawn for each study, each read for its findings; many are drawn more than once."""
    log_probs = found.log_probs.tolist()
    known: dict[str, frozenset[str]] = {}
    made: list[SampledReport] = []
    for report, log_prob in zip(decoded_reports(replace(found, attention=None)), log_probs, strict=True):
        text = text_of(report)
        if text not in known:
            known[text] = present(text, parse)
        made.append(SampledReport(known[text], report.token_ids, log_prob))
    return [tuple(made[start : start + samples]) for start in range(0, len(made), samples)]


def present(text: str, parse: Parse | None) -> frozenset[str]:
    """Return the findings that a report states to be present, read by `parse` or else by the labeler."""
    said = (parse or default_labeler().label)(text)
    return frozenset(finding.name for finding in said if finding.status == "present") - {NO_FINDING}
