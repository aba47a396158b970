"""A reading warns of pictures that are unlike the training pictures, with number and limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chest_like import chest_like, chest_reference
from contrastcxr.checkpoint import load_checkpoint, save_checkpoint
from contrastcxr.features.batch import collate, prepare
from contrastcxr.features.pictures import whole_picture
from contrastcxr.form import Flag, Position, Study, View
from contrastcxr.quality.assess import thumbnails
from contrastcxr.quality.fit import fit_reference
from contrastcxr.quality.flags import empty_flag, length_flags, measure_flags, source_flags, view_flags
from contrastcxr.quality.measures import MEASURES, MeasureValue, PictureMeasures, QualityReference, grey_values
from contrastcxr.reading.reader import Reader
from tiny_system import save_tiny, tiny_checkpoint


def fitted(reader: Reader, positions: list[str]) -> QualityReference:
    """A reference of chest-like pictures as this reader's encoder sees them."""

    def seen(first: int) -> PictureMeasures:
        pixels = [chest_like(first + i) for i in range(100)]
        images = torch.stack([whole_picture(reader.preprocess, p)[0] for p in pixels])
        with torch.no_grad():
            pooled = reader.system.encode(images[:, None])[:, 0].mean(1)
        return PictureMeasures(tuple(map(grey_values, pixels)), thumbnails(images), pooled)

    reference = fit_reference(seen(0), seen(1000), positions=positions)
    assert reference is not None
    return reference


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    plain = Reader.from_checkpoint(save_tiny(folder))
    path = folder / "judging.safetensors"
    save_checkpoint(path, replace(tiny_checkpoint(), quality=fitted(plain, ["PA"])), dtype="float32")
    return path


@pytest.fixture(scope="module")
def reader(path: Path) -> Reader:
    return Reader.from_checkpoint(path)


def study(*pixels: np.ndarray, positions: tuple[Position, ...] = ("PA", "PA"), name: str = "one") -> Study:
    views = (
        View(view_id=f"{name}-{i}", pixels=p, position=positions[i], mirrored=False) for i, p in enumerate(pixels)
    )
    return Study(study_id=name, views=tuple(views))


def warnings(reader: Reader, *pixels: np.ndarray, **kwargs: tuple[Position, ...]) -> list[Flag]:
    flags = reader.read(study(*pixels, **kwargs)).flags
    return [flag for flag in flags if flag.kind == "quality" and flag.value is not None]


def test_a_usual_picture_gets_no_warning(reader: Reader) -> None:
    assert not any(warnings(reader, chest_like(seed)) for seed in (20, 21, 22))


def test_a_warning_names_the_view_the_number_and_the_limit(reader: Reader) -> None:
    flags = warnings(reader, chest_like(20), np.rot90(chest_like(21), 2).copy())
    turned = next(flag for flag in flags if "upside down" in flag.message)
    assert turned.message.startswith("view 2: looks turned")
    assert f"{turned.value:.2f}, limit" in turned.message


def test_the_same_study_is_judged_alike_in_any_company(path: Path) -> None:
    bad = study(1 - chest_like(20), name="bad")
    others = [study(chest_like(21), chest_like(22), name="two"), study(chest_like(23), name="three")]
    alone = Reader.from_checkpoint(path).read(bad).flags
    together = Reader.from_checkpoint(path).read_batch([others[0], bad, others[1]])[1].flags
    assert [f.message for f in together] == [f.message for f in alone]
    assert any("limit" in f.message for f in alone)


def test_a_lateral_view_is_one_warning_where_the_model_saw_none(reader: Reader) -> None:
    flags = warnings(reader, chest_like(20), 1 - chest_like(21), positions=("PA", "LATERAL"))
    assert [f.message for f in flags] == ["view 2: lateral; no picture the model was trained on is"]


