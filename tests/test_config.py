"""Reading a configuration; that every field of one is used is watched in tests/train/test_config_is_read.py."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from contrastcxr.config import SystemConfig, load_config, parse_config, without_folders
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.errors import ConfigError, IncompatibleError
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.localizers.options import CamOptions
from contrastcxr.models.heads.options import SLOTS, HeadNeeds

ROOT = Path(__file__).resolve().parents[1]
COMPLETE = sorted(p for p in (ROOT / "configs").glob("*/*.yaml") if "\ndecoder:" in p.read_text(encoding="utf-8"))
"""Files that choose their decoder; those with a list to choose from are in test_config_decoder_settings.py."""
SMALL: dict[str, Any] = {"name": "small", "decoder": {"kind": "nic"}}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", COMPLETE, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_shipped_configuration_is_read_and_survives_being_written_out(path: Path) -> None:
    read = load_config(path)
    again = parse_config(read.to_dict(), where="again")
    assert again == read


@pytest.mark.parametrize(
    ("values", "place", "neighbour"),
    [
        ({"contrst": {}}, "contrst", "contrast"),
        ({"contrast": {"pool": {"knd": "zeros"}}}, "contrast.pool.knd", "kind"),
        ({"decoder": {"kind": "nic", "drpout": 0.1}}, "decoder.drpout", "dropout"),
        ({"decoder": {"kind": "mdt", "memory_slot": 2}}, "decoder.memory_slot", "memory_slots"),
        ({"decoder": {"kind": "hlstm", "sentence": 2}}, "decoder.sentence", "sentences"),
        ({"localizer": {"kind": "cam", "labels": "nih14", "poling": "mean"}}, "localizer.poling", "pooling"),
        ({"finding_head": {"labels": "nih14", "droput": 0}}, "finding_head.droput", "dropout"),
        ({"localiser": {"kind": "cam"}}, "localiser", "localizer"),
        ({"train": {"optimizer": {"weight_decy": 0}}}, "train.optimizer.weight_decy", "weight_decay"),
        ({"generate": {"beam": 3}}, "generate.beam", "beams"),
    ],
)
def test_an_unknown_key_is_refused_with_its_place_and_nearest_neighbour(
    values: dict[str, Any], place: str, neighbour: str
) -> None:
    with pytest.raises(ConfigError, match=rf"file\.yaml: unknown key '{place}'; did you mean '{neighbour}'"):
        parse_config({**SMALL, **values}, where="file.yaml")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["generate.threshold=0.2"], r"generate\.threshold 0\.2 with generate\.method beam: .* votes alone"),
        (["generate.samples=5"], r"generate\.samples 5 with generate\.method beam"),
        (["generate.method=votes", "generate.beams=5"], r"generate\.beams 5 with generate\.method votes: .* beam"),
        (["generate.method=votes", "generate.length_penalty=1"], r"length_penalty 1\.0 with .* votes"),
        (["generate.method=votes", "generate.top_p=0.5"], r"generate\.top_p 0\.5 .*: it .* nucleus alone"),
        (
            ["generate.temperature=2"],
            r"generate\.temperature 2\.0 .*: it means something with nucleus, votes alone",
        ),
    ],
)
def test_an_option_that_means_nothing_with_the_method_is_refused(
    tmp_path: Path, overrides: list[str], said: str
) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    with pytest.raises(ConfigError, match=said):
        load_config(tmp_path / "small.yaml", overrides=overrides)


def test_a_checkpoint_may_say_options_that_mean_nothing() -> None:
    """It writes every value out, and defaults may have been others when it was made."""
    made = parse_config({**SMALL, "generate": {"method": "greedy", "beams": 5, "threshold": 0.3}}, where="old")
    assert (made.generate.beams, made.generate.idle) == (5, ("beams", "threshold"))


def test_a_file_that_is_written_says_nothing_of_another_search(tmp_path: Path) -> None:
    """Else a run folder's file would be refused once a default of votes is another."""
    config = parse_config({**SMALL, "generate": {"method": "greedy", "beams": 5, "max_tokens": 40}}, where="old")
    (tmp_path / "run.yaml").write_text(config.to_yaml())
    written = yaml.safe_load(config.to_yaml())["generate"]
    assert written["max_tokens"] == 40
    assert written.keys() & {"beams", "threshold", "samples", "top_p"} == set()
    assert load_config(tmp_path / "run.yaml").generate.beams == GenerationSettings().beams


