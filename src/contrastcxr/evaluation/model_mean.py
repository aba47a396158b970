"""Studies read by the mean of several models, each through its own cache of encoder features.

It is a device of tables: pictures that no fold holds are scored by the models of all folds at once. Nothing that
is served reads so, and `evaluate` takes one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrastcxr.errors import IncompatibleError
from contrastcxr.evaluation.cached import cached_batches, encoded_for
from contrastcxr.features.readable import all_in
from contrastcxr.form import Reading, Study
from contrastcxr.reading.model_mean import StudyHeat, mean_reading
from contrastcxr.reading.reader import Reader


def read_by_mean(
    readers: Sequence[Reader], studies: Sequence[Study], *, cache: Path
) -> tuple[list[Reading], list[str]]:
    """Return the readings of the studies that every model can read, and a line for each that one cannot.

    Raises:
        IncompatibleError: a model has no localizer, or the models cannot be averaged.
    """
    for reader in readers:
        if reader.system.localizer is None:
            raise IncompatibleError(f"{reader.author.name}: no localizer, whose heat could be averaged; give one")
    found: list[dict[str, StudyHeat]] = []
    failures: dict[str, None] = {}
    for reader in readers:
        seen, failed = _seen(reader, studies, cache=cache)
        found.append(seen)
        failures |= dict.fromkeys(failed)
    everywhere = [study.study_id for study in studies if all(study.study_id in seen for seen in found)]
    author = readers[0].author
    readings = [
        mean_reading(
            [seen[study] for seen in found],
            author=author,
            thresholds=[reader.thresholds for reader in readers],
            provenance=_provenance(readers),
        )
        for study in everywhere
    ]
    return readings, list(failures)


def _seen(reader: Reader, studies: Sequence[Study], *, cache: Path) -> tuple[dict[str, StudyHeat], list[str]]:
    kept, failures = encoded_for(reader, studies, cache=cache)
    readable = [study for study in studies if all_in(study, kept, reader.max_views)]
    batches = cached_batches(reader, readable, kept)
    return {each.study_id: each for batch in batches for each in reader.heat(batch)}, failures


def _provenance(readers: Sequence[Reader]) -> dict[str, Any]:
    """Return that of the first model, without a decoder: the mean writes no report; and the files of all."""
    of = readers[0].provenance
    files = [reader.provenance.get("model", {}).get("checkpoint_sha256") for reader in readers]
    model = {key: value for key, value in of.get("model", {}).items() if key != "checkpoint_sha256"}
    return {**of, "model": {**model, "decoder": None, "mean_of_sha256": files}}