def test_a_view_that_is_only_guessed_to_be_lateral_is_measured_all_the_same(reader: Reader) -> None:
    turned = study(np.rot90(chest_like(20), 2).copy(), positions=("LATERAL",))
    guessed = turned.views[0].model_copy(update={"position_source": "predicted"})
    said = " ".join(f.message for f in reader.read(turned.model_copy(update={"views": (guessed,)})).flags)
    assert "upside down" in said
    assert "lateral; no picture" in said


def test_a_lateral_view_is_not_assessed_where_the_model_saw_some(tmp_path: Path) -> None:
    plain = Reader.from_checkpoint(save_tiny(tmp_path))
    reader = Reader(
        plain.system, plain.tokenizer, plain.preprocess, quality=fitted(plain, ["PA"] * 3 + ["LATERAL"])
    )
    flags = reader.read(study(chest_like(20), 1 - chest_like(21), positions=("PA", "LATERAL"))).flags
    said = [f.message for f in flags if f.kind == "not_assessed" and f.finding is None]
    assert said == ["quality of view 2 (lateral)"]


def test_a_checkpoint_without_statistics_reads_and_says_that_quality_was_not_assessed(tmp_path: Path) -> None:
    reading = Reader.from_checkpoint(save_tiny(tmp_path)).read(study(chest_like(20)))
    assert [f.message for f in reading.flags if f.kind == "not_assessed" and f.finding is None] == [
        "input quality"
    ]
    assert reading.report.sentences


def test_cached_features_carry_no_judgement_of_pictures(reader: Reader) -> None:
    batch = collate([prepare(study(1 - chest_like(20)), reader.preprocess)])
    assert not any(flag.kind == "quality" for flag in reader.read_features(batch)[0].flags)


def test_statistics_change_nothing_but_flags(reader: Reader, tmp_path: Path) -> None:
    plain = Reader.from_checkpoint(save_tiny(tmp_path)).read(study(chest_like(20)))
    judged = reader.read(study(chest_like(20)))
    assert judged.report == plain.report
    assert judged.findings == plain.findings


def test_a_checkpoint_keeps_its_statistics_apart_from_its_weights(path: Path) -> None:
    kept, plain = load_checkpoint(path), tiny_checkpoint()
    assert kept.quality is not None
    assert kept.state.keys() == plain.state.keys()
    assert all(torch.equal(kept.state[name], value) for name, value in plain.state.items())
    assert set(kept.quality.limits) == set(MEASURES)


def views(*changes: dict[str, object]) -> Study:
    plain = {"locator": "v.png", "position": "PA", "mirrored": False}
    made = [View.model_validate({"view_id": str(i), **plain, **change}) for i, change in enumerate(changes)]
    return Study(study_id="s", views=tuple(made))


def said(flags: tuple[Flag, ...]) -> list[tuple[str, str]]:
    return [(flag.kind, flag.message) for flag in flags]


def test_a_view_of_which_everything_is_stated_has_no_flag() -> None:
    assert view_flags(views({}, {"position": "LATERAL", "mirrored": None}), [0, 1]) == ()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"position": "unknown"}, "orientation", "projection not stated (PA, AP or lateral)"),
        ({"position_source": "predicted"}, "orientation", "projection PA is a guess from the picture"),
        ({"mirrored": True}, "orientation", "mirrored; the patient's left is on the left"),
        ({"mirrored": None}, "orientation", "left and right not stated; trust only the marker"),
        ({"doubts": ("two windows",)}, "quality", "two windows"),
    ],
)
def test_what_is_not_stated_of_a_view_is_flagged_by_its_number(
    change: dict[str, object], kind: str, message: str
) -> None:
    joint = ": " if kind == "orientation" or "doubts" in change else " "
    assert said(view_flags(views({}, change), [0, 1])) == [(kind, f"view 2{joint}{message}")]


def test_a_view_that_was_not_read_says_only_that() -> None:
    found = view_flags(views({}, {"mirrored": None, "position": "unknown"}), [0])
    assert said(found) == [("quality", "view 2 was not read: the model takes fewer views")]


