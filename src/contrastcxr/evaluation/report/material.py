"""What the page needs beside the scores: texts, studies, terms of use, paired differences, checks of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contrastcxr.data.source import Licence
    from contrastcxr.evaluation.audit.verdict import Check
    from contrastcxr.evaluation.references import References
    from contrastcxr.evaluation.result import Differences
    from contrastcxr.metrics.table import Answer


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
