"""The joined system: pictures or cached features in, contrasted features out."""

from __future__ import annotations

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets
from contrastcxr.models.contrast.attention import ContrastiveAttention
from contrastcxr.models.contrast.pool import NormalityPool, PoolRows
from contrastcxr.models.encoders import Encoder, build_encoder
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.findings import FindingHead
from contrastcxr.models.heads.options import FindingHeadOptions
from contrastcxr.models.projection import PatchProjection
from contrastcxr.models.system import System

D = 8


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return build_encoder("test_resnet", weights="random", image_size=64)


def _pool(channels: int) -> NormalityPool:
    names = tuple(f"{n}" for n in range(6))
    rows = PoolRows(names, names, ("a", "a", "b", "c", "d", "e"), ("PA",) * 3 + ("LATERAL",) * 3, (None,) * 6)
    return NormalityPool(torch.randn(6, channels, generator=torch.Generator().manual_seed(0)), rows)


def _system(encoder: Encoder, *, contrast: bool = True, match_views: bool = True) -> System:
    torch.manual_seed(0)
    return System(
        encoder=encoder,
        projection=PatchProjection(encoder.channels, D),
        decoder=build_decoder("transformer", vocabulary=12, width=D, heads=2, layers=1, feed_forward=8),
        finding_head=FindingHead(HeadInputs(width=D, findings=("Mass",)), FindingHeadOptions(labels="phantom")),
        contrast=ContrastiveAttention(D) if contrast else None,
        pool=_pool(encoder.channels) if contrast else None,
        match_views=match_views,
    )


IMAGES = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
VIEWS = torch.tensor([[True, True], [True, False]])
POSITIONS = [["PA", "LATERAL"], ["PA"]]


def test_cached_features_equal_pictures(encoder: Encoder) -> None:
    system = _system(encoder).eval()
    from_images = system.features(images=IMAGES, view_mask=VIEWS)
    from_cache = system.features(raw=system.encode(IMAGES), view_mask=VIEWS)
    torch.testing.assert_close(from_images.patches, from_cache.patches)
    assert from_images.patches.shape == (2, 2 * encoder.grid[0] * encoder.grid[1], D)


def test_own_patient_and_other_views_are_left_out_of_the_comparison(encoder: Encoder) -> None:
    found = _system(encoder).features(images=IMAGES, view_mask=VIEWS, patient_ids=["a", "z"], positions=POSITIONS)
    keep = found.evidence["pool_keep"].tolist()
    assert keep == [[False, False, True, True, True, True], [True, True, True, False, False, False]]


def test_positions_of_padded_views_do_not_count(encoder: Encoder) -> None:
    padded = [["PA", "LATERAL"], ["PA", "unknown"]]
    found = _system(encoder).features(images=IMAGES, view_mask=VIEWS, positions=padded)
    assert found.evidence["pool_keep"][1].tolist() == [True, True, True, False, False, False]


def test_views_are_not_matched_when_told_so(encoder: Encoder) -> None:
    system = _system(encoder, match_views=False)
    assert system.features(images=IMAGES, view_mask=VIEWS, positions=POSITIONS).evidence["pool_keep"].all()


def test_gradient_reaches_the_projection_through_the_pool_alone(encoder: Encoder) -> None:
    system = _system(encoder)
    raw = torch.zeros(2, 2, 4, encoder.channels)  # the images themselves give W_I no gradient
    system.features(raw=raw, view_mask=VIEWS).pooled.square().sum().backward()
    grad = system.projection.linear.weight.grad
    assert grad is not None
    assert grad.abs().sum() > 0


def test_a_training_step_of_both_losses_reaches_every_trained_parameter(encoder: Encoder) -> None:
    system = _system(encoder).eval()
    features = system.features(images=IMAGES, view_mask=VIEWS)
    ids = torch.tensor([[1, 4, 5, 2], [1, 6, 2, 0]])
    known = torch.ones(2, 1, dtype=torch.bool)
    terms = system.teach(features, Targets(ids, ids[:, 1:] != 0, findings=known.float(), known=known))
    assert set(terms) == {"word", "finding"}
    sum(mean for mean, _ in terms.values()).backward()
    trained = {name: p for name, p in system.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None or p.grad.abs().sum() == 0] == []
    assert not any(name.startswith("encoder") for name in trained)


def test_the_baseline_is_the_same_system_without_contrast(encoder: Encoder) -> None:
    plain = _system(encoder, contrast=False)
    features = plain.features(images=IMAGES, view_mask=VIEWS, patient_ids=["a", "b"], positions=POSITIONS)
    expected = plain.projection(plain.encode(IMAGES), VIEWS)
    torch.testing.assert_close(features.patches, expected.patches)
    assert dict(features.evidence) == {}


def test_saved_weights_hold_pool_and_temperature(encoder: Encoder) -> None:
    names = set(_system(encoder).state_dict())
    assert {"pool.raw", "finding_head.temperature"} <= names


def test_neither_or_both_kinds_of_input_are_refused(encoder: Encoder) -> None:
    with pytest.raises(IncompatibleError, match="either images or raw features"):
        _system(encoder).features(view_mask=VIEWS)


def test_pictures_without_an_encoder_are_refused() -> None:
    system = System(
        projection=PatchProjection(4, D),
        decoder=build_decoder("nic", vocabulary=5, width=D, embedding=4, hidden=4),
    )
    with pytest.raises(IncompatibleError, match="has no encoder"):
        system.features(images=IMAGES, view_mask=VIEWS)


