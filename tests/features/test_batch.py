from __future__ import annotations

import random as random_module

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import choose_views
from contrastcxr.errors import ImageError
from contrastcxr.features.batch import Sample, collate, prepare, rows_of
from contrastcxr.features.samples import loader
from contrastcxr.form import Position, Study, View


def study(name: str, *positions: Position) -> Study:
    rng = np.random.default_rng(len(positions))
    views = tuple(
        View(view_id=f"{name}-{i}", pixels=rng.random((40, 50), dtype=np.float32), position=p)
        for i, p in enumerate(positions)
    )
    return Study(study_id=name, patient_id=f"p-{name}", views=views)


SMALL = Preprocess(size=16)


def test_frontal_views_come_first_and_keep_their_place_in_the_study() -> None:
    assert choose_views(study("a", "LATERAL", "AP", "unknown"), 2) == (1, 2)
    assert choose_views(study("a", "LATERAL", "AP"), 3) == (1, 0)


def test_studies_of_different_view_counts_stack_with_masked_zeros() -> None:
    batch = collate([prepare(study("a", "PA", "LATERAL"), SMALL), prepare(study("b", "AP"), SMALL)])
    assert batch.images is not None
    assert batch.images.shape == (2, 2, 3, 16, 16)
    assert batch.view_mask.tolist() == [[True, True], [True, False]]
    assert batch.images[1, 1].abs().sum() == 0
    assert torch.equal(batch.affines[1, 1], torch.eye(2, 3))
    assert batch.affines[0, 0, 0, 0] == pytest.approx(50 / 16)
    assert (batch.positions, batch.view_index) == ((("PA", "LATERAL"), ("AP",)), ((0, 1), (0,)))
    assert (batch.study_ids, batch.patient_ids, len(batch)) == (("a", "b"), ("p-a", "p-b"), 2)


def test_a_study_is_prepared_alike_alone_and_in_a_batch() -> None:
    alone = collate([prepare(study("b", "AP"), SMALL)])
    together = collate([prepare(study("a", "PA", "LATERAL"), SMALL), prepare(study("b", "AP"), SMALL)])
    assert alone.images is not None
    assert together.images is not None
    assert torch.equal(alone.images[0, 0], together.images[1, 0])


def sample(**fields: torch.Tensor) -> Sample:
    return Sample("s", None, torch.eye(2, 3)[None], ("PA",), (0,), **fields)


def test_tokens_are_padded_with_pad_and_targets_are_stacked() -> None:
    batch = collate(
        [
            sample(token_ids=torch.tensor([1, 5, 2]), finding_targets=torch.ones(4)),
            sample(token_ids=torch.tensor([1, 2]), finding_targets=torch.zeros(4)),
        ],
        pad=9,
    )
    assert batch.token_ids is not None
    assert batch.token_ids.tolist() == [[1, 5, 2], [1, 2, 9]]
    assert batch.finding_targets is not None
    assert batch.finding_targets.shape == (2, 4)
    assert batch.images is None
    assert batch.finding_mask is None


def test_a_field_that_only_some_samples_have_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 samples have no token_ids"):
        collate([sample(token_ids=torch.tensor([1])), sample()])


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_moving_a_batch_moves_every_tensor_and_keeps_the_rest() -> None:
    batch = collate([prepare(study("a", "PA"), SMALL)]).to("meta")
    assert batch.images is not None
    assert {batch.images.device.type, batch.view_mask.device.type, batch.affines.device.type} == {"meta"}
    assert batch.study_ids == ("a",)


def test_with_a_generator_a_study_is_prepared_as_a_random_crop() -> None:
    crop = prepare(study("a", "PA"), SMALL, generator=torch.Generator().manual_seed(0))
    assert crop.affines[0, 0, 0] == pytest.approx(50 / 18)


@st.composite
def random_samples(draw: st.DrawFn) -> list[Sample]:
    """One to five samples of one to three views, words of any length, sentence flags, tags and an indication."""
    rng = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    made = []
    for number in range(draw(st.integers(1, 5))):
        views, words = draw(st.integers(1, 3)), draw(st.integers(1, 6))
        made.append(
            Sample(
                study_id=f"s{number}",
                patient_id=None if number % 2 else f"p{number}",
                affines=torch.rand(views, 2, 3, generator=rng),
                positions=("PA", "AP", "LATERAL")[:views],
                view_index=tuple(reversed(range(views))),
                images=torch.rand(views, 3, 4, 4, generator=rng),
                features=torch.rand(views, 5, 2, generator=rng),
                token_ids=torch.randint(9, (words,), generator=rng),
                finding_targets=torch.rand(3, generator=rng),
                finding_mask=torch.rand(3, generator=rng) > 0.5,
                indication_ids=torch.randint(9, (draw(st.integers(0, 3)),), generator=rng),
                abnormal=torch.rand(draw(st.integers(1, 4)), generator=rng) > 0.5,
                tags=torch.rand(2, generator=rng),
            )
        )
    return made


def real(values: torch.Tensor | None, mask: torch.Tensor | None) -> torch.Tensor:
    assert values is not None
    assert mask is not None
    return values[mask]


