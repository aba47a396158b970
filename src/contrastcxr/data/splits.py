"""Splits that keep a patient on one side, alike in the mix of views and labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np

from contrastcxr.errors import RequestError
from contrastcxr.form import Study

Strata = Callable[[Study], Iterable[str]]
Grouping = Literal["patient", "image"]
"""What is on one side of a split; by images, as some papers have it, patients are on both."""


def patient_folds(
    studies: Sequence[Study], *, folds: int = 5, seed: int, strata: Strata, grouped: Grouping = "patient"
) -> list[tuple[Study, ...]]:
    """Split studies into folds of whole patients, stratified greedily (ours, after scikit-learn's grouped folds).

    Patients are shuffled and taken from the one with the largest shares of the strata down, because it is hardest
    to place; each goes to the fold where the share of every stratum stays most even. A study without a patient id
    is its own patient.

    Args:
        studies: what to split; the order inside a fold is theirs.
        folds: number of folds, at most the number of patients.
        seed: decides between equals.
        strata: names under which a study is counted; shares of rare ones weigh as much as those of common ones.
        grouped: `image` takes each study by itself.

    Raises:
        RequestError: fewer than two folds, or more folds than patients.
    """
    patients = _by_patient(studies) if grouped == "patient" else [[i] for i in range(len(studies))]
    if not 2 <= folds <= len(patients):
        raise RequestError(f"{folds} folds of {len(patients)} {grouped}s; expected 2 to {len(patients)} folds")
    shares = _shares(studies, patients, strata)
    fold_of = _assign(shares, folds, np.random.default_rng(seed))
    members: list[list[int]] = [[] for _ in range(folds)]
    for patient, fold in zip(patients, fold_of, strict=True):
        members[fold] += patient
    return [tuple(studies[i] for i in sorted(indices)) for indices in members]


def fold_split(folds: Sequence[Sequence[Study]], fold: int) -> dict[str, list[Study]]:
    """Return fold `fold` as `test`, the next one as `validation` and the others as `train`, marked as such."""
    validation = (fold + 1) % len(folds)
    names = {fold: "test", validation: "validation"}
    out: dict[str, list[Study]] = {"train": [], "validation": [], "test": []}
    for index, members in enumerate(folds):
        split = names.get(index, "train")
        out[split] += [study.model_copy(update={"split": split}) for study in members]
    return out


def _by_patient(studies: Sequence[Study]) -> list[list[int]]:
    groups: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for i, study in enumerate(studies):
        known = study.patient_id is not None
        groups[known, study.patient_id or study.study_id].append(i)
    return list(groups.values())


def _shares(studies: Sequence[Study], patients: Sequence[Sequence[int]], strata: Strata) -> np.ndarray:
    """Return each patient's share of every stratum, `[patients, strata]`.

    The first stratum is the studies themselves.
    """
    names = [("", *strata(study)) for study in studies]
    column = {name: i for i, name in enumerate(dict.fromkeys(n for row in names for n in row))}
    counts = np.zeros((len(patients), len(column)))
    for row, members in zip(counts, patients, strict=True):
        for i in members:
            row[[column[n] for n in set(names[i])]] += 1
    return np.asarray(counts / counts.sum(axis=0))


def _assign(shares: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each patient, `[patients]`."""
    order = rng.permutation(len(shares))
    order = order[np.argsort(-shares[order].sum(axis=1), kind="stable")]
    held = np.zeros((folds, shares.shape[1]))
    fold_of = np.zeros(len(shares), dtype=int)
    for patient in order:
        fold_of[patient] = _most_even(held, shares[patient])
        held[fold_of[patient]] += shares[patient]
    return fold_of


def _most_even(held: np.ndarray, share: np.ndarray) -> int:
    """Return the fold that keeps the sum over strata of squared fold shares smallest.

    Only the cross term can differ.

    Rounded, so that ties do not fall to the last bit of a machine's sums.
    """
    return int(np.argmin(np.round(held @ share, 10)))
