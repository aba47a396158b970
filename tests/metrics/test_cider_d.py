"""CIDEr-D with frequencies of other reports than the ones that are scored."""

from __future__ import annotations

import numpy as np

from contrastcxr.metrics.cider_d import CiderD
from contrastcxr.metrics.text import cider, tokenise

REPORTS = [
    "The heart is normal in size. No pleural effusion is seen.",
    "There is a small left pleural effusion.",
    "The lungs are clear and the heart is normal.",
    "A nodule lies in the right upper zone.",
]
WRITTEN = ["The heart is normal.", "There is a left pleural effusion.", "The lungs are clear.", "No nodule."]


def test_over_its_own_references_it_is_the_score_of_caption_evaluation() -> None:
    expected = cider([tokenise(report) for report in REPORTS], [tokenise(report) for report in WRITTEN])
    np.testing.assert_allclose(CiderD(REPORTS)(REPORTS, WRITTEN), expected)


def test_one_study_scores_what_it_scores_among_others() -> None:
    reward = CiderD(REPORTS)
    alone = [float(reward(REPORTS[i : i + 1], WRITTEN[i : i + 1])[0]) for i in range(4)]
    np.testing.assert_allclose(reward(REPORTS, WRITTEN), alone)


def test_asking_for_unknown_words_changes_nothing() -> None:
    reward = CiderD(REPORTS)
    before = reward(REPORTS, WRITTEN)
    reward(["Words that no training report has."], ["Other such words."])
    np.testing.assert_array_equal(reward(REPORTS, WRITTEN), before)
