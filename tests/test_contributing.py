"""CONTRIBUTING.md is true: a part of each kind is one new file and one line in a literal dict, and all works."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from contrastcxr import api
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.cli.main import run as command
from contrastcxr.config import SystemConfig, parse_config
from contrastcxr.data.sources import SOURCES
from contrastcxr.errors import ConfigError, UnknownNameError
from contrastcxr.evaluation import Bootstrap
from contrastcxr.form import Reading
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.localizers import LOCALIZERS
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.run_folder import RunFolder
from contributing.toy_reader import EFFUSION, TABLE
from contributing.toys import SIZES, register_toys, toy_values, write_toy_data
from models import tiny_heads
from models.heads import test_heads

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "contrastcxr"
REGISTRIES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "a decoder": ("DECODERS", DECODERS),
    "a localizer": ("LOCALIZERS", LOCALIZERS),
    "a loss of the system": ("SYSTEM_LOSSES", SYSTEM_LOSSES),
    "a data source": ("SOURCES", SOURCES),
}
"""What one adds -> the dict that takes its line."""
Row = tuple[list[str], str]


def sections() -> dict[str, list[Row]]:
    """What one adds -> the rows of its list: files, and what is said of them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = {}
    for title, body in re.findall(r"^## To add (.+?), touch these files\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        rows = [line.strip("|").split("|", 1) for line in body.splitlines() if line.startswith("| `")]
        found[title] = [(re.findall(r"`([^`]+)`", files), said) for files, said in rows]
    return found


def of_src(title: str) -> list[Row]:
    return [(files, said) for files, said in sections()[title] if files[0].startswith("src/")]


def literal_dict(path: Path, name: str) -> ast.Dict:
    """The dict that a module gives a name, which must stand there as a literal."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == name:
            assert isinstance(node, ast.AnnAssign)
            assert isinstance(node.value, ast.Dict), f"{path}: {name} is no literal dict"
            return node.value
    raise AssertionError(f"{path} has no {name}")


def test_there_is_a_list_for_each_kind_of_part() -> None:
    assert set(sections()) == set(REGISTRIES)


@pytest.mark.parametrize("title", REGISTRIES)
def test_the_files_of_a_list_are_there_and_new_ones_have_a_folder(title: str) -> None:
    for files, _ in sections()[title]:
        for file in files:
            place = ROOT / file
            assert place.parent.is_dir() if "NAME" in file else place.is_file(), file
    tests = [file for files, _ in sections()[title] for file in files if file.startswith("tests/")]
    (new,) = [files[0] for files, _ in of_src(title) if "NAME" in files[0]]
    beside = new.replace("src/contrastcxr/", "tests/").replace("NAME.py", "test_NAME.py")
    assert beside in tests, f"tests mirror src/: {beside}"


@pytest.mark.parametrize("title", REGISTRIES)
def test_in_src_it_is_one_new_file_one_line_in_a_literal_dict_and_options(title: str) -> None:
    registry, entries = REGISTRIES[title]
    new, lines, options = [], [], []
    for files, said in of_src(title):
        (file,) = files
        group = new if "NAME" in file else lines if f"one line in `{registry}`" in said else options
        group.append(file)
    assert (len(new), len(lines)) == (1, 1)
    assert [Path(file).name for file in options] == ([] if title == "a data source" else ["options.py"])
    literal = literal_dict(ROOT / lines[0], registry)
    assert [key.value for key in literal.keys if isinstance(key, ast.Constant)] == list(entries)


@pytest.mark.parametrize("title", ["a decoder", "a localizer", "a loss of the system"])
def test_every_registered_part_is_where_its_list_says(title: str) -> None:
    (new,) = [files[0] for files, _ in of_src(title) if "NAME" in files[0]]
    (options,) = [files[0] for files, _ in of_src(title) if files[0].endswith("/options.py")]
    for entry in REGISTRIES[title][1].values():
        module = str(entry.place).partition(":")[0]  # type: ignore[attr-defined]
        assert Path(new).parent == Path("src", *module.split(".")).parent
        assert entry.options.__module__ == ".".join(Path(options).with_suffix("").parts[1:])  # type: ignore[attr-defined]


def test_every_source_is_where_its_list_says() -> None:
    for kind in SOURCES.values():
        assert kind.source.__module__.startswith("contrastcxr.data.readers.")


ANOTHER_MEANING = {
    "reproduce/estimate.py",  # names of rows that took so many seconds
    "metrics/efficacy.py",  # the words that R2Gen's authors score by
    "data/readers/iu_xray.py",  # a layout of files
    "models/projection.py",  # a projection
    "models/options.py",
    "checkpoint/r2gen/__init__.py",  # writes the configuration of a file of R2Gen's
    "config/decoder_settings.py",
}


def said_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_no_other_file_of_src_knows_the_name_of_a_head() -> None:
    kinds = {*DECODERS, *LOCALIZERS}
    knowing = {
        f.relative_to(SRC).as_posix(): kinds & said_in(f)
        for f in SRC.rglob("*.py")
        if f.relative_to(SRC).parts[:2] != ("models", "heads")
    }
    found = {name for name, said in knowing.items() if said}
    assert found <= ANOTHER_MEANING, {name: knowing[name] for name in found - ANOTHER_MEANING}


# The toys


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Each toy put in with its one line; the folder holds a configuration of all four and their data."""
    folder = tmp_path_factory.mktemp("toys")
    with pytest.MonkeyPatch.context() as patch:
        register_toys(patch)
        values = toy_values(write_toy_data(folder / "data"))
        (folder / "toys.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        yield folder


@pytest.fixture(scope="module")
def trained(toys: Path) -> RunFolder:
    return api.train(toys / "toys.yaml", out=toys / "run", cache=toys / "cache", progress=False)


def config_of(toys: Path, **changes: Any) -> SystemConfig:
    values = yaml.safe_load((toys / "toys.yaml").read_text(encoding="utf-8"))
    return parse_config({**values, **changes}, where="toys.yaml")


def test_a_configuration_with_toys_survives_being_written_out(toys: Path) -> None:
    config = config_of(toys)
    assert list(config.heads) == ["decoder", "localizer"]
    assert config.term_weights == {"word": 1.0, "toy_map": 1.0, "toy_distance": 0.5}
    assert (config.needs.words, config.needs.findings) == (True, "chexpert")
    assert parse_config(config.to_dict(), where="again") == config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoder": {"kind": "tooy"}}, r"unknown decoder\.kind 'tooy'; did you mean 'toy'"),
        ({"decoder": {"kind": "toy", "hiden": 4}}, r"unknown key 'decoder\.hiden'; did you mean 'hidden'"),
        ({"decoder": {"kind": "toy", "hidden": 1}}, r"decoder\.hidden: .*found 1"),
        ({"decoder": {"kind": "zzz"}}, r"unknown decoder\.kind 'zzz'; known: .* and \d+ more$"),
        (
            {"localizer": {"kind": "toy_mpa", "labels": "nih14"}},
            r"localizer\.kind 'toy_mpa'; did you mean 'toy_map'",
        ),
        ({"localizer": {"kind": "toy_map"}}, r"no 'localizer\.labels'"),
        ({"losses": [{"kind": "toy_distanc"}]}, r"losses\.0\.kind 'toy_distanc'; did you mean 'toy_distance'"),
        ({"losses": [{"kind": "toy_distance", "wight": 2}]}, r"key 'losses\.0\.wight'; did you mean 'weight'"),
        ({"losses": [{}]}, r"no 'losses\.0\.kind'; known: .*toy_distance"),
    ],
)
def test_errors_of_a_configuration_name_the_toys(toys: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_of(toys, **changes)


def test_a_source_that_nobody_knows_is_answered_with_the_toy(toys: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'toy'"):
        run(config_of(toys, data={"source": "toyy", "root": "here"}), out=toys / "never", cache=toys / "cache")


def test_the_toys_are_trained_and_their_weights_kept(trained: RunFolder, toys: Path) -> None:
    checkpoint = load_checkpoint(trained.path)
    assert checkpoint.config.to_dict()["decoder"] == {"kind": "toy", "hidden": 8}
    own = {name.rpartition(".")[0] for name in checkpoint.state if not name.startswith("encoder.")}
    assert {"decoder.cell", "localizer.classifier", "losses.toy_distance.of_words"} <= own
    assert checkpoint.sources[0].name == "toy"
    lines = [json.loads(line) for line in (trained.path / "metrics.jsonl").read_text().splitlines()]
    assert set(lines[0]["train"]) == {"word", "toy_map", "toy_distance"}
    assert toys in trained.path.parents


def test_a_study_is_read_by_the_toys_and_again_bit_equal(trained: RunFolder, toys: Path) -> None:
    study = api.load_studies(f"toy:{toys / 'data'}/test")[1]
    first, again = (Reader.from_checkpoint(trained.path).read(study) for _ in range(2))
    assert first == again
    effusion = first.finding(EFFUSION)
    assert effusion is not None
    assert effusion.probability is not None
    assert effusion.region
    assert first.report.findings
    assert first.provenance["model"]["decoder"] == "toy"
    assert first.provenance["model"]["localizer"] == "toy_map"
    assert Reading.model_validate_json(first.model_dump_json(by_alias=True)) == first


def test_the_command_reads_a_picture_with_the_toys(
    trained: RunFolder, toys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = toys / "data" / "test-1.png"
    assert command(["read", str(picture), "--model", str(trained.path), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    page = next((tmp_path / "out").glob("*.html")).read_text(encoding="utf-8")
    assert EFFUSION in page


def test_models_lists_the_toys(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert toys.is_dir()
    assert command(["models", "--json"]) == 0
    listed = {(entry["kind"], entry["name"]) for entry in json.loads(capsys.readouterr().out)}
    assert {("decoder", "toy"), ("localizer", "toy_map"), ("loss", "toy_distance")} <= listed


@pytest.mark.parametrize(("toy", "option"), [("toy", "hidden"), ("toy_map", "cut"), ("toy_distance", "width")])
def test_models_prints_the_options_of_a_toy(
    toys: Path, toy: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert toys.is_dir()
    assert command(["models", toy]) == 0
    assert f".{option}" in capsys.readouterr().out


def test_data_lists_the_toy_checks_it_and_knows_its_folder(toys: Path) -> None:
    root = toys / "data"
    assert f"toy:<{SOURCES['toy'].root}>" in {source["name"] for source in api.list_data()}
    assert api.list_data([root])[-1]["data"] == [f"toy:{root}"]
    checked = json.dumps(api.check_data(f"toy:{root}"), default=str)
    assert str(sum(SIZES.values())) in checked
    assert (root / TABLE).is_file()


def test_an_evaluation_scores_what_the_toys_write_and_mark(trained: RunFolder, toys: Path) -> None:
    found = api.evaluate(
        trained.path,
        data=f"toy:{toys / 'data'}",
        with_meteor=False,
        bootstrap=Bootstrap(replicates=20, minimum=2),
        out=toys / "out",
        cache=toys / "cache",
    )
    assert found.facts["boxes"].startswith("3 on 3 studies")
    for name in ("bleu_4", "positive_f1", "auc_mean", "tiou_0.1", "pointing", "false_boxes"):
        assert found.scores[name].value is not None, name
    assert {"constant", "neighbour", "mean_box", "ceiling"} <= set(found.systems)
    assert (toys / "out" / "report.html").is_file()


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    "case", [("decoder", "toy", {"hidden": 8}), ("localizer", "toy_map", {})], ids=test_heads.named
)
def test_the_toys_do_what_every_head_must(
    case: test_heads.Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labelled = {"labels": "phantom", "findings": tiny_heads.FINDINGS}
    monkeypatch.setitem(tiny_heads.TINY[case[0]], case[1], {} if case[0] == "decoder" else labelled)
    test_heads.test_it_is_what_it_was_built_as(case)
    test_heads.test_its_terms_are_finite_and_are_those_that_its_options_weigh(case)
    test_heads.test_gradient_reaches_every_parameter(case)
    test_heads.test_it_saves_and_loads_bit_equal(case, tmp_path)
    test_heads.test_it_answers_what_its_slot_is_for_and_leaves_the_rest_open(case)
    test_heads.test_order_and_size_of_the_batch_change_no_answer(case, [3, 1, 0, 2])
    test_heads.test_absent_views_change_no_answer(case)
    test_heads.test_states_are_those_of_every_real_word_where_a_decoder_has_any(case)
    assert torch.is_grad_enabled()
