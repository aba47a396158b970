"""What the page needs beside the scores: texts, studies, terms of use, paired differences, checks of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contrastcxr.data.source import Licence
from contrastcxr.evaluation.audit.verdict import Check
from contrastcxr.evaluation.references import References
from contrastcxr.evaluation.result import SystemScores
from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.scores import differences
from contrastcxr.metrics.table import Answer

Differences = Mapping[str, Mapping[str, Interval]]
"""System minus baseline, by baseline and by score."""

HEADLINE: tuple[str, ...] = (
    "bleu_4",
    "meteor",
    "rouge_l",
    "cider",
    "positive_f1",
    "missed_abnormality",
    "invented_abnormality",
    "auc_mean",
    "calibration_error",
)
"""The scores that stand on top, and that are compared with the baselines."""
LOWER_IS_BETTER = frozenset(("missed_abnormality", "invented_abnormality", "calibration_error", "brier"))
TRIVIAL = ("constant", "neighbour")
"""The readers that a system must beat to be worth anything."""


@dataclass(frozen=True, eq=False)
class Material:
    """What the page shows beside the scores.

    Attributes:
        references: the studies and their readings.
        wanted: what the references say, as it was scored.
        answers: by system, in the order of the studies.
        licence: of the data; decides whether pictures are embedded.
        differences: of the headline scores, paired over patients.
        checks: of the data, as far as they cost nothing.
    """

    references: References
    wanted: Sequence[Answer]
    answers: Mapping[str, Sequence[Answer]]
    licence: Licence
    differences: Differences = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    @property
    def shows_pictures(self) -> bool:
        """True when pictures of these data may be passed on with the page."""
        return self.licence.redistributable and self.licence.contains_pictures

    @property
    def quotes_restricted_text(self) -> bool:
        """True when the page quotes reports that may not be passed on."""
        return self.licence.contains_text and not self.licence.redistributable


def paired_differences(
    systems: Mapping[str, SystemScores], *, replicates: int, seed: int, minimum: int
) -> Differences:
    """System minus each trivial baseline, with paired 95% bootstrap intervals over patients.

    Args:
        systems: `system` and the baselines beside it.
        replicates: of the bootstrap.
        seed: of its draws.
        minimum: positives and negatives that a finding needs to enter the mean AUC.
    """
    return {
        name: differences(
            [systems["system"].table],
            [systems[name].table],
            HEADLINE,
            replicates=replicates,
            seed=seed,
            minimum=minimum,
        )
        for name in TRIVIAL
        if name in systems
    }
