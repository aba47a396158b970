"""The best and the worst studies, and what their texts share."""

from __future__ import annotations

import numpy as np

from contrastcxr.evaluation.report.cases import chips, extremes
from contrastcxr.form import Finding, Status
from contrastcxr.metrics.table import StudyTable

TEXTS = ("a", "b", "c", "d")


def table(rouge: list[float], errors: list[int] | None = None) -> StudyTable:
    """Studies of two findings; all references call both, and the report misses as many as told."""
    count = len(rouge)
    zero = np.zeros(count)
    truth = None if errors is None else np.full((count, 2), 3, np.int8)
    claimed = (
        None if errors is None else np.asarray([[3 if k >= e else 0 for k in range(2)] for e in errors], np.int8)
    )
    return StudyTable(
        ("Edema", "Mass"), TEXTS[:count], TEXTS[:count], np.zeros((count, 10)), np.asarray(rouge), zero, zero,
        truth=truth, claimed=claimed,
    )  # fmt: skip


def test_errors_go_before_words() -> None:
    best, worst = extremes(table([0.9, 0.1, 0.5, 0.6], [2, 0, 1, 0]), TEXTS)
    assert best == [3, 1]
    assert worst == [0, 2]


def test_without_findings_words_alone_decide() -> None:
    assert extremes(table([0.9, 0.1, 0.5, 0.6]), TEXTS) == ([0, 3], [1, 2])


def test_no_study_is_both_best_and_worst_and_a_perfect_one_is_never_worst() -> None:
    assert extremes(table([0.4]), TEXTS) == ([0], [])
    assert extremes(table([1.0, 1.0], [0, 0]), TEXTS) == ([0], [])


def test_of_equal_references_one_is_shown_on_each_side() -> None:
    best, worst = extremes(table([0.9, 0.8, 0.2, 0.1]), ["same", "same", "other", "other"])
    assert (best, worst) == ([0, 2], [3, 1])


def stated(**statuses: Status) -> tuple[Finding, ...]:
    return tuple(Finding(name=name, status=status) for name, status in statuses.items())


def test_chips_say_what_is_shared_missed_and_how_and_invented() -> None:
    found = chips(
        stated(Edema="present", Mass="present", Hernia="present", Nodule="uncertain"),
        stated(Edema="present", Mass="absent", Nodule="present"),
    )
    assert [(c["kind"], c["name"], c["how"]) for c in found] == [
        ("agreed", "Edema", ""),
        ("missed", "Hernia", "not mentioned"),
        ("missed", "Mass", "denied"),
        ("invented", "Nodule", "reference: called uncertain"),
    ]


def test_of_two_statements_the_stronger_counts() -> None:
    twice = (Finding(name="Nodule", status="present"), Finding(name="Nodule", status="absent"))
    assert chips(twice, stated(Nodule="present"))[0]["kind"] == "agreed"


def test_nothing_is_compared_where_nobody_reads_the_report() -> None:
    assert chips(None, stated(Edema="present")) == []
