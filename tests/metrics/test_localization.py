"""Localization against plain loops over pixels, and the rules of what is right, wrong and false."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contrastcxr.form import Box, Finding, Point, Status
from contrastcxr.metrics.alike import alike
from contrastcxr.metrics.bootstrap import plain_weights
from contrastcxr.metrics.detection import Rectangle
from contrastcxr.metrics.localization import (
    ACCURACIES,
    Localization,
    Overlap,
    PlaceCounts,
    counted_places,
    covered_area,
    is_false,
    place_counts,
)
from contrastcxr.metrics.scores import Score, counted_how, differences, score_table, seed_means, statistics
from contrastcxr.metrics.significance import randomisation_p_values
from contrastcxr.metrics.table import StudyTable

SIDE = 24


def random_rectangles(rng: np.random.Generator, count: int) -> list[Rectangle]:
    corners = [np.sort(rng.choice(SIDE + 1, (2, 2), replace=True), axis=0) for _ in range(count)]
    return [
        (float(a[0]), float(a[1]), float(b[0]), float(b[1])) for a, b in corners if a[0] < b[0] and a[1] < b[1]
    ]


def pixels(rectangles: list[Rectangle]) -> set[tuple[int, int]]:
    """The pixels of a picture whose centre lies in one of the rectangles."""
    found = set()
    for y in range(SIDE):
        for x in range(SIDE):
            for x1, y1, x2, y2 in rectangles:
                if x1 < x + 0.5 < x2 and y1 < y + 0.5 < y2:
                    found.add((x, y))
    return found


def boxes(rectangles: list[Rectangle], view: int = 0) -> list[Box]:
    return [Box(view=view, xyxy=rectangle) for rectangle in rectangles]


@pytest.mark.parametrize("seed", range(12))
def test_areas_are_those_of_pixels_painted_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marked, reference = random_rectangles(rng, 5), random_rectangles(rng, 4)
    one, other = pixels(marked), pixels(reference)
    found = Overlap.of(boxes(marked), boxes(reference))
    assert (found.marked, found.reference, found.shared) == (len(one), len(other), len(one & other))
    assert found.iou == pytest.approx(len(one & other) / max(1, len(one | other)))
    assert found.iobb == pytest.approx(len(one & other) / max(1, len(one)))
    assert covered_area(marked, reference) == covered_area(reference, marked)


def test_an_area_of_broken_numbers_is_exact() -> None:
    assert covered_area([(0.25, 0.5, 1.75, 2.0), (1.0, 1.0, 3.5, 1.5)]) == pytest.approx(1.5 * 1.5 + 1.75 * 0.5)
    assert covered_area([(0, 0, 1, 1)], [(1, 0, 2, 1)]) == 0.0
    assert covered_area([]) == covered_area() == covered_area([(0, 0, 1, 1)], []) == 0.0


def test_views_are_pooled_and_never_meet() -> None:
    marked = [*boxes([(0, 0, 4, 4)], view=0), *boxes([(0, 0, 2, 2)], view=1)]
    reference = boxes([(0, 0, 4, 2)], view=0)
    assert Overlap.of(marked, reference) == Overlap(marked=20, reference=8, shared=8)
    assert Overlap.of(boxes([(0, 0, 4, 4)], view=1), reference).shared == 0


def finding(
    name: str = "Mass",
    *,
    status: Status = "present",
    box: Rectangle | None = None,
    region: Rectangle | None = None,
    peak: tuple[float, float] | None = None,
) -> Finding:
    return Finding(
        name=name,
        status=status,
        boxes=() if box is None else (Box(xyxy=box),),
        region=() if region is None else (Box(xyxy=region),),
        peak=None if peak is None else Point(xy=peak),
    )


TRUE: Rectangle = (0, 0, 10, 10)


def test_what_is_not_marked_is_wrong_and_what_has_no_box_is_not_asked() -> None:
    wanted = [(finding(box=TRUE),)] * 3 + [(finding(),)]
    said = [
        (finding(region=(0, 0, 10, 5), peak=(10, 10)),),
        (finding(status="absent"),),
        (),
        (finding(region=TRUE, peak=(5, 5)),),
    ]
    found = place_counts(wanted, said, ["Mass"])
    assert found.iou[:3, 0].tolist() == [0.5, 0, 0]
    assert found.iobb[:3, 0].tolist() == [1, 0, 0]
    assert found.pointing is not None
    assert found.pointing[:3, 0].tolist() == [1, 0, 0]
    assert all(math.isnan(part[3, 0]) for part in (found.iou, found.iobb, found.pointing))


def test_a_region_counts_whatever_the_status() -> None:
    found = place_counts([(finding(box=TRUE),)], [(finding(status="absent", region=TRUE),)], ["Mass"])
    assert found.iou.tolist() == [[1]]
    assert found.pointing is None  # nobody points
    assert found.false_boxes is None  # nothing is called


def test_boxes_of_a_finding_that_stands_twice_are_one_region() -> None:
    twice = (finding(box=(0, 0, 4, 4)), finding(box=(6, 0, 10, 4)))
    said = (finding(region=(0, 0, 4, 4)), finding(region=(6, 0, 10, 4)))
    assert place_counts([twice], [said], ["Mass"]).iou.tolist() == [[1]]


@pytest.mark.parametrize(
    ("box", "false"), [((0, 0, 10, 10), False), ((9, 0, 19, 10), False), ((9.01, 0, 19.01, 10), True)]
)
def test_a_box_is_false_below_a_tenth(box: Rectangle, false: bool) -> None:
    assert is_false(Box(xyxy=box), boxes([TRUE])) is false


def test_false_boxes_are_of_findings_called_present_by_authors_who_give_boxes() -> None:
    away: Rectangle = (20, 20, 24, 24)
    wanted = [(finding(box=TRUE),), (), None, (finding(),), (finding(status="uncertain"),), ()]
    called = (finding(box=away),)
    said = [
        called,
        called,
        called,
        called,
        called,
        (finding(status="absent", box=away), finding("Hernia", box=away)),
    ]
    found = place_counts(wanted, said, ["Mass"]).false_boxes
    assert found is not None
    # Beside the box, of a normal study; of another author; twice of a place not told; not called or not asked.
    assert found.tolist()[:2] == [1, 1]
    assert math.isnan(found[2])
    assert found.tolist()[3:] == [0, 0, 0]


def counts(iou: np.ndarray, *, pointing: np.ndarray | None = None, false: np.ndarray | None = None) -> PlaceCounts:
    return PlaceCounts(iou, np.minimum(iou * 2, 1), pointing, false)


def table(iou: np.ndarray, names: tuple[str, ...] = ("Mass", "Edema")) -> StudyTable:
    """A localizer that writes no report."""
    ids = tuple(f"s{i:02d}" for i in range(len(iou)))
    found = counts(iou, pointing=np.where(np.isnan(iou), np.nan, (iou > 0.2) * 1.0), false=np.ones(len(iou)))
    return StudyTable(names, ids, ids, notes={"text": "no report is written"}, **vars(found))


@pytest.fixture
def iou() -> np.ndarray:
    """Twelve images of Mass, three of Edema, of forty studies."""
    values = np.full((40, 2), np.nan)
    values[:12, 0] = np.linspace(0, 0.99, 12)
    values[10:13, 1] = 0.9
    return values


def test_accuracy_is_the_share_above_the_threshold(iou: np.ndarray) -> None:
    found = score_table(table(iou), replicates=20)
    for t in (0.1, 0.3, 0.5, 0.7):
        assert found[f"tiou_{t}/Mass"].value == pytest.approx(np.mean([v > t for v in iou[:12, 0]]))
        assert found[f"tiobb_{t}/Mass"].value == pytest.approx(np.mean([min(2 * v, 1) > t for v in iou[:12, 0]]))
    assert found["pointing/Mass"].n == 12
    assert found["false_boxes"].value == 1


def test_what_equals_the_threshold_is_not_above_it() -> None:
    exact = np.full((10, 1), 0.3)
    assert score_table(table(exact, ("Mass",)), replicates=5)["tiou_0.3/Mass"].value == 0


def test_findings_on_few_images_have_no_figure_and_stay_out_of_the_mean(iou: np.ndarray) -> None:
    found = score_table(table(iou), replicates=20)
    assert found["tiou_0.3/Edema"] == Score("tiou_0.3/Edema", None, None, None, 3, "n < 10")
    assert found["tiou_0.3"].value == found["tiou_0.3/Mass"].value
    both = score_table(table(iou), replicates=20, minimum=3)
    assert both["tiou_0.3"].value == pytest.approx(((both["tiou_0.3/Mass"].value or 0) + 1) / 2)


def test_a_mean_without_findings_says_why(iou: np.ndarray) -> None:
    found = score_table(table(iou[20:]), replicates=5)
    assert found["tiou_0.5"].value is None
    assert found["tiou_0.5"].note == "no finding has boxes on 10 images"
    assert "tiou_0.5/Mass" not in found


def test_text_is_absent_with_its_reason_and_never_zero(iou: np.ndarray) -> None:
    found = score_table(table(iou), replicates=5)
    for name in ("bleu_1", "bleu_4", "rouge_l", "cider", "meteor", "mean_words"):
        assert found[name].value is None
        assert found[name].note == "no report is written"
    assert not any(name.startswith("bleu") for name in statistics(table(iou)))


def test_the_mean_over_findings_is_that_of_plain_loops() -> None:
    rng = np.random.default_rng(4)
    values = np.where(rng.random((30, 3)) < 0.5, rng.random((30, 3)), np.nan)
    names = ("Mass", "Edema", "Nodule")
    statistic = Localization(names, counts(values)).statistics(1)["tiou_0.5"]
    drawn = rng.integers(0, 3, (4, 30)).astype(float)
    for row, value in zip(drawn, statistic(drawn), strict=True):
        shares = []
        for column in range(3):
            right = asked = 0.0
            for study in range(30):
                if not math.isnan(values[study, column]):
                    asked += row[study]
                    right += row[study] * (values[study, column] > 0.5)
            if asked:
                shares.append(right / asked)
        assert value == pytest.approx(sum(shares) / len(shares))
    assert statistic(plain_weights(30)).shape == (1,)


def test_two_localizers_are_compared_as_any_two_systems(iou: np.ndarray) -> None:
    better, worse = table(np.where(np.isnan(iou), np.nan, 0.95)), table(iou)
    names = [*ACCURACIES, "false_boxes", "tiou_0.7/Mass"]
    change = differences([better], [worse], names, replicates=50)
    assert change["tiou_0.7"].value == pytest.approx(1 - np.mean(iou[:12, 0] > 0.7))
    assert change["tiou_0.7"].low > 0
    p = randomisation_p_values(better, worse, names, shuffles=199)
    assert p.keys() == set(names)
    assert p["tiou_0.7"] < 0.05
    assert p["false_boxes"] == 1.0
    assert seed_means([better, worse], ["tiou_0.7"], replicates=20)["tiou_0.7"].value == pytest.approx(
        (1 + np.mean(iou[:12, 0] > 0.7)) / 2
    )


def test_the_tested_mean_is_over_the_findings_of_the_printed_one(iou: np.ndarray) -> None:
    """In the joined table of the test each image stands twice; nine images of Edema must not pass for ten."""
    nine = iou.copy()
    nine[10:19, 1] = 0.9
    other = nine.copy()
    other[10:19, 1] = 0.0
    assert randomisation_p_values(table(nine), table(other), ["tiou_0.5"], shuffles=99) == {"tiou_0.5": 1.0}


def test_against_a_system_without_places_only_the_rest_is_compared(iou: np.ndarray) -> None:
    silent = table(iou)
    writing = StudyTable(silent.names, silent.groups, silent.studies, np.ones((40, 10)), *[np.ones(40)] * 3)
    names = ["tiou_0.3", "bleu_4", "rouge_l"]
    assert differences([silent], [writing], names, replicates=5) == {}
    assert randomisation_p_values(silent, writing, names, shuffles=9) == {}


def test_findings_are_paired_by_name_and_boxes_by_study(iou: np.ndarray) -> None:
    one, other = table(iou), table(iou[:, ::-1], ("Edema", "Mass"))
    first, second = alike(one, other)
    assert first.names == second.names == ("Mass", "Edema")
    assert np.array_equal(first.iou, second.iou, equal_nan=True)
    fewer = iou.copy()
    fewer[:2] = np.nan
    first, second = alike(one, table(fewer))
    assert first.iou is not None
    assert np.isnan(first.iou[:2]).all()
    assert first.pointing is not None
    assert np.isnan(first.pointing[:2]).all()


def test_every_localization_score_says_how_it_counts() -> None:
    assert counted_how("tiou_0.3") == "correct:IoU>0.3|average:findings with enough images"
    assert counted_how("tiobb_0.7/Mass") == "correct:IoBB>0.7|finding:Mass"
    assert counted_how("pointing") == "correct:peak in a box|average:findings with enough images"
    assert counted_how("false_boxes").startswith("false:under 0.1")
    assert counted_places("bleu_4") == ""
