"""A data name is parsed once, and printing is the inverse of parsing."""

from __future__ import annotations

import ast
import json
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.config import DataConfig, parse_config, read_with_parents
from contrastcxr.config.data_ref import data_ref
from contrastcxr.data.ref import DataRef
from contrastcxr.data.sources import SOURCES, parse_data
from contrastcxr.errors import RequestError, UnknownNameError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "contrastcxr"
NAME = re.compile(rf"\b(?:{'|'.join(map(re.escape, SOURCES))}):[\w/.~][^\s`'\"<>|)…;]*")


def names_in(text: str) -> set[str]:
    """The data names that a text shows, without the punctuation of sentences; views of phantoms are no data."""
    found = (match.rstrip(".,:") for match in NAME.findall(text))
    return {name for name in found if not re.search(r"[${]|LEVEL|view=", name)}


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = sorted({name for page in PAGES for name in names_in(page.read_text(encoding="utf-8"))})
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*/*.yaml"))
RECORDS = sorted(p for p in (ROOT / "results").glob("*/*/*.json"))


@pytest.mark.parametrize(
    ("text", "name", "root", "split", "params"),
    [
        ("nih14:/data/nih", "nih14", "/data/nih", None, {}),
        ("nih14:/data/nih/test", "nih14", "/data/nih", "test", {}),
        ("nih14:/data/nih/tests", "nih14", "/data/nih/tests", None, {}),
        (
            "nih14-cv:/data/a,b/train?fold=3&report=plain",
            "nih14-cv",
            "/data/a,b",
            "train",
            {"fold": "3", "report": "plain"},
        ),
        ("nih14:C:\\nih", "nih14", "C:\\nih", None, {}),
        ("phantom:standard", "phantom", "standard", None, {}),
        ("phantom:hard/twins?seed=4", "phantom", "hard", "twins", {"seed": "4"}),
        ("manifest:/x/studies.jsonl", "manifest", "/x/studies.jsonl", None, {}),
        ("C:\\films\\a.png", "paths", "C:\\films\\a.png", None, {}),
        ("films/a.png", "paths", "films/a.png", None, {}),
    ],
)
def test_a_source_is_a_name_a_root_a_split_and_parameters(
    text: str, name: str, root: str, split: str | None, params: dict[str, str]
) -> None:
    ref = parse_data(text)
    assert (ref.kind.name, ref.root, ref.split, dict(ref.params)) == (name, root, split, params)


def test_the_documents_show_names() -> None:
    assert {"phantom:standard", "nih14:/data/nih"} <= set(SHOWN)


@pytest.mark.parametrize("text", SHOWN)
def test_printing_is_the_inverse_of_parsing_for_every_name_in_the_documents(text: str) -> None:
    ref = parse_data(text)
    assert str(ref) == text
    assert parse_data(str(ref)) == ref


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}-{p.stem}")
@pytest.mark.parametrize("split", [None, "train"])
def test_printing_is_the_inverse_of_parsing_for_the_data_of_every_configuration(
    path: Path, split: str | None
) -> None:
    config = DataConfig(**read_with_parents(path).get("data", {}))
    has_root = ":" in config.source
    ref = data_ref(config.model_copy(update={"root": None if has_root else "/data/somewhere"}), split=split)
    assert parse_data(str(ref)) == ref
    assert ref.split == split


_OF_D = ("cross-attention", "cross-attention-effusion")
ELSEWHERE = {
    (name, row, f"phantom:{level}"): "phantom:easy"
    for name in _OF_D
    for row in ("retinanet-none", "baselines")
    for level in ("standard", "easy")
}
"""What a row learns from that is not what it is scored on: paper D's detector, whose settings baselines have."""
READ_BY = {(name, "phantom:easy"): "phantom:standard" for name in _OF_D}
"""Data that the models of other data read, as the plan says."""


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_the_portable_name_is_that_of_the_recorded_signature_letter_for_letter(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.get("schema") != "contrastcxr.row/1":
        pytest.skip("not a row")
    config = parse_config(record["config"], where=str(path)).data
    data = record["data"].partition(", ")[0]  # a split that is not `test` stands behind
    row = record["experiment"], record["row"], data
    learnt = ELSEWHERE.get(row) or READ_BY.get((row[0], row[2]), data)
    assert config.source == learnt
    config = config.model_copy(update={"source": data})  # which it is scored on
    ref = data_ref(config.model_copy(update={} if ":" in config.source else {"root": "/x"}), split=None)
    assert f"|data:{ref.scored().portable()}|" in record["signature"]


ROOTS = st.text(st.characters(exclude_characters="?,", exclude_categories=("C", "Z")), min_size=1, max_size=30)


@given(
    ROOTS.filter(lambda root: "/" not in root[-1:]), st.sampled_from(["train", "test", None]), st.integers(0, 9)
)
def test_any_root_comes_back(root: str, split: str | None, fold: int) -> None:
    ref = DataRef(SOURCES["nih14-cv"], f"/data/{root}/nih", split, (("fold", str(fold)), ("report", "plain")))
    assert parse_data(str(ref)) == ref


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_any_value_of_a_parameter_comes_back(value: str) -> None:
    ref = DataRef(SOURCES["nih14"], "/data/nih", params=(("limit", value),))
    assert parse_data(str(ref)) == ref


def test_a_reference_is_a_value() -> None:
    ref = parse_data("mimic_cxr:/jpg,reports=/txt,unit=image/test?limit=3")
    assert {ref: 1}[parse_data(str(ref))] == 1
    assert pickle.loads(pickle.dumps(ref)) == ref
    assert (ref.option("reports"), ref.folder("reports"), ref.option("tables")) == ("/txt", Path("/txt"), None)
    assert (ref.limit, ref.images, ref.choice("unit", ("study", "image"))) == (3, "there", "image")


@pytest.mark.parametrize(
    ("text", "portable"),
    [
        ("phantom:smoke/test?seed=3", "phantom:smoke?seed=3"),
        ("nih14-cv:/home/me/nih?fold=1&report=plain", "nih14-cv?fold=1&report=plain"),
        ("mimic_cxr:/jpg,reports=/txt/test", "mimic_cxr"),
        ("/home/me/films", "paths"),
    ],
)
def test_a_portable_name_has_no_folder_and_no_split(text: str, portable: str) -> None:
    assert parse_data(text).portable() == portable


def test_a_limit_a_split_and_pictures_are_changed_in_a_copy() -> None:
    ref = parse_data("iu_xray:/iu/test?limit=3")
    assert str(ref.limited(5)) == "iu_xray:/iu/test?limit=5"
    assert ref.limited(None) is ref
    assert str(ref.of_split(None)) == "iu_xray:/iu?limit=3"
    assert str(ref.without_pictures()) == "iu_xray:/iu/test?limit=3&images=any"
    assert parse_data("iu_xray:/iu?images=any").without_pictures() is None
    assert parse_data("phantom:smoke").without_pictures() is None


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"root": ""}, RequestError, "no folder after 'nih14:'"),
        ({"root": "/x", "params": (("flod", "1"),)}, UnknownNameError, "parameter of nih14 'flod'"),
        ({"root": "/x", "options": (("reports", "/y"),)}, RequestError, "nih14 has no option 'reports'"),
    ],
)
def test_a_wrong_reference_cannot_be_made(values: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DataRef(SOURCES["nih14"], **values)  # type: ignore[arg-type]


def callers(function: str) -> set[str]:
    """The modules that call a function of this name."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        if any(isinstance(func, ast.Name) and func.id == function for func in calls):
            found.add(path.relative_to(PACKAGE).as_posix())
    return found


def test_a_name_is_parsed_in_one_function_at_the_command_line_and_the_configuration() -> None:
    assert callers("parse_ref") == {"data/sources.py"}
    border = {"api.py", "config/data_ref.py"}
    assert {name for name in callers("parse_data") if not name.startswith("cli/")} == border


def cuts_or_glues(node: ast.AST) -> bool:
    """Whether a node parts a text at a question mark, or holds the text of a parameter to put behind another."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        marks = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        cuts = node.func.attr in ("partition", "rpartition", "split", "rsplit")
        of_source = "source" in ast.unparse(node.func.value)
        return (cuts and (marks[:1] == ["?"] or of_source)) or (node.func.attr == "startswith" and of_source)
    return (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(re.match(r"[?&]\w+=", node.value))
    )


def test_no_other_module_cuts_or_glues_a_data_name() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(map(cuts_or_glues, ast.walk(ast.parse(path.read_text()))))
    }
    levels = {"config/parts.py"}  # parts the level of phantoms from the source of a configuration
    assert found - levels <= {"data/ref.py", "phantom/locators.py"}


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("manifest:/x/m.csv/VAL", "validation"),
        ("manifest:/x/m.csv/valid?limit=2", "validation"),
        ("nih14:/data/nih/TEST", "test"),
        ("nih14:/data/nih/Train_val", "train_val"),
        ("nih14-cv:/data/nih/dev?fold=1", "validation"),
        ("chexpert:/data/c/Training", "train"),
        ("phantom:standard/Val", "validation"),
        ("phantom:hard/twins", "twins"),
    ],
)
def test_a_split_is_meant_by_any_of_its_names(text: str, split: str) -> None:
    assert parse_data(text).split == split


@pytest.mark.parametrize("name", ["Test", "val", "dev"])
def test_a_folder_that_is_called_as_a_split_is_by_other_names_is_a_root(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    for kind in ("nih14", "chexpert", "vindr"):
        assert (parse_data(f"{kind}:{tmp_path / name}").split, parse_data(f"{kind}:{tmp_path}/test").split) == (
            None,
            "test",
        )


@pytest.mark.parametrize("name", ["trian", "Mine", "m.csv"])
def test_what_stands_behind_a_manifest_and_is_no_split_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.csv").touch()
    with pytest.raises(
        RequestError, match=f"'{name}' stands behind a file; expected train, train_val, validation, "
    ):
        parse_data(f"manifest:{tmp_path / 'm.csv'}/{name}")
