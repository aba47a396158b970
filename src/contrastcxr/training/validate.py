"""Validation through the reader, so that what picks a checkpoint is what serves it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import report_text
from contrastcxr.data.views import choose_views
from contrastcxr.errors import IncompatibleError
from contrastcxr.features.batch import Batch
from contrastcxr.features.box_cells import BoxReader
from contrastcxr.features.samples import Target
from contrastcxr.form import Finding, Reading, Study
from contrastcxr.metrics.bootstrap import plain_weights
from contrastcxr.metrics.clinical import MEASURES, ClinicalCounts, status_codes
from contrastcxr.metrics.identification import Identification
from contrastcxr.metrics.localization import place_counts
from contrastcxr.metrics.text import bleu, tokenise
from contrastcxr.models.system import System
from contrastcxr.reading.exchange import WordLosses, foresees_words, word_losses
from contrastcxr.reading.reader import Reader
from contrastcxr.training.region_scores import region_scores
from contrastcxr.training.task import loss_terms
from contrastcxr.vocab.labels import NO_FINDING

MINIMUM_POSITIVES = 5
"""A finding with fewer positive or negative validation studies has no AUC."""

WORDLESS = ("auc", "iou")
"""Scores that no word counts for."""
MakeReader = Callable[[System], Reader]


@dataclass(frozen=True, eq=False)
class Validation:
    """Studies that score a system while it trains.

    Attributes:
        batches: of the validation studies, with their targets.
        reports: that the system should write, in the order of the batches.
        truths: what is on the studies, in the names of `findings_in`.
        places: where it is: findings with boxes, of whoever drew any; empty where nobody did.
        findings_in: reads the findings out of a report, as evaluation does.
        labels: findings that the heads know; empty where none knows any.
        make_reader: from the system in training to the reader that would serve it.
        weights: of the loss terms.
        writes: whether the system writes reports.
        exchanged: the same studies in the same order with other patients' pictures; None where there are none.
    """

    batches: Sequence[Batch]
    reports: Sequence[str]
    truths: Sequence[Sequence[Finding]]
    places: Sequence[Sequence[Finding]]
    findings_in: Callable[[str], Sequence[Finding]]
    labels: tuple[str, ...]
    make_reader: MakeReader
    weights: Mapping[str, float]
    writes: bool = True
    exchanged: Iterable[Batch] | None = None

    def scores(self, system: System) -> dict[str, float]:
        """Return every score that the system and the studies give, by name.

        - `loss`, weighted; `report_loss`, the part of the decoder's own loss that is about writing a report,
          whatever losses of the whole system weigh beside it; `TERM_loss`, unweighted;
        - `bleu4`; `positive_f1` of what the report states, with its `precision` and `recall`; `auc` of the
          findings; `iou` of what is marked; `map` and `map_50` of all boxes of a detector, as COCO counts them;
        - what no search touches: `abnormal_words` and `normal_words`, the cross-entropy per word on sentences that
          name an abnormality and on others; `exchange_rise`, by how much that of all of them rises with the
          pictures of other patients.
        """
        reader = self.make_reader(system) if system.heads else None
        readings = [] if reader is None or not (self.writes or self.labels) else self._readings(reader)
        found = {
            **self._losses(system),
            **({} if reader is None else self._regions(reader)),
            **{name: score(readings) for name, score in self._by_name().items()},
            **(self._stated(readings) if self.writes else {}),
            **(self._foreseen(system) if foresees_words(system) else {}),
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def score(self, system: System, *, name: str) -> float:
        """Return one of the scores of readings alone; where no word counts for it, none is written."""
        seen = system.without_decoder() if name in WORDLESS else system
        return self._by_name()[name](self._readings(self.make_reader(seen)))

    def _by_name(self) -> dict[str, Callable[[Sequence[Reading]], float]]:
        return {"bleu4": self._bleu4, "auc": self._auc, "iou": self._iou}

    def _losses(self, system: System) -> dict[str, float]:
        means = mean_losses(system, self.batches, names=self.weights)
        options = None if system.decoder is None else system.decoder.options
        terms = {} if options is None else {n: options.term_weights[n] for n in options.report_terms if n in means}
        return {
            "loss": _weighted(means, self.weights),
            **({"report_loss": _weighted(means, terms)} if terms else {}),
            **{f"{name}_loss": mean for name, mean in means.items()},
        }

    def _foreseen(self, system: System) -> dict[str, float]:
        own = _all_word_losses(system, self.batches)
        words = own[[1, 3]].sum()
        found = {"abnormal_words": _share(own[0], own[1]), "normal_words": _share(own[2], own[3])}
        if self.exchanged is not None:
            other = _all_word_losses(system, self.exchanged)
            found["exchange_rise"] = _share(other[[0, 2]].sum() - own[[0, 2]].sum(), words)
        return found

    def _regions(self, reader: Reader) -> dict[str, float]:
        """Return how good all boxes of a detector are, where validation studies have corners to score them by."""
        return region_scores(
            [
                (regions, corners)
                for batch in self.batches
                if batch.box_corners is not None
                for found, corners in zip(reader.regions(batch), batch.box_corners, strict=True)
                for regions in found.values()
            ]
        )

    def _readings(self, reader: Reader) -> list[Reading]:
        """Return what the system makes of each study; of places those that `iou` is of."""
        found: list[Reading] = []
        for batch in self.batches:
            here = self.places[len(found) : len(found) + len(batch)]
            boxed = [{place.name for place in study if place.boxes} for study in here]
            found += reader.read_features(batch, marked=boxed)
        return found

    def _bleu4(self, readings: Sequence[Reading]) -> float:
        if not self.writes:
            return math.nan
        written = [tokenise(report_text(r, sections=("findings", "impression"))) for r in readings]
        return bleu([tokenise(report) for report in self.reports], written)[3]

    def _stated(self, readings: Sequence[Reading]) -> dict[str, float]:
        names = sorted({f.name for truth in self.truths for f in truth} - {NO_FINDING})
        stated = [self.findings_in(" ".join(r.report.sentences)) for r in readings]
        counts = ClinicalCounts.of(status_codes(self.truths, names), status_codes(stated, names), names)
        found = {m: float(counts.micro(m)(plain_weights(len(readings)))[0]) for m in MEASURES}
        return {"positive_f1": found["f1"], "precision": found["precision"], "recall": found["recall"]}

    def _iou(self, readings: Sequence[Reading]) -> float:
        """Return the mean IoU of what is marked over the studies and findings that have a box."""
        if not any(finding.region or finding.peak for reading in readings for finding in reading.findings):
            return math.nan
        names = sorted({f.name for place in self.places for f in place if f.boxes} & set(self.labels))
        counts = place_counts(self.places, [reading.findings for reading in readings], names)
        known = counts.iou[np.isfinite(counts.iou)]
        return float(known.mean()) if len(known) else math.nan

    def _auc(self, readings: Sequence[Reading]) -> float:
        if not self.labels:
            return math.nan
        probabilities = [[_probability(reading, label) for label in self.labels] for reading in readings]
        found = Identification(self.labels, np.asarray(probabilities), known_targets(self.batches))
        return float(found.mean_statistic(found.scored(minimum=MINIMUM_POSITIVES))(np.ones((1, len(readings))))[0])


def _all_word_losses(system: System, batches: Iterable[Batch]) -> WordLosses:
    """Return the sums and numbers of `word_losses` over all studies, `[4]`."""
    found: WordLosses = np.sum([word_losses(system, batch).sum(axis=0) for batch in batches], axis=0)
    return found


def _share(total: float, count: float) -> float:
    return float(total / count) if count else math.nan


def check_monitor(config: SystemConfig, studies: Sequence[Study], targets: Sequence[Target]) -> None:
    """Refuse, before the first step, a score that the validation studies cannot give.

    Raises:
        IncompatibleError: no finding has enough positive and negative studies; no sentence names an abnormality;
            no study has a box.
    """
    monitor, labels = config.train.monitor, config.needs.finding_names
    if monitor == "map" and not any(_is_boxed(study, config) for study in studies):
        raise IncompatibleError(
            f"train.monitor map: none of the {len(studies):,} validation studies has a box that it detects; raise "
            "data.validation_limit or choose loss"
        )
    if monitor == "abnormal_words":
        flags = (target.further.abnormal for target in targets)
        if not any(each is not None and bool(each.any()) for each in flags):
            raise IncompatibleError(
                f"train.monitor abnormal_words: no sentence of the {len(targets):,} validation reports names an "
                f"abnormality; raise data.validation_limit or choose report_loss"
            )
    if monitor != "auc":
        return
    table = np.asarray([_known(target) for target in targets]).reshape(len(targets), len(labels))
    if not Identification(labels, np.zeros(table.shape), table).scored(minimum=MINIMUM_POSITIVES):
        raise IncompatibleError(
            f"train.monitor auc: no finding is present in {MINIMUM_POSITIVES} of the {len(targets):,} validation "
            f"studies and absent from as many; raise data.validation_limit or choose another metric"
        )


def _is_boxed(study: Study, config: SystemConfig) -> bool:
    """Return whether the study has a box that a detector is scored by: in a view that enters, of its finding."""
    taught = config.needs.taught_boxes
    assert taught is not None  # `check_pairs` has refused the score where nothing detects
    reader = BoxReader(taught.findings or config.needs.study_names, 0, 0, config.image.size, as_corners=True)
    return bool(reader.boxes(study, choose_views(study, config.data.max_views)).drawn)


def _known(target: Target) -> np.ndarray:
    assert target.finding_targets is not None  # there is a finding head
    assert target.finding_mask is not None
    return torch.where(target.finding_mask, target.finding_targets, torch.nan).double().numpy()


def _probability(reading: Reading, label: str) -> float:
    finding = reading.finding(label)
    return math.nan if finding is None or finding.probability is None else finding.probability


def known_targets(batches: Sequence[Batch]) -> np.ndarray:
    """Return targets `[S, L]` of the finding head, NaN where the label is not known."""
    rows = [
        torch.where(batch.finding_mask, batch.finding_targets, torch.nan)
        for batch in batches
        if batch.finding_targets is not None and batch.finding_mask is not None
    ]
    return torch.cat(rows).double().numpy()


@torch.no_grad()
def mean_losses(system: System, batches: Sequence[Batch], *, names: Iterable[str]) -> dict[str, float]:
    """Return the mean of each named loss term over all tokens and labels of the batches, in eval mode.

    A term that the batches give nothing of is left out.
    """
    training = system.training
    system.eval()
    sums: dict[str, float] = dict.fromkeys(names, 0.0)
    counts: dict[str, float] = dict.fromkeys(sums, 0.0)
    for batch in batches:
        for name, (mean, count) in loss_terms(system, batch.to(system.device)).items():
            sums[name] += float(mean) * float(count)
            counts[name] += float(count)
    system.train(training)
    return {name: total / counts[name] for name, total in sums.items() if counts[name]}


def _weighted(means: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the sum of the terms that there are."""
    return float(sum(weight * means[name] for name, weight in weights.items() if name in means))
