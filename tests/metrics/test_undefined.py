"""A score that the studies leave undefined is empty and says why; what is defined keeps its figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from contrastcxr.form import Finding
from contrastcxr.metrics.scores import Score, score_table
from contrastcxr.metrics.table import Answer, StudyTable, tabulate
from contrastcxr.metrics.undefined import NOT_CALLED, NOT_THERE
from contrastcxr.vocab.labels import CHEXPERT

NAMES = ("Edema", "Mass")


def present(*names: str) -> tuple[Finding, ...]:
    return tuple(Finding(name=name, status="present") for name in names)


def answers(texts: Sequence[str], findings: Sequence[tuple[Finding, ...]] | None = None) -> list[Answer]:
    return [Answer(text, () if findings is None else findings[k]) for k, text in enumerate(texts)]


def made(wanted: Sequence[Answer], said: Sequence[Answer], *, names: Sequence[str] = NAMES) -> StudyTable:
    ids = [f"s{k}" for k in range(len(wanted))]
    return tabulate(ids, ids, wanted, said, names)


def scores(wanted: Sequence[Answer], said: Sequence[Answer], **options: object) -> dict[str, Score]:
    found = score_table(made(wanted, said, **options), replicates=50)  # type: ignore[arg-type]
    for name, score in found.items():
        assert (score.value is None) == bool(score.value is None and score.note), name
        assert all(end is None or np.isfinite(end) for end in (score.value, score.low, score.high)), name
    return found


@pytest.mark.parametrize(
    ("wanted", "said", "why"),
    [
        (["The heart is normal."], ["The heart is normal."], "one reference cannot tell"),
        (["Clear lungs."] * 3, ["Clear lungs.", "A mass.", ""], "references that are all the same cannot tell"),
        (["Clear lungs.", "clear lungs"], ["Clear lungs."] * 2, "references that are all the same cannot tell"),
        (["Clear lungs.", ""], ["Clear lungs."] * 2, "one reference cannot tell"),
    ],
)
def test_cider_is_empty_where_references_cannot_weigh_words(wanted: list[str], said: list[str], why: str) -> None:
    found = scores(answers(wanted), answers(said))
    assert found["cider"].value is None
    assert why in (found["cider"].note or "")
    assert found["rouge_l"].value is not None


def test_cider_of_two_references_is_a_figure() -> None:
    found = scores(answers(["Clear lungs.", "A mass."]), answers(["Clear lungs.", "A nodule."]))
    assert found["cider"].value is not None
    assert found["cider"].value > 0


@pytest.mark.parametrize(
    ("wanted", "defined"),
    [
        (["Normal.", "Clear."], 1),
        (["Clear lungs.", "Normal."], 2),
        (["No acute disease.", "x"], 3),
        (["a b c d"], 4),
    ],
)
def test_bleu_is_empty_beyond_the_longest_reference(wanted: list[str], defined: int) -> None:
    found = scores(answers(wanted), answers(["No acute disease is seen here."] * len(wanted)))
    for order in (1, 2, 3, 4):
        score = found[f"bleu_{order}"]
        assert (score.value is not None) == (order <= defined)
        assert score.note == (None if order <= defined else f"no reference has {order} words")


def test_a_system_that_writes_nothing_scores_0_and_is_not_empty() -> None:
    found = scores(answers(["The heart is normal.", "The lungs are clear."]), answers(["", ""]))
    for name in ("bleu_1", "bleu_4", "rouge_l", "cider"):
        assert found[name].value == pytest.approx(0, abs=1e-6), name


def test_references_without_a_word_leave_words_out() -> None:
    found = scores(answers(["", " "]), answers(["Clear lungs.", "A mass."]))
    assert {found[name].note for name in ("bleu_1", "rouge_l", "cider", "meteor")} == {
        "the references hold no word"
    }


def test_studies_whose_reference_holds_no_word_count_in_no_score_of_words() -> None:
    wanted, said = ["The heart is normal.", "The lungs are clear."], ["The heart is normal.", "Clear lungs."]
    bare = scores(answers(wanted), answers(said))
    mixed = scores(answers([*wanted, "", ""]), answers([*said, "A mass is seen.", ""]))
    for name in ("bleu_1", "bleu_4", "rouge_l", "cider"):
        assert mixed[name].value == pytest.approx(bare[name].value), name
        assert (mixed[name].n, bare[name].n) == (2, 2)
    assert mixed["mean_words"].n == 4


def test_findings_that_nobody_has_leave_f1_empty() -> None:
    found = scores(answers(["a b c d"] * 3), answers(["a b c d"] * 3))
    notes = {name: score.note for name, score in found.items() if name.startswith(("positive_", "finding_"))}
    assert set(notes.values()) == {NOT_CALLED, NOT_THERE}
    assert notes["positive_recall"] == notes["positive_f1_macro"] == notes["finding_recall/Mass"] == NOT_THERE
    assert notes["positive_f1"] == notes["positive_precision/uncertain_positive"] == NOT_CALLED
    assert found["missed_abnormality"].note == "no study of the reference is abnormal"
    assert found["invented_abnormality"].value == 0


def test_what_is_invented_of_normal_studies_alone_has_an_f1_of_0_and_no_recall() -> None:
    texts = ["a b c d"] * 3
    found = scores(answers(texts), answers(texts, [present("Mass"), (), ()]))
    assert (found["positive_f1"].value, found["positive_precision"].value) == (0, 0)
    assert found["positive_recall"].note == NOT_THERE
    assert (found["finding_f1/Mass"].value, found["finding_f1/Edema"].note) == (0, NOT_CALLED)
    assert found["invented_abnormality"].value == pytest.approx(1 / 3)


def test_a_precision_of_nothing_called_is_0_where_something_is_there() -> None:
    texts = ["a b c d"] * 3
    found = scores(answers(texts, [present("Mass"), (), ()]), answers(texts))
    assert [found[f"positive_{m}"].value for m in ("precision", "recall", "f1")] == [0, 0, 0]


def test_published_definitions_are_empty_where_neither_side_calls_anything() -> None:
    texts = ["a b c d"] * 3
    none = scores(answers(texts), answers(texts), names=CHEXPERT)
    for family in ("wcl", "r2gen", "miura", "chexbert", "findings5-ignored-per_study"):
        assert none[f"{family}/f1"].note == NOT_CALLED
        assert none[f"{family}/recall"].note == NOT_THERE
        assert none[f"{family}/accuracy"].value == 1
    some = scores(answers(texts, [present("Edema"), (), ()]), answers(texts), names=CHEXPERT)
    assert (some["wcl/f1"].value, some["wcl/f1/Edema"].value, some["wcl/f1/Fracture"].note) == (0, 0, NOT_CALLED)


@pytest.mark.parametrize(
    ("positives", "note"), [(30, "n < 10 without it"), (0, "n < 10"), (5, "n < 10"), (22, "n < 10 without it")]
)
def test_an_auc_needs_both_positives_and_negatives(positives: int, note: str) -> None:
    findings = [present("Mass") if k < positives else () for k in range(30)]
    said = [Answer(None, None, {"Mass": 0.1 * (k % 7)}) for k in range(30)]
    found = scores(answers(["a b c d"] * 30, findings), said)
    assert found["auc/Mass"].note == note
    assert found["auc_mean"].note == "no finding has 10 positives and 10 negatives"
    assert found["brier"].value is not None


def test_probabilities_that_are_all_the_same_have_an_auc_of_a_half() -> None:
    findings = [present("Mass") if k % 2 else () for k in range(30)]
    said = [Answer(None, None, {"Mass": 0.5})] * 30
    found = scores(answers(["a b c d"] * 30, findings), said)
    assert (found["auc/Mass"].value, found["auc_mean"].value) == (0.5, 0.5)


def test_probabilities_of_doubtful_findings_alone_have_no_calibration() -> None:
    doubtful = (Finding(name="Mass", status="uncertain"),)
    found = scores(answers(["a b c d"] * 3, [doubtful] * 3), [Answer(None, None, {"Mass": 0.5})] * 3)
    for name in ("calibration_error", "brier"):
        assert found[name].note == "no probability stands beside a known label"
    assert found["auc_mean"].value is None