@given(random_samples(), st.integers(0, 9))
def test_what_a_sample_holds_stands_in_its_row_and_the_rest_is_padding(samples: list[Sample], pad: int) -> None:
    batch = collate(samples, pad=pad)
    for row, one in enumerate(samples):
        views = len(one.positions)
        for many, own in ((batch.images, one.images), (batch.features, one.features)):
            assert many is not None
            assert own is not None
            assert torch.equal(many[row, :views], own)
            assert not many[row, views:].any()
        assert torch.equal(batch.affines[row, :views], one.affines)
        assert all(torch.equal(affine, torch.eye(2, 3)) for affine in batch.affines[row, views:])
        assert batch.view_mask[row].tolist() == [v < views for v in range(batch.view_mask.shape[1])]
        assert batch.token_ids is not None
        assert one.token_ids is not None
        assert torch.equal(batch.token_ids[row, : len(one.token_ids)], one.token_ids)
        assert batch.token_ids[row, len(one.token_ids) :].eq(pad).all()
        assert batch.abnormal is not None
        assert one.abnormal is not None
        assert not batch.abnormal[row, len(one.abnormal) :].any()


@given(random_samples(), st.integers(0, 9), st.randoms())
def test_order_size_and_padding_of_a_batch_change_no_study(
    samples: list[Sample], pad: int, random: random_module.Random
) -> None:
    shuffled = random.sample(samples, len(samples))
    whole = collate(shuffled, pad=pad)
    for row, one in enumerate(shuffled):
        alone = collate([one])
        assert whole.study_ids[row] == one.study_id
        for name, mask in (
            ("images", "view_mask"),
            ("features", "view_mask"),
            ("affines", "view_mask"),
            ("token_ids", "token_mask"),
            ("indication_ids", "indication_mask"),
        ):
            among = real(getattr(whole, name)[row], getattr(whole, mask)[row])
            assert torch.equal(among, real(getattr(alone, name)[0], getattr(alone, mask)[0])), name
        for name in ("finding_targets", "finding_mask", "tags"):
            assert torch.equal(getattr(whole, name)[row], getattr(alone, name)[0])


@given(random_samples(), st.data())
def test_rows_of_a_batch_are_the_batch_of_those_samples(samples: list[Sample], data: st.DataObject) -> None:
    index = data.draw(st.lists(st.sampled_from(range(len(samples))), min_size=1, max_size=5))
    picked, expected = rows_of(collate(samples), index), collate([samples[i] for i in index])
    for name in ("study_ids", "patient_ids", "positions", "view_index"):
        assert getattr(picked, name) == getattr(expected, name)
    for name in ("images", "features", "affines", "view_mask", "finding_targets", "finding_mask", "tags"):
        assert torch.equal(getattr(picked, name), getattr(expected, name)), name
    for ids, mask in (("token_ids", "token_mask"), ("indication_ids", "indication_mask")):
        assert torch.equal(
            real(getattr(picked, ids), getattr(picked, mask)),
            real(getattr(expected, ids), getattr(expected, mask)),
        )


def test_rows_of_a_batch_without_pixels_words_or_targets_have_none() -> None:
    picked = rows_of(collate([sample(), sample()]), [1])
    assert (picked.images, picked.token_ids, picked.finding_targets) == (None, None, None)
    assert len(picked) == 1


@pytest.mark.parametrize("field", ["images", "features", "finding_targets", "finding_mask", "tags"])
def test_every_field_must_be_there_for_all_or_none(field: str) -> None:
    values = torch.ones(1, 3, 4, 4) if field in ("images", "features") else torch.ones(3)
    with pytest.raises(ValueError, match=f"2 of 3 samples have no {field}; all or none must"):
        collate([sample(), sample(**{field: values}), sample()])


def test_the_end_and_the_padding_may_share_an_id_and_are_told_apart_by_the_mask() -> None:
    batch = collate([sample(token_ids=torch.tensor([1, 0])), sample(token_ids=torch.tensor([1, 7, 0]))], pad=0)
    assert batch.token_mask is not None
    assert batch.token_mask.tolist() == [[True, True, False], [True, True, True]]


def test_a_view_that_cannot_be_read_ends_the_preparing_of_its_study() -> None:
    lost = Study(study_id="s", views=(View(view_id="v", locator="/nowhere/gone.png"),))
    with pytest.raises(ImageError, match=r"gone\.png"):
        prepare(lost, SMALL)


def test_only_a_copy_to_cuda_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes to the CPU must be there before it is read."""
    batch, asked = collate([prepare(study("a", "PA"), SMALL)]), set()

    def to(tensor: torch.Tensor, device: object, *, non_blocking: bool = False) -> torch.Tensor:
        asked.add((str(device), non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", to)
    for device in ("cuda:1", torch.device("cuda", 0), "cpu", "meta"):
        batch.to(device)
    assert asked == {("cuda:1", True), ("cuda:0", True), ("cpu", False), ("meta", False)}


def test_all_of_a_batch_is_pinned_where_a_loader_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [prepare(study(name, "PA"), SMALL) for name in "ab"]
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: torch.zeros_like(tensor))
    batch, pinned = collate(samples), collate(samples).pin_memory()
    assert pinned.study_ids == batch.study_ids
    assert not any(value.any() for value in vars(pinned).values() if isinstance(value, torch.Tensor))
    assert batch.view_mask.all()
    assert [loader(samples, [[0, 1]], pin=pin).pin_memory for pin in (False, True)] == [False, True]  # type: ignore[arg-type]
