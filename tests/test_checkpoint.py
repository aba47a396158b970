from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from contrastcxr.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from contrastcxr.checkpoint.storage import SaveDtype
from contrastcxr.errors import CheckpointError, OutputError, UnknownNameError
from contrastcxr.files import find_checkpoint, known_checkpoints
from contrastcxr.text.tokenizer import Tokenizer
from tiny_system import tiny_checkpoint, tiny_config


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    config = tiny_config(encoder={"name": "test_efficientnet", "weights": "random"})
    return replace(
        tiny_checkpoint(config), temperature=1.7, thresholds={"Nodule": 0.25}, record={"best": {"bleu4": 0.1}}
    )


@pytest.fixture
def saved(tiny: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint.safetensors", tiny, dtype="float32")
    return tmp_path / "checkpoint.safetensors"


def rewritten(path: Path, **changes: str | None) -> Path:
    """The same file with some metadata changed or, where None, taken out."""
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **{k: v for k, v in changes.items() if v is not None}}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    kept = {k: v for k, v in metadata.items() if k not in changes or changes[k] is not None}
    save_file(tensors, path, metadata=kept)
    return path


def test_what_is_saved_comes_back_equal(tiny: Checkpoint, saved: Path) -> None:
    back = load_checkpoint(saved)
    for name in ("config", "tokenizer", "labels", "preprocess", "temperature", "thresholds", "sources", "record"):
        assert getattr(back, name) == getattr(tiny, name), name
    assert json.dumps(back.pool, sort_keys=True) == json.dumps(tiny.pool, sort_keys=True)
    assert back.state.keys() == tiny.state.keys()
    assert all(torch.equal(back.state[key], tiny.state[key]) for key in tiny.state)


@pytest.mark.parametrize(
    "contrast",
    [
        {"patches": True},
        {"stages": [0, 1]},
        {"aggregate": False},
        {"differentiate": False},
        {"pool": {"views": "same_view"}},
        {"patches": True, "stages": [0], "pool": {"views": "same_view", "kind": "zeros"}},
    ],
    ids=str,
)
def test_a_system_of_any_contrast_comes_back_whole(contrast: dict[str, object], tmp_path: Path) -> None:
    made = tiny_checkpoint(tiny_config(contrast=contrast))
    save_checkpoint(tmp_path / "c.safetensors", made, dtype="float32")
    images = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    views, positions = torch.tensor([[True, True], [True, False]]), [["PA", "LATERAL"], ["PA"]]
    built = (made.build(), load_checkpoint(tmp_path / "c.safetensors").build())
    ours, back = (s.features(images=images, view_mask=views, positions=positions) for s in built)
    assert torch.equal(ours.patches, back.patches)
    assert torch.equal(ours.pooled, back.pooled)
    assert ours.evidence["pool_weights"].isfinite().all()


def test_a_built_system_is_in_eval_mode_with_the_temperature_and_the_saved_weights(saved: Path) -> None:
    checkpoint = load_checkpoint(saved)
    system = checkpoint.build()
    assert not system.training
    assert system.finding_head is not None
    assert float(system.finding_head.temperature) == pytest.approx(1.7)
    assert torch.equal(system.projection.linear.weight, checkpoint.state["projection.linear.weight"])