@pytest.mark.parametrize(
    ("kind", "contrast", "pool", "message"),
    [
        ("r2gen", True, True, "projection 'r2gen'"),
        ("linear", True, False, "go together"),
        ("linear", False, True, "go together"),
    ],
)
def test_impossible_pairs_are_refused(kind: str, contrast: bool, pool: bool, message: str) -> None:
    with pytest.raises(IncompatibleError, match=message):
        System(
            projection=PatchProjection(4, D, kind=kind),  # type: ignore[arg-type]
            decoder=build_decoder("nic", vocabulary=5, width=D, embedding=4, hidden=4),
            contrast=ContrastiveAttention(D) if contrast else None,
            pool=_pool(4) if pool else None,
        )


def _of_stages(*, per_view: bool = False, stage: int | None = None) -> System:
    encoder = build_encoder("test_resnet", weights="random", image_size=64, stage=stage, stages=(0, 1))
    torch.manual_seed(0)
    return System(
        encoder=encoder,
        projection=PatchProjection(encoder.channels, D, stage_channels=encoder.stage_channels),
        decoder=build_decoder("nic", vocabulary=5, width=D, embedding=4, hidden=4),
        contrast=ContrastiveAttention(D, 2, stages=2, per_view=per_view),
        pool=_pool(encoder.channels),
    )


def test_by_view_each_view_is_compared_with_its_own_position_and_never_with_its_patient(encoder: Encoder) -> None:
    system = _system(encoder)
    assert system.pool is not None
    system.contrast = ContrastiveAttention(D, per_view=True)
    exclude = system._exclude(system.pool, VIEWS, ["a", "z"], POSITIONS)
    assert exclude is not None
    kept = (~exclude).int().tolist()
    assert kept[0] == [[0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    assert kept[1][0] == [1, 1, 1, 0, 0, 0]
    found = system.features(images=IMAGES, view_mask=VIEWS, patient_ids=["a", "z"], positions=POSITIONS)
    assert found.evidence["pool_weights"].sum(dim=-1).allclose(torch.ones(2, 6))


@pytest.mark.parametrize("per_view", [False, True])
def test_an_absent_view_changes_nothing_with_further_stages(per_view: bool) -> None:
    system = _of_stages(per_view=per_view).eval()
    raw = system.encode(IMAGES)
    noise = raw.clone()
    noise[1, 1] = 9.0
    options = {"view_mask": VIEWS, "positions": POSITIONS}
    found = system.features(raw=noise, **options)
    expected = system.features(raw=raw, **options)
    torch.testing.assert_close(found.patches, expected.patches)
    torch.testing.assert_close(found.pooled, expected.pooled)
    alone = system.features(raw=raw[1:, :1], view_mask=VIEWS[1:, :1], positions=POSITIONS[1:])
    torch.testing.assert_close(alone.pooled, expected.pooled[1:])


@pytest.mark.parametrize("stage", [None, 3])
def test_further_stages_stand_behind_the_map_and_leave_it_as_it_is(stage: int | None) -> None:
    plain = build_encoder("test_resnet", weights="random", image_size=64, stage=stage)
    more = build_encoder("test_resnet", weights="random", image_size=64, stage=stage, stages=(0, 1))
    single = [build_encoder("test_resnet", weights="random", image_size=64, stage=s) for s in (0, 1)]
    assert more.stage_channels == tuple(e.channels for e in single)
    raw = more(IMAGES[0])
    torch.testing.assert_close(raw[..., : plain.channels], plain(IMAGES[0]))
    means = raw.mean(dim=1)[:, plain.channels :]
    torch.testing.assert_close(means, torch.cat([e(IMAGES[0]).mean(dim=1) for e in single], dim=1))
    assert more.fingerprint() != plain.fingerprint()


def test_gradient_reaches_the_maps_of_all_stages_through_the_pool_too() -> None:
    system = _of_stages()
    system.features(images=IMAGES, view_mask=VIEWS).pooled.square().sum().backward()
    dead = [
        name
        for name, p in system.named_parameters()
        if p.requires_grad and not name.startswith("decoder") and (p.grad is None or not p.grad.abs().sum())
    ]
    assert dead == []


def test_further_stages_that_only_one_part_has_are_refused(encoder: Encoder) -> None:
    with pytest.raises(IncompatibleError, match=r"same contrast\.stages"):
        System(
            projection=PatchProjection(encoder.channels, D),
            decoder=build_decoder("nic", vocabulary=5, width=D, embedding=4, hidden=4),
            contrast=ContrastiveAttention(D, stages=1),
            pool=_pool(encoder.channels),
        )


def test_a_pool_of_studies_cannot_be_compared_view_by_view(encoder: Encoder) -> None:
    pool = _pool(encoder.channels)
    with pytest.raises(IncompatibleError, match=r"set pool\.unit: image"):
        System(
            projection=PatchProjection(encoder.channels, D),
            decoder=build_decoder("nic", vocabulary=5, width=D, embedding=4, hidden=4),
            contrast=ContrastiveAttention(D, per_view=True),
            pool=NormalityPool(pool.raw, pool.rows, unit="study"),
        )


def test_patch_contrast_needs_and_uses_its_own_pool(encoder: Encoder) -> None:
    parts = {
        "projection": PatchProjection(encoder.channels, D),
        "decoder": build_decoder("nic", vocabulary=5, width=D, embedding=4, hidden=4),
        "contrast": ContrastiveAttention(D, patches=True),
        "pool": _pool(encoder.channels),
    }
    with pytest.raises(IncompatibleError, match="pool of patch vectors"):
        System(**parts)  # type: ignore[arg-type]
    system = System(**parts, patch_pool=_pool(encoder.channels))  # type: ignore[arg-type]
    raw = torch.randn(2, 2, 4, encoder.channels)
    assert system.features(raw=raw, view_mask=VIEWS, patient_ids=["a", "b"]).patches.shape == (2, 8, D)