def test_an_unknown_key_like_none_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'train\.zzz'; known: .* and \d+ more"):
        parse_config({**SMALL, "train": {"zzz": 1}}, where="file.yaml")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": "wide"}, r"width: .*found 'wide'"),
        ({"train": {"epochs": 0}}, r"train\.epochs: .*found 0"),
        ({"decoder": {"kind": "lstm"}}, r"unknown decoder\.kind 'lstm'; did you mean 'hlstm'\?"),
        ({"decoder": {"kind": "topdwn"}}, r"unknown decoder\.kind 'topdwn'; did you mean 'topdown'\?"),
        ({"decoder": {"kind": "zzz"}}, r"unknown decoder\.kind 'zzz'; known: nic, visual_attention, "),
        ({"decoder": {}}, r"no 'decoder\.kind'; known: nic, visual_attention, "),
        (
            {"decoder": {"hidden": 8}},
            r"decoder\.hidden: there is no decoder here; give it a decoder\.kind of nic, visual_attention, .*, "
            "or take the option away",
        ),
        ({"decoder": "hlstm"}, r"decoder: expected keys, found 'hlstm'"),
        ({"decoder": {"kind": None}}, r"unknown decoder\.kind 'None'; known: .* and 5 more$"),
        ({"decoder": {"kind": ["nic"]}}, r"unknown decoder\.kind "),
        (
            {"localizer": {"kind": "cams", "labels": "nih14"}},
            r"unknown localizer\.kind 'cams'; did you mean 'cam'\?",
        ),
        (
            {"localizer": {"kind": "zzz"}},
            r"unknown localizer\.kind 'zzz'; known: cam, gradcam, li2018, retinanet, cross_attention$",
        ),
        ({"localizer": {}}, r"no 'localizer\.kind'; known: cam, gradcam, li2018, retinanet, cross_attention$"),
        ({"localizer": {"kind": "cam"}}, r"no 'localizer\.labels'; every "),
        ({"localizer": {"kind": "cam", "labels": "nih"}}, r"localizer\.labels: .*found 'nih'"),
        ({"localizer": "cam"}, r"localizer: expected keys, found 'cam'"),
        ({"localizer": {"kind": "nic"}}, r"unknown localizer\.kind 'nic'"),
        ({"decoder": {"kind": "cam"}}, r"unknown decoder\.kind 'cam'"),
        ({"losses": [{"kind": "zzz"}]}, r"unknown losses\.0\.kind 'zzz'; known: "),
        ({"losses": {"kind": "zzz"}}, r"losses: .*found \{'kind': 'zzz'\}"),
        ({"decoder": {"kind": "hlstm", "pool": "maxx"}}, r"decoder\.pool: .*'mean' or 'max', found 'maxx'"),
        ({"decoder": {"kind": "transformer", "layers": 0}}, r"decoder\.layers: "),
    ],
)
def test_a_bad_value_is_refused_with_its_place_and_what_was_found(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config({**SMALL, **values}, where="file.yaml")


RETIRED_AT_DEFAULT = {
    "contrast": {"pool": {"kind": "random", "per_position": False}},
    "decoder": {"kind": "hcr", "kept_tags": 10, "min_tag_count": 5},
    "train": {"epochs": 3, "validate_every": 1, "schedule": {"warmup_steps": 0, "factor": 0.5}},
}


def test_an_option_that_is_gone_may_stand_with_the_value_that_is_left() -> None:
    before = copy.deepcopy(RETIRED_AT_DEFAULT)
    config = parse_config({**SMALL, **RETIRED_AT_DEFAULT}, where="file.yaml")
    assert before == RETIRED_AT_DEFAULT
    assert config.contrast is not None
    assert (config.contrast.pool.kind, config.train.epochs, config.train.schedule.factor) == ("random", 3, 0.5)
    parse_config({**SMALL, "decoder": {"kind": "cvse", "groups": 30}}, where="file.yaml")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"contrast": {"pool": {"per_position": True}}},
            "contrast.pool.per_position: is gone; the value is always false, found True; remove it",
        ),
        (
            {"decoder": {"kind": "hcr", "kept_tags": 4}},
            "decoder.kept_tags: is gone; the value is always 10, found 4; remove it",
        ),
        (
            {"decoder": {"kind": "co_attention", "min_tag_count": 1}},
            "decoder.min_tag_count: is gone; the value is always 5, found 1; remove it",
        ),
        (
            {"decoder": {"kind": "cvse", "groups": "many"}},
            "decoder.groups: is gone; the value is always 30, found 'many'; remove it",
        ),
        (
            {"train": {"schedule": {"warmup_steps": 9}}},
            "train.schedule.warmup_steps: is gone; the value is always 0, found 9; remove it",
        ),
        (
            {"train": {"validate_every": None}},
            "train.validate_every: is gone; the value is always 1, found None; remove it",
        ),
    ],
)
def test_an_option_that_is_gone_is_refused_with_any_other_value(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({**SMALL, **values}, where="file.yaml")
    assert str(caught.value) == f"file.yaml: {said}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"decoder": {"kind": "nic", "groups": 30}}, "unknown key 'decoder.groups'"),
        ({"train": {"warmup_steps": 0}}, "unknown key 'train.warmup_steps'"),
        ({"contrast": [1]}, "contrast: expected keys"),
        ({"contrast": {"pool": {"kind": "per_position"}}}, "contrast.pool.kind: "),
    ],
)
def test_an_option_is_gone_from_its_own_part_only(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config({**SMALL, **values}, where="file.yaml")


def test_a_file_takes_what_it_does_not_say_from_its_parent(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "name: base\nwidth: 64\ndecoder: {kind: nic, dropout: 0.1}\n")
    child = write(tmp_path / "child.yaml", "extends: base.yaml\nname: child\ndecoder: {dropout: 0.2}\n")
    read = load_config(child)
    assert (read.name, read.width, read.decoder.kind, read.decoder.dropout) == ("child", 64, "nic", 0.2)


def test_weights_are_looked_for_beside_the_file_that_names_them(tmp_path: Path) -> None:
    weights = write(tmp_path / "mine.safetensors", "weights")
    (tmp_path / "configs").mkdir()
    text = "name: own\ndecoder: {kind: nic}\nencoder: {weights: ../mine.safetensors}\n"
    path = write(tmp_path / "configs" / "own.yaml", text)
    child = write(tmp_path / "child.yaml", "extends: configs/own.yaml\n")
    assert load_config(path).encoder.weights == load_config(child).encoder.weights == str(weights)
    elsewhere = load_config(path, overrides=["encoder.weights=../mine.safetensors"])
    assert elsewhere.encoder.weights == "../mine.safetensors"
    weights.unlink()
    assert load_config(path).encoder.weights == "../mine.safetensors"


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "extends: b.yaml\n")
    write(tmp_path / "b.yaml", "extends: a.yaml\n")
    with pytest.raises(ConfigError, match="leads back"):
        load_config(tmp_path / "a.yaml")


