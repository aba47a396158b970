"""Charts by hand: nothing unescaped, nothing outside its frame, and told in words."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from contrastcxr.evaluation.report.charts import lengths, reliability_plot
from contrastcxr.evaluation.report.forest import Mark, axis, key, row
from contrastcxr.evaluation.report.svg import Scale, nice, tag, top
from contrastcxr.metrics.calibration import ReliabilityBin
from contrastcxr.metrics.scores import Score


def test_words_and_attributes_are_escaped() -> None:
    drawn = tag("text", "<b>&", title='"><script>')
    assert "<b>" not in drawn
    assert "<script>" not in drawn
    assert ET.fromstring(drawn).text == "<b>&"


def test_values_outside_a_scale_lie_on_its_edge() -> None:
    scale = Scale(0, 2, 10, 110)
    assert (scale(-1), scale(1), scale(5)) == (10, 60, 110)
    assert Scale(3, 3)(3) == 0


@pytest.mark.parametrize(("value", "round_one"), [(0.11, 0.2), (0.2, 0.2), (0.21, 0.25), (3, 5), (0, 1)])
def test_axes_end_at_round_values(value: float, round_one: float) -> None:
    assert nice(value) == pytest.approx(round_one)


def test_a_share_never_gets_an_axis_beyond_one() -> None:
    assert top([0.97]) == 1.0
    assert top([4.2]) == 5.0
    assert top([]) == 1.0


def test_ticks_are_round_and_within() -> None:
    assert Scale(0, 1).ticks() == pytest.approx((0, 0.25, 0.5, 0.75, 1))
    assert Scale(0, 0.2).ticks() == pytest.approx((0, 0.05, 0.1, 0.15, 0.2))


def test_a_forest_row_shows_its_interval_in_percent_and_says_it() -> None:
    mark = Mark.of("system", Score("f1", 0.5, 0.25, 0.75, 9), whiskers=True)
    assert mark is not None
    root = ET.fromstring(row([mark], "Edema: .5 (.25–.75)"))
    whisker = next(line for line in root.iter("line") if "whisker" in line.get("class", ""))
    assert (whisker.get("x1"), whisker.get("x2")) == ("25.00%", "75.00%")
    assert root.findtext("title") == "Edema: .5 (.25–.75)"


def test_an_empty_score_has_no_mark() -> None:
    assert Mark.of("system", Score("f1", None, None, None, 9, "n < 10"), whiskers=True) is None
    assert Mark.of("system", None, whiskers=True) is None


def test_every_system_has_a_mark_of_its_own_shape() -> None:
    names = ("system", "constant", "neighbour", "ceiling", "floor")
    shapes = {ET.fromstring(key(name))[0].get("d") for name in names}
    assert len(shapes) == len(names)
    assert ET.fromstring(axis())[0].text == "0"


def test_bars_of_lengths_add_up_to_all_references() -> None:
    root = ET.fromstring(lengths([0, 5, 5, 30], [7] * 4))
    bars = list(root.iter("rect"))
    heights = [float(bar.get("height", 0)) for bar in bars]
    assert len(bars) == 3
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.02)
    assert "0 to 30 words in references, 7 to 7 words" in str(root.findtext("desc"))


def test_one_report_of_no_words_can_be_drawn() -> None:
    assert ET.fromstring(lengths([0], [0])).findtext("title") == "Words per report"


def test_reports_beyond_the_last_bin_lower_the_bars_and_are_not_drawn() -> None:
    alone, among = (
        list(ET.fromstring(lengths(side, [100])).iter("rect")) for side in ([7, 100], [7, 100, 101, 300])
    )
    heights = [[float(bar.get("height", 0)) for bar in bars] for bars in (alone, among)]
    assert heights == [[pytest.approx(heights[0][0])] * 2, [pytest.approx(heights[0][0] / 2)] * 2]
    assert [float(bar.get("x", 0)) for bar in among] == [float(bar.get("x", 0)) for bar in alone]


def test_points_of_calibration_lie_at_their_bins() -> None:
    bins = (ReliabilityBin(0.0, 0.5, 10, 0.0, 0.0), ReliabilityBin(0.5, 1.0, 90, 1.0, 1.0))
    first, last = list(ET.fromstring(reliability_plot(bins)).iter("circle"))
    assert float(first.get("cx", 0)) < float(last.get("cx", 0))
    assert float(first.get("cy", 0)) > float(last.get("cy", 0))
    assert float(first.get("r", 0)) < float(last.get("r", 0))