def test_half_precision_keeps_the_norm_statistics_in_full(tiny: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    size = save_checkpoint(path, tiny, dtype="float16")
    assert size == path.stat().st_size
    state = load_checkpoint(path).state
    statistics = [key for key in state if key.endswith("running_var")]
    assert statistics
    assert all(torch.equal(state[key], tiny.state[key]) for key in statistics)
    assert state["projection.linear.weight"].dtype == torch.float16
    load_checkpoint(path).build()


def test_a_value_beyond_half_precision_stays_whole(tiny: Checkpoint, tmp_path: Path) -> None:
    large = tiny.state["projection.linear.weight"].clone()
    large[0, 0] = 1e6
    path = tmp_path / "large.safetensors"
    save_checkpoint(path, replace(tiny, state={**tiny.state, "projection.linear.weight": large}), dtype="float16")
    assert load_checkpoint(path).state["projection.linear.weight"][0, 0] == 1e6


def test_another_format_version_is_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint format 99, this version reads 1"):
        load_checkpoint(rewritten(saved, format_version="99"))


def test_missing_metadata_are_named(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="lack vocabulary"):
        load_checkpoint(rewritten(saved, vocabulary=None))


def test_safetensors_of_another_project_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="without its metadata"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"not at all")
    with pytest.raises(CheckpointError, match=r"broken\.safetensors: expected a safetensors checkpoint"):
        load_checkpoint(path)


def test_an_unknown_key_in_the_saved_configuration_speaks_of_versions(saved: Path) -> None:
    values = {**tiny_config().to_dict(), "flux": 3}
    with pytest.raises(CheckpointError, match="written by another version"):
        load_checkpoint(rewritten(saved, config=json.dumps(values)))


def test_an_option_that_is_gone_does_not_keep_a_checkpoint_from_being_read(saved: Path, tiny: Checkpoint) -> None:
    values = tiny.config.to_dict()
    values["train"]["validate_every"] = 1
    assert load_checkpoint(rewritten(saved, config=json.dumps(values))).config == tiny.config
    values["train"]["validate_every"] = 2
    with pytest.raises(CheckpointError, match=r"train\.validate_every: is gone; .* remove it"):
        load_checkpoint(rewritten(saved, config=json.dumps(values)))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", ["pool.raw", "finding_head.linear.bias", "encoder.backbone.conv_stem.weight"])
def test_weights_that_are_no_finite_numbers_are_refused_by_name(
    tiny: Checkpoint, tmp_path: Path, number: float, dtype: SaveDtype, name: str
) -> None:
    state = {key: value.clone() for key, value in tiny.state.items()}
    state[name].view(-1)[0] = number
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, replace(tiny, state=state), dtype=dtype)
    with pytest.raises(CheckpointError, match=rf": .* found 1 of [\d,]+ NaN or infinite in {name}; ") as refused:
        load_checkpoint(path)
    assert "\n" not in str(refused.value)


def test_a_training_state_with_a_nan_is_refused_by_name(tiny: Checkpoint, saved: Path) -> None:
    state = {f"system.{name}": value.clone() for name, value in tiny.state.items()}
    state["system.pool.raw"].view(-1)[3] = float("nan")
    torch.save({"state_dict": state}, saved.with_name("last.ckpt"))
    with pytest.raises(CheckpointError, match=r"found 1 of [\d,]+ NaN or infinite in pool\.raw; "):
        load_checkpoint(saved.with_name("last.ckpt"), allow_pickle=True)


def test_weights_whose_sum_is_too_large_are_not_taken_for_infinite_ones(tiny: Checkpoint, tmp_path: Path) -> None:
    state = {**tiny.state, "pool.raw": torch.full_like(tiny.state["pool.raw"], 3e38)}
    save_checkpoint(tmp_path / "c.safetensors", replace(tiny, state=state), dtype="float32")
    assert load_checkpoint(tmp_path / "c.safetensors").state["pool.raw"].isfinite().all()


def test_weights_that_do_not_fit_the_configuration_are_refused(tiny: Checkpoint) -> None:
    state = {key: value for key, value in tiny.state.items() if key != "projection.linear.bias"}
    with pytest.raises(CheckpointError, match="do not fit"):
        replace(tiny, state=state).build()


@pytest.mark.parametrize(
    "kind", ["nic", "up_down", "hlstm", "transformer"], ids=["words", "recurrent", "sentences", "transformer"]
)
def test_a_vocabulary_of_another_size_is_refused_with_both_sizes(kind: str) -> None:
    options = {"layers": 1, "heads": 2, "feed_forward": 16} if kind == "transformer" else {}
    checkpoint = tiny_checkpoint(tiny_config(decoder={"kind": kind, **options}))
    other, own = Tokenizer.train(["One two three."], min_count=1), len(checkpoint.tokenizer)
    with pytest.raises(CheckpointError, match=rf"vocabulary has {len(other)} tokens.* trained with {own}; "):
        replace(checkpoint, tokenizer=other).build()


