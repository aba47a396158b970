from __future__ import annotations

import math

from contrastcxr.metrics.diversity import diversity


def test_equal_reports_and_sentences_are_counted_once_whatever_their_case() -> None:
    found = diversity(["Heart normal. Lungs clear.", "heart normal. lungs clear.", "Heart normal. Effusion."])
    assert (found.reports, found.distinct_reports, found.distinct_sentences) == (3, 2, 3)
    assert found.distinct_share == 2 / 3
    assert found.most_common_share == 2 / 3
    assert found.mean_words == (4 + 4 + 3) / 3


def test_a_point_within_a_number_ends_no_sentence() -> None:
    assert diversity(["Nodule of 1.2 cm."]).distinct_sentences == 1


def test_no_report_has_no_share() -> None:
    assert math.isnan(diversity([]).distinct_share)
