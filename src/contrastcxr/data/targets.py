"""What a study's labels ask of a finding head, and where they say nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastcxr.data.authors import COMPLETE, label_reading
from contrastcxr.form import Reading, Study
from contrastcxr.vocab.labels import NO_FINDING, SUPPORT_DEVICES, to_chexpert


def finding_targets(study: Study, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return the targets of a finding head, `[L]` float, and where they are known, `[L]` bool.

    Present is 1 and absent 0; uncertain is unknown. Unmentioned is 0 where the author went through a list that has
    the finding, or called the study normal, and otherwise unknown (ours). A finding that `labels` has only under
    CheXpert's name counts there.
    """
    reading = label_reading(study)
    values = [_target(reading, label) if reading else None for label in labels]
    targets = torch.tensor([float(v or 0) for v in values])
    return targets, torch.tensor([v is not None for v in values])


def _target(reading: Reading, label: str) -> float | None:
    statuses = {f.status for f in reading.findings if label in (f.name, to_chexpert(f.name))}
    if "present" in statuses:
        return 1.0
    if "uncertain" in statuses:
        return None
    return 0.0 if "absent" in statuses or _denied_by_silence(reading, label) else None


def _denied_by_silence(reading: Reading, label: str) -> bool:
    stated = reading.finding(NO_FINDING)
    if stated is not None and stated.status == "present" and label != SUPPORT_DEVICES:
        return True
    listed = COMPLETE.get(reading.author.name, ())
    return label in listed or label in {to_chexpert(name) for name in listed}