def test_a_pickle_is_refused_without_the_flag(saved: Path) -> None:
    path = saved.parent / "last.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="allow-pickle"):
        load_checkpoint(path)


def test_a_training_state_is_read_with_weights_only_when_allowed(tiny: Checkpoint, saved: Path) -> None:
    path = saved.parent / "last.ckpt"
    changed = {f"system.{key}": value for key, value in tiny.state.items()}
    changed["system.projection.linear.bias"] = torch.ones(16)
    torch.save({"state_dict": changed}, path)
    assert torch.equal(load_checkpoint(path, allow_pickle=True).state["projection.linear.bias"], torch.ones(16))


def test_a_pickle_that_would_run_code_is_refused_even_when_allowed(saved: Path, tmp_path: Path) -> None:
    path = saved.parent / "last.ckpt"
    torch.save({"state_dict": tmp_path}, path)  # a Path object: its class would be called
    with pytest.raises(CheckpointError, match="expected the state of a training run"):
        load_checkpoint(path, allow_pickle=True)


def test_a_name_is_found_in_the_users_folder_first(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved.parent / "models"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "mine.safetensors").write_bytes(saved.read_bytes())
    (folder / "phantom.safetensors").write_bytes(saved.read_bytes())
    monkeypatch.setenv("CONTRASTCXR_MODELS", str(folder))
    assert find_checkpoint("mine") == folder / "mine" / "mine.safetensors"
    assert known_checkpoints()["phantom"] == folder / "phantom.safetensors"


def test_a_run_folder_stands_for_its_checkpoint(saved: Path) -> None:
    assert find_checkpoint(saved.parent) == saved


def test_an_unknown_name_names_the_nearest_known_one(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved.rename(saved.with_name("phantom.safetensors"))
    monkeypatch.setenv("CONTRASTCXR_MODELS", str(saved.parent))
    with pytest.raises(UnknownNameError, match="did you mean 'phantom'"):
        load_checkpoint("phantm")


def test_a_folder_that_cannot_be_written_leaves_nothing(tiny: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "file" / "checkpoint.safetensors", tiny)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_checkpoint_names_no_folder_of_the_machine_it_was_made_on(tiny: Checkpoint, tmp_path: Path) -> None:
    data = tiny.config.data.model_copy(update={"root": "/somewhere/private"})
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, replace(tiny, config=tiny.config.model_copy(update={"data": data})), dtype="float32")
    assert b"/somewhere/private" not in path.read_bytes()
    assert load_checkpoint(path).config.data.root is None


ALIGN = {"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_canonical_chest_comes_back_to_the_bit_with_its_crop(tmp_path: Path, dtype: SaveDtype) -> None:
    made = tiny_checkpoint(tiny_config(align=ALIGN))
    save_checkpoint(tmp_path / "c.safetensors", made, dtype=dtype)
    found = load_checkpoint(tmp_path / "c.safetensors").build()
    assert found.aligner is not None
    assert torch.equal(found.aligner.canonical, made.state["aligner.canonical"])
    assert (found.aligner.crop, found.aligner.images) == ((0.1, 0.1, 0.9, 0.9), 4)
    assert not found.aligner.trained_here


def test_an_aligning_system_without_its_canonical_chest_is_refused(tmp_path: Path) -> None:
    made = tiny_checkpoint(tiny_config(align=ALIGN))
    save_checkpoint(tmp_path / "c.safetensors", replace(made, canonical=None))
    with pytest.raises(CheckpointError, match="aligns pictures and lacks its canonical chest"):
        load_checkpoint(tmp_path / "c.safetensors").build()
