"""The bank of negatives against a naive search with the same rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.contrast import bank as bank_module
from contrastcxr.models.contrast.bank import NegativeBank, thumbnails
from contrastcxr.models.contrast.options import BankOptions
from contrastcxr.models.contrast.pool import PoolRows

MANY = 200
VIEWS = ("PA", "AP", "unknown", "PA", "PA")


def small(count: int, *, seed: int = 0, high: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, high, (count, 256), generator=generator, dtype=torch.uint8)


def rows(count: int, *, positions: tuple[str, ...] = VIEWS) -> PoolRows:
    """Two images a study, three studies a patient; every seventh patient is not known."""
    studies = [n // 2 for n in range(count)]
    return PoolRows(
        image_ids=tuple(f"i{n}" for n in range(count)),
        study_ids=tuple(f"s{s}" for s in studies),
        patient_ids=tuple(None if s % 7 == 0 else f"p{s // 3}" for s in studies),
        positions=tuple(positions[n % len(positions)] for n in range(count)),
        locators=(None,) * count,
    )


def made(
    count: int = MANY, *, pictures: Tensor | None = None, who: PoolRows | None = None, **options: Any
) -> NegativeBank:
    pictures = small(count) if pictures is None else pictures
    return NegativeBank(
        pictures, torch.zeros(len(pictures), 4), who or rows(count), BankOptions(**options), seed=3
    )


def naive(
    bank: NegativeBank, query: Tensor, *, study: str, patient: str | None, position: str
) -> tuple[int, bool]:
    """The row and whether it is of the view, by one loop over the bank."""
    options, pictures = bank.options, bank.thumbnails.numpy().astype(np.int64)
    mean = np.round(pictures.sum(0) / len(pictures)) if options.center else 0
    one = query.numpy().astype(np.int64) - mean
    for by_view in (options.match == "view", False):
        best, chosen = -np.inf, -1
        for row, other in enumerate(pictures - mean):
            who = bank.rows
            if who.study_ids[row] == study or (patient is not None and who.patient_ids[row] == patient):
                continue
            known = "unknown" not in (who.positions[row], position)
            if by_view and known and who.positions[row] != position:
                continue
            score = float(np.dot(one, other)) / max(float(np.linalg.norm(other)), 1e-9)
            if score > best + 1e-6 * abs(best if np.isfinite(best) else 0):
                best, chosen = score, row
        if chosen >= 0:
            return chosen, by_view or options.match == "none"
    return -1, False


def asked(count: int) -> dict[str, list[Any]]:
    return {
        "study_ids": [f"s{n}" for n in range(count)],
        "patient_ids": [None if n % 5 == 0 else f"p{n % 40}" for n in range(count)],
        "positions": [("PA", "AP", "LATERAL", "unknown")[n % 4] for n in range(count)],
    }


def ask(bank: NegativeBank, queries: Tensor, who: dict[str, list[Any]], index: list[int] | None = None) -> Any:
    index = list(range(len(queries))) if index is None else index
    return bank.find(queries[index], **{name: [values[i] for i in index] for name, values in who.items()})


@pytest.mark.parametrize("options", [{}, {"center": True}, {"match": "none"}, {"kind": "other"}], ids=str)
@pytest.mark.parametrize("positions", [VIEWS, ("PA",), ("PA", "AP")], ids="-".join)
def test_the_nearest_is_that_of_a_naive_search(
    options: dict[str, Any], positions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_module, "_TOGETHER", 64)  # several slices, the last one ragged
    bank = made(who=rows(MANY, positions=positions), **options)
    queries, who = small(40, seed=1), asked(40)
    found = ask(bank, queries, who)
    for n in range(40):
        wanted = naive(
            bank,
            queries[n],
            study=who["study_ids"][n],
            patient=who["patient_ids"][n],
            position=who["positions"][n],
        )
        assert (int(found.rows[n]), bool(found.same_view[n])) == wanted
        one, other = (t.double() for t in (queries[n], bank.thumbnails[found.rows[n]]))
        if not options.get("center"):
            cosine = float(one @ other / one.norm() / other.norm())
            assert float(found.similarity[n]) == pytest.approx(cosine, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"sampling": "random"}, {"center": True}], ids=str)
def test_order_and_size_of_a_batch_change_no_choice(options: dict[str, Any]) -> None:
    bank, queries, who = made(**options), small(33, seed=2), asked(33)
    whole = ask(bank, queries, who).rows.tolist()
    assert [int(ask(bank, queries, who, [n]).rows) for n in range(33)] == whole
    assert ask(bank, queries, who, list(range(33))[::-1]).rows.tolist() == whole[::-1]


def test_of_equal_ones_the_first_is_taken_also_across_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_module, "_TOGETHER", 8)
    picture = small(1, seed=5)
    bank = made(pictures=picture.repeat(MANY, 1), match="none")
    assert ask(
        bank,
        small(3, seed=6),
        {"study_ids": ["s0", "x", "s2"], "patient_ids": [None] * 3, "positions": ["PA"] * 3},
    ).rows.tolist() == [2, 0, 0]


def test_products_are_exact_for_the_brightest_pictures() -> None:
    """255² · 256 is below 2^24: a picture one step darker at one place is told apart."""
    bright = torch.full((2, 256), 255, dtype=torch.uint8)
    bright[0, 0] = 254
    products = bank_module._products(bright.float(), bright.float())
    assert products.tolist() == [
        [255 * 255 * 255 + 254 * 254, 255 * 255 * 255 + 254 * 255],
        [255 * 255 * 255 + 254 * 255, 255 * 255 * 256],
    ]


def test_neither_the_study_itself_nor_its_patient_is_a_negative() -> None:
    bank = made(match="none")
    for n in (0, 20, 77):
        own = {
            "study_ids": [bank.rows.study_ids[n]],
            "patient_ids": [bank.rows.patient_ids[n]],
            "positions": ["PA"],
        }
        found = int(bank.find(bank.thumbnails[n : n + 1], **own).rows)
        assert bank.rows.study_ids[found] != bank.rows.study_ids[n]
        if bank.rows.patient_ids[n] is not None:
            assert bank.rows.patient_ids[found] != bank.rows.patient_ids[n]
        strange = {"study_ids": ["new"], "patient_ids": [None], "positions": ["PA"]}
        assert int(bank.find(bank.thumbnails[n : n + 1], **strange).rows) == n


def test_a_view_that_the_bank_has_none_of_is_compared_with_any_and_says_so() -> None:
    bank = made(who=rows(MANY, positions=("PA", "AP")))
    found = ask(
        bank, small(2), {"study_ids": ["a", "b"], "patient_ids": [None] * 2, "positions": ["LATERAL", "PA"]}
    )
    assert found.same_view.tolist() == [False, True]
    assert (found.rows >= 0).all()


def test_a_bank_of_the_own_patient_alone_gives_none() -> None:
    who = PoolRows(("a", "b"), ("s", "t"), ("p", "p"), ("PA", "PA"), (None, None))
    found = ask(made(2, who=who), small(1), {"study_ids": ["x"], "patient_ids": ["p"], "positions": ["PA"]})
    assert (found.rows.tolist(), found.similarity.tolist(), found.same_view.tolist()) == ([-1], [0.0], [False])


def test_a_random_negative_depends_on_seed_study_and_view_alone() -> None:
    bank, who = made(sampling="random"), asked(60)
    first = ask(bank, small(60, seed=1), who).rows.tolist()
    assert ask(bank, small(60, seed=2), who).rows.tolist() == first  # not on the picture
    assert len(set(first)) > 30
    second = bank.find(small(60), **who, numbers=[1] * 60).rows.tolist()
    assert second != first
    for n, row in enumerate(first):
        assert bank.rows.study_ids[row] != who["study_ids"][n]
        asked_for, has = who["positions"][n], bank.rows.positions[row]
        assert asked_for in ("LATERAL", "unknown") or has in (asked_for, "unknown")


def test_black_pictures_are_like_nothing() -> None:
    bank = made(3, pictures=torch.zeros(3, 256, dtype=torch.uint8), who=rows(3), match="none")
    found = ask(bank, small(1), {"study_ids": ["x"], "patient_ids": [None], "positions": ["PA"]})
    assert (found.rows.tolist(), found.similarity.tolist()) == ([0], [0.0])


@pytest.mark.parametrize("side", [16, 64, 100])
def test_a_thumbnail_is_the_mean_of_areas_of_the_pixels_before_normalisation(side: int) -> None:
    pixels = torch.rand(2, side, side, generator=torch.Generator().manual_seed(0))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images = (pixels.unsqueeze(1) - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    found = thumbnails(images, mean=mean, std=std)
    assert (found.shape, found.dtype) == ((2, 256), torch.uint8)
    for picture in range(2):
        for y, x in ((0, 0), (3, 7), (15, 15)):
            top, bottom = y * side // 16, -(-(y + 1) * side // 16)
            left, right = x * side // 16, -(-(x + 1) * side // 16)
            area = pixels[picture, top:bottom, left:right].mean()
            assert abs(float(found[picture, 16 * y + x]) - 255 * float(area)) <= 0.51


def test_it_comes_back_from_its_metadata_and_its_tensors() -> None:
    bank = made(sampling="random", center=False)
    bank.set_maps(torch.randn(MANY, 4))
    again = NegativeBank.from_metadata(bank.metadata(), bank.options, thumbnails=bank.thumbnails, maps=bank.maps)
    assert bank.poses_of(torch.tensor([0])) is None
    assert (again.rows, again.seed) == (bank.rows, bank.seed)
    assert torch.equal(again.maps, bank.maps)
    assert bank.maps.dtype == torch.float16
    assert torch.equal(again.thumbnails, bank.thumbnails)
    assert bank.summary() == {
        "kind": "normal",
        "sampling": "random",
        "size": MANY,
        "wanted": None,
        "patients": len(set(bank.rows.patient_ids)),
        "views": {"AP": 40, "PA": 120, "unknown": 40},
    }


def test_maps_of_rows_and_of_none() -> None:
    bank = made(3)
    bank.set_maps(torch.arange(12.0).view(3, 4))
    assert bank.maps_of(torch.tensor([2, -1, 0])).tolist() == [[8, 9, 10, 11], [0, 0, 0, 0], [0, 1, 2, 3]]
    bank.set_maps(torch.full((3, 4), 1e9))  # beyond half precision
    assert bank.maps.isfinite().all()
    with pytest.raises(IncompatibleError, match="maps of a bank stay"):
        bank.set_maps(torch.zeros(2, 4))


def test_tensors_and_rows_that_differ_in_number_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="a bank of 3 negatives needs thumbnails"):
        NegativeBank(small(2), torch.zeros(2, 4), rows(3), BankOptions(), seed=0)


def test_a_row_has_its_pose_and_no_row_the_identity() -> None:
    poses = torch.arange(15.0).view(3, 5)
    bank = NegativeBank(small(3), torch.zeros(3, 4), rows(3), BankOptions(), seed=0, poses=poses)
    found = bank.poses_of(torch.tensor([2, -1, 0]))
    assert found is not None
    assert found.tolist() == [poses[2].tolist(), [0.0] * 5, poses[0].tolist()]
    assert set(bank.state_dict()) == {"thumbnails", "maps", "poses"}