REFERENCE = replace(chest_reference(), positions={"PA": 1.0})
DARK, LIMIT = MeasureValue("dark", 0.12345, 0.2), MeasureValue("dark", 0.2, 0.2)


def test_only_values_beyond_their_limit_are_flagged_with_the_number_to_four_digits() -> None:
    flags = measure_flags(REFERENCE, [[LIMIT], [LIMIT, DARK]], study=views({}, {}), used=[0, 1])
    assert said(flags) == [("quality", f"view 2: {DARK.message()}")]
    assert flags[0].value == 0.1235


def test_values_belong_to_the_views_that_were_read_in_their_order() -> None:
    flags = measure_flags(REFERENCE, [[DARK], []], study=views({}, {}, {}), used=[2, 0])
    assert [flag.message.split(":")[0] for flag in flags] == ["view 3"]


def test_rows_and_views_of_another_number_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        measure_flags(REFERENCE, [[DARK]], study=views({}, {}), used=[0, 1])


@pytest.mark.parametrize(
    ("source", "share", "kinds"),
    [
        ("stated", 0.0, [("quality", 0.0)]),
        ("stated", 0.25, [("not_assessed", None)]),
        ("predicted", 0.0, [("quality", 0.0), ("quality", 0.1235)]),
        ("predicted", 0.25, [("not_assessed", None), ("quality", 0.1235)]),
    ],
)
def test_a_lateral_is_measured_only_where_it_may_be_none(
    source: str, share: float, kinds: list[tuple[str, float | None]]
) -> None:
    reference = replace(REFERENCE, positions={"PA": 1 - share, "LATERAL": share})
    lateral = views({"position": "LATERAL", "position_source": source})
    flags = measure_flags(reference, [[DARK]], study=lateral, used=[0])
    assert [(flag.kind, flag.value) for flag in flags] == kinds


@pytest.mark.parametrize(
    ("names", "flagged"),
    [
        ([], False),
        (["phantom"], True),
        (["phantom:standard", "encoder tf_efficientnet_lite0"], True),
        (["encoder phantom"], False),
        (["phantom", "nih14"], False),
        (["nih14"], False),
    ],
)
def test_a_model_that_saw_only_phantoms_says_so(names: list[str], flagged: bool) -> None:
    found = source_flags([{"name": name} for name in names])
    assert bool(found) is flagged
    assert all("drawn phantoms only" in flag.message for flag in found)


@pytest.mark.parametrize(
    ("plan", "ended", "tokens", "messages"),
    [
        ({}, True, 9, []),
        ({}, False, 9, ["the report was cut at 10 tokens"]),
        ({"open": np.array(True)}, True, 5, []),
        ({"open": np.array(True)}, False, 8, ["the report was cut at the most sentences its decoder plans"]),
        ({"open": np.array(True)}, False, 9, ["the report was cut at 10 tokens"]),
        ({"open": np.array(False)}, False, 8, ["the report was cut at 10 tokens"]),
        ({"unfinished": np.array(1)}, True, 5, ["a sentence was cut at the most words a sentence may have"]),
        ({"unfinished": np.array(3)}, True, 5, ["3 sentences were cut at the most words a sentence may have"]),
        ({"unfinished": np.array(0)}, True, 5, []),
    ],
)
def test_a_report_that_was_cut_says_by_what(
    plan: dict[str, np.ndarray], ended: bool, tokens: int, messages: list[str]
) -> None:
    flags = length_flags(plan, ended=ended, tokens=tokens, max_tokens=10)
    assert [(flag.kind, flag.message) for flag in flags] == [("truncated", message) for message in messages]


def test_a_report_without_a_sentence_says_whether_anything_was_written() -> None:
    assert empty_flag(["Clear lungs."], tokens=0) == ()
    assert said(empty_flag([], tokens=0)) == [("empty", "the report is empty: the model wrote no word")]
    assert said(empty_flag([], tokens=2)) == [("empty", "the report is empty: the model wrote nothing but marks")]