def test_overrides_change_values_make_parts_and_take_parts_away(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "name: c\ndecoder: {kind: nic}\nfinding_head: {labels: phantom}\n")
    read = load_config(
        path, overrides=["contrast.pool.kind=zeros", "train.optimizer.lr=1e-3", "finding_head=null"]
    )
    assert read.contrast is not None
    assert read.contrast.pool.kind == "zeros"
    assert read.train.optimizer.lr == 0.001
    assert read.finding_head is None


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("losses.1.weight=0.1", "no place '1' in a list of 1, counted from 0"),
        ("losses.first.weight=0.1", "no place 'first' in a list of 1"),
        ("losses.weight=0.1", "`losses` is a list; name an option of one of its places"),
    ],
)
def test_a_place_of_a_list_is_its_number(tmp_path: Path, override: str, said: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("{name: x, decoder: {kind: nic}, losses: [{kind: wcl, clusters: {k: 3}}]}")
    (loss,) = load_config(path, overrides=["losses.0.weight=0.1", "losses.0.clusters.k=4"]).losses
    assert loss.weight == 0.1
    assert loss.weak_labels is not None
    assert loss.weak_labels.k == 4
    with pytest.raises(ConfigError, match=said):
        load_config(path, overrides=[override])


@pytest.mark.parametrize("override", ["width", "=3", "name.first=x"])
def test_an_override_without_a_place_or_a_value_is_refused(tmp_path: Path, override: str) -> None:
    path = write(tmp_path / "c.yaml", "name: c\ndecoder: {kind: nic}\n")
    with pytest.raises(ConfigError, match="--set"):
        load_config(path, overrides=[override])


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", ""])
def test_a_file_that_is_no_configuration_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_config(write(tmp_path / "c.yaml", text))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_configuration_cannot_be_changed() -> None:
    read = parse_config(SMALL, where="small")
    with pytest.raises(ValueError, match="frozen"):
        read.width = 3  # type: ignore[misc]
    assert isinstance(read, SystemConfig)


def test_a_configuration_without_folders_keeps_only_names_of_files() -> None:
    values = {
        **SMALL,
        "encoder": {"name": "resnet50", "weights": "/home/me/weights/resnet50.safetensors"},
        "align": {"kind": "affine", "weights": "/home/me/runs/align", "start": "/home/me/resnet18.pth"},
        "train": {"init_from": "/home/me/runs/first/"},
        "data": {"source": "nih14-cv", "root": "/home/me/nih14"},
    }
    kept = without_folders(parse_config(values, where="here").to_dict())
    assert "/home" not in str(kept)
    assert (kept["encoder"]["weights"], kept["train"]["init_from"]) == ("resnet50.safetensors", "first")
    assert (kept["align"]["weights"], kept["align"]["start"]) == ("align", "resnet18.pth")
    assert kept["train"]["seed"] == 0


def test_a_rule_over_several_options_is_told_in_its_own_words() -> None:
    values = {**SMALL, "localizer": {"kind": "li2018", "labels": "chexpert", "mil_floor": 1.5, "upsample": 0}}
    with pytest.raises(ConfigError) as caught:
        parse_config(values, where="small")
    assert "Value error" not in str(caught.value)
    assert "localizer.mil_floor" in str(caught.value)


LABELS = {"labels": "chexpert", "uncertain": "ones"}
CAM = {"kind": "cam", **LABELS, "weight": 0.5, "transition": 32, "pooling": "log_sum_exp", "cuts": "tuned"}


@pytest.mark.parametrize("options", [{"kind": "cam", "labels": "nih14"}, CAM], ids=["defaults", "all"])
def test_a_localizer_survives_being_written_out_with_every_value(options: dict[str, Any]) -> None:
    config = parse_config({**SMALL, "localizer": options}, where="small")
    assert isinstance(config.localizer, CamOptions)
    written = config.to_dict()["localizer"]
    assert set(written) == set(CamOptions.model_fields)
    assert written.items() >= options.items()
    again = parse_config(yaml.safe_load(config.to_yaml()), where="again")
    assert again == config
    assert type(again.localizer) is CamOptions


@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_survives_being_written_out_with_every_value(kind: str) -> None:
    config = parse_config({"name": "small", "decoder": {"kind": kind}}, where="small")
    assert type(config.decoder) is DECODERS[kind].options
    assert set(config.to_dict()["decoder"]) == set(DECODERS[kind].options.model_fields)
    assert parse_config(config.to_dict(), where="again") == config


def test_heads_come_in_the_order_of_their_slots_and_what_is_not_there_is_none() -> None:
    everything = {"localizer": CAM, "finding_head": LABELS, "decoder": {"kind": "nic"}}
    config = parse_config({"name": "all", **everything}, where="all")
    assert list(config.heads) == list(SLOTS) == ["decoder", "finding_head", "localizer"]
    assert [config.heads[slot] for slot in SLOTS] == [config.decoder, config.finding_head, config.localizer]
    assert list(parse_config({"name": "some", "localizer": CAM}, where="some").heads) == ["localizer"]
    assert parse_config({"name": "none"}, where="none").heads == {}


@pytest.mark.parametrize(
    ("values", "needs"),
    [
        ({}, HeadNeeds()),
        ({"decoder": {"kind": "nic"}}, HeadNeeds(words=True)),
        ({"decoder": {"kind": "cvse", "library": 7}}, HeadNeeds(words=True, sentence_flags=True, library=7)),
        ({"decoder": {"kind": "hlstm_dual"}}, HeadNeeds(words=True, sentence_flags=True)),
        ({"decoder": {"kind": "hcr", "tags": "nih14"}}, HeadNeeds(words=True, tags="nih14")),
        ({"decoder": {"kind": "multi_attention"}}, HeadNeeds(words=True, indication=True, word_vectors=True)),
        (
            {"decoder": {"kind": "multi_attention", "background": "none", "word_vectors": "random"}},
            HeadNeeds(words=True),
        ),
        ({"finding_head": {"labels": "phantom"}}, HeadNeeds(findings="phantom")),
        ({"localizer": {"kind": "cam", "labels": "pneumonia"}}, HeadNeeds(findings="pneumonia")),
        ({"localizer": CAM}, HeadNeeds(findings="chexpert", uncertain="ones", boxes=True)),
        (
            {"localizer": {**CAM, "cuts": "fixed"}, "finding_head": LABELS, "decoder": {"kind": "r2gen"}},
            HeadNeeds(words=True, findings="chexpert", uncertain="ones"),
        ),
    ],
)
def test_a_system_needs_what_its_heads_need_together(values: dict[str, Any], needs: HeadNeeds) -> None:
    assert parse_config({"name": "needy", **values}, where="needy").needs == needs


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": "nih14"}, r"different labels \(chexpert and nih14\)"),
        ({"uncertain": "zeros"}, r"different labels \(ones and zeros\)"),
        ({"uncertain": "ignore"}, r"different labels \(ones and ignore\)"),
    ],
)
def test_heads_that_learn_different_labels_have_no_common_needs(changes: dict[str, Any], said: str) -> None:
    config = parse_config({"name": "two", "finding_head": LABELS, "localizer": {**CAM, **changes}}, where="two")
    with pytest.raises(IncompatibleError, match=said):
        _ = config.needs


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ({"decoder": {"kind": "nic"}}, {"word": 1.0}),
        ({"decoder": {"kind": "st", "coverage_weight": 0.3}}, {"word": 1.0, "coverage": 0.3}),
        ({"decoder": {"kind": "hlstm"}}, {"word": 1.0, "stop": 5.0}),
        ({"decoder": {"kind": "hlstm_dual", "abnormal_weight": 0.0}}, {"word": 1.0, "stop": 1.0, "abnormal": 0.0}),
        (
            {"decoder": {"kind": "hcr", "tag_weight": 2}},
            {"word": 1.0, "stop": 1.0, "tag": 2.0, "coverage": 1.0},
        ),
        ({"decoder": {"kind": "cvse", "ranking_weight": 4}}, {"ranking": 4.0}),
        ({"decoder": {"kind": "nic"}, "finding_head": {**LABELS, "weight": 0.1}}, {"word": 1.0, "finding": 0.1}),
        ({"localizer": CAM, "finding_head": LABELS}, {"finding": 1.0, "cam": 0.5}),
        ({}, {}),
    ],
)
def test_each_term_weighs_what_its_head_says(values: dict[str, Any], weights: dict[str, float]) -> None:
    assert parse_config({"name": "weighed", **values}, where="weighed").term_weights == weights


def test_the_run_of_regions_keeps_its_name_alone_in_a_record() -> None:
    values = {"data": {}, "encoder": {"regions": {"weights": "/somewhere/runs/detector-1", "pyramid": 8}}}
    assert without_folders(values)["encoder"] == {"regions": {"weights": "detector-1", "pyramid": 8}}
    assert without_folders({"data": {}, "encoder": {"regions": None}})["encoder"] == {"regions": None}
