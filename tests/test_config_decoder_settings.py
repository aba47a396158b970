"""One configuration per corpus and setting: what choosing a decoder from its list brings, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from contrastcxr.config import SystemConfig, load_config, parse_config
from contrastcxr.errors import ConfigError
from contrastcxr.models.heads.decoders import DECODERS

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CORPORA = ("cpu/phantom", "cpu/nih-plain", "paper/iu", "paper/mimic")
LISTED = "name: mine\nwidth: 64\ndecoders:\n  nic: {decoder: {dropout: 0.1}, width: 32}\n  up_down: {}\n"
ALIASES = {entry.also: kind for kind, entry in DECODERS.items() if entry.also}


def shipped(corpus: str, kind: str, *more: str) -> SystemConfig:
    return load_config(CONFIGS / f"{corpus}.yaml", overrides=[f"decoder.kind={kind}", *more])


def write(path: Path, text: str = LISTED) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_there_are_fewer_files_than_corpora_and_decoders() -> None:
    systems = [path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "experiments"]
    assert len(systems) <= 30


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_every_corpus_has_every_decoder_under_its_own_name(corpus: str, kind: str) -> None:
    read = shipped(corpus, kind)
    assert (read.name, read.decoder.kind) == (f"{corpus.partition('/')[2]}-{kind}".replace("_", "-"), kind)
    assert parse_config(read.to_dict(), where="again") == read


@pytest.mark.parametrize(
    ("corpus", "kind", "changes"),
    [
        ("cpu/phantom", "hlstm", {"train.optimizer.lr": 1e-3, "train.epochs": 20, "train.group_by_length": True}),
        ("cpu/phantom", "nic", {"train.optimizer.lr": 1e-3, "decoder.forget_bias": 1.0}),
        ("cpu/phantom", "transformer", {"decoder.layers": 2, "decoder.feed_forward": 512, "train.epochs": 12}),
        ("cpu/nih-plain", "transformer", {"decoder.layers": 3, "decoder.feed_forward": 1024, "train.epochs": 20}),
        ("cpu/nih-plain", "r2gen", {"decoder.memory_slots": 3, "train.optimizer.lr": 5e-4}),
        ("cpu/phantom", "co_attention", {"decoder.tags": "phantom"}),
        ("cpu/phantom", "cvse", {"decoder.negatives": "all", "train.monitor": "report_loss"}),
        ("cpu/nih-plain", "co_attention", {"decoder.tags": "nih14"}),
        ("paper/iu", "co_attention", {"decoder.tags": "mesh"}),
        ("paper/mimic", "co_attention", {"decoder.tags": "chexpert"}),
        ("paper/mimic", "hlstm", {"decoder.stop_weight": 5.0, "encoder.name": "resnet50"}),
        ("paper/iu", "r2gen", {"encoder.name": "resnet101", "encoder.trainable": True, "image.augment": True}),
    ],
)
def test_a_decoder_brings_what_the_list_of_its_corpus_says(
    corpus: str, kind: str, changes: dict[str, object]
) -> None:
    plain, read = shipped(corpus, kind).to_dict(), {}
    for path in changes:
        part, key = path.split(".", 1)
        read[path] = plain[part]["optimizer"]["lr"] if key == "optimizer.lr" else plain[part][key]
    assert read == changes


def test_settings_of_the_bundled_checkpoints_are_their_own() -> None:
    small = load_config(CONFIGS / "cpu" / "phantom-small.yaml")
    assert (small.name, small.train.epochs, small.decoder.model_dump()["feed_forward"]) == ("phantom", 20, 256)


def test_overrides_lie_above_the_settings_of_the_decoder_whatever_their_order() -> None:
    for order in (1, -1):
        changes = ["train.optimizer.lr=5.0e-5", "name=second", "decoder.kind=hlstm"][::order]
        read = load_config(CONFIGS / "cpu" / "phantom.yaml", overrides=changes)
        assert (read.name, read.train.optimizer.lr, read.decoder.kind) == ("second", 5e-5, "hlstm")


def test_settings_lie_above_the_file_with_the_list_and_below_one_that_extends_it(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml")
    read = load_config(path, overrides=["decoder.kind=nic"])
    assert (read.name, read.width, read.decoder.kind) == ("mine-nic", 32, "nic")
    child = write(tmp_path / "child.yaml", "extends: mine.yaml\ndecoder: {kind: nic, hidden: 8}\nwidth: 16\n")
    read = load_config(child)
    assert (read.name, read.width) == ("mine-nic", 16)
    wanted = {"name": "mine-nic", "width": 16, "decoder": {"kind": "nic", "hidden": 8, "dropout": 0.1}}
    assert read == parse_config(wanted, where="wanted")


def test_lists_of_a_file_and_its_parent_are_one(tmp_path: Path) -> None:
    write(tmp_path / "mine.yaml")
    child = write(tmp_path / "child.yaml", "extends: mine.yaml\nname: child\ndecoders: {nic: {width: 8}}\n")
    read = load_config(child, overrides=["decoder.kind=nic"])
    assert (read.name, read.width, read.decoder.model_dump()["dropout"]) == ("child-nic", 8, 0.1)
    assert load_config(child, overrides=["decoder.kind=up_down"]).width == 64


@pytest.mark.parametrize(("other", "kind"), ALIASES.items())
def test_another_name_of_a_decoder_chooses_it(other: str, kind: str) -> None:
    assert shipped("cpu/phantom", other) == shipped("cpu/phantom", kind)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], r"mine\.yaml: no decoder; choose one with --set decoder\.kind=KIND: nic, up_down$"),
        (
            ["decoder.hidden=3"],
            r"decoder\.hidden: there is no decoder here; choose one with --set decoder\.kind=KIND: nic, ",
        ),
        (["decoder.kind=up_dwn"], r"unknown decoder\.kind 'up_dwn'; did you mean 'up_down'\?"),
        (["decoder.kind=cvse"], r"unknown decoder\.kind 'cvse'; known: nic, up_down"),
        (["decoder=nic"], r"decoder: expected keys, found 'nic'; --set decoder\.kind=nic chooses one"),
        (["decoder.kind=nic", "decoders.nic.width=3"], "unknown key 'decoders'; did you mean 'decoder'"),
    ],
)
def test_a_choice_that_the_list_does_not_have_is_refused(tmp_path: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path / "mine.yaml"), overrides=overrides)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("[nic]", r"decoders: expected settings by kind of decoder, found \['nic'\]"),
        ("{nik: {}, nic: {}}", r"decoders: unknown decoder\.kind 'nik'; did you mean 'nic'\?"),
        ("{nic: }", r"decoders\.nic: expected keys such as `train:`, or \{\}, found None"),
        ("{nic: {decoder: 3}}", r"decoders\.nic: expected keys"),
        ("{nic: {decoder: {drpout: 0.1}}}", r"unknown key 'decoder\.drpout'; did you mean 'dropout'\?"),
    ],
)
def test_a_list_of_something_else_is_refused(tmp_path: Path, listed: str, said: str) -> None:
    path = write(tmp_path / "mine.yaml", f"name: mine\ndecoders: {listed}\n")
    with pytest.raises(ConfigError, match=rf"mine\.yaml: {said}"):
        load_config(path, overrides=["decoder.kind=nic"])


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("corpus", CORPORA)
def test_a_file_of_one_decoder_is_answered_with_what_to_type(corpus: str, kind: str) -> None:
    old = CONFIGS / f"{corpus}-{kind.replace('_', '-')}.yaml"
    with pytest.raises(ConfigError) as caught:
        load_config(old)
    assert str(caught.value) == f"{old} is now `{CONFIGS / corpus}.yaml --set decoder.kind={kind}`"


def test_an_absent_file_beside_one_without_a_list_is_simply_absent(tmp_path: Path) -> None:
    write(tmp_path / "mine.yaml", "name: mine\ndecoder: {kind: nic}\n")
    with pytest.raises(ConfigError, match=r"mine-hlstm\.yaml: No such file"):
        load_config(tmp_path / "mine-hlstm.yaml")
