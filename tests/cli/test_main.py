"""The command itself: what it imports, its verbs and its exit statuses."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import contrastcxr
from contrastcxr.cli.main import VERBS, build_app, run


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_help_and_the_package_import_no_torch() -> None:
    code = "\n".join(
        (
            "import sys, contrastcxr",
            "from contrastcxr.cli.main import VERBS, build_app, run",
            "assert run(['--help']) == 0 and run(['read', '--help']) == 0",
            "assert all(run([verb, '--help']) == 0 for verb in VERBS)",
            "print(sorted({'torch', 'lightning', 'scipy', 'timm', 'pydicom'} & set(sys.modules)))",
        )
    )
    ran = python(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_configuration_is_refused_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("name: own\ndecoder: {kind: nicc}\n", encoding="utf-8")
    code = "\n".join(
        (
            "import sys",
            "from contrastcxr.cli.main import run",
            "status = run(['-q', 'train', sys.argv[1], '--out', sys.argv[2]])",
            "print(status, 'torch' in sys.modules)",
        )
    )
    ran = python(code, path, tmp_path / "out")
    assert ran.stdout.split() == ["2", "False"], ran.stderr


@pytest.mark.parametrize(
    "asked", [["read", "chest.dcm", "-m", "phantm"], ["evaluate", "phantm", "--data", "nih14"]], ids=lambda a: a[0]
)
def test_an_unknown_model_is_refused_without_torch(asked: list[str]) -> None:
    code = "\n".join(
        (
            "import sys",
            "from contrastcxr.cli.main import run",
            "print(run(sys.argv[1:]), 'torch' in sys.modules)",
        )
    )
    ran = python(code, *asked)
    assert ran.stdout.split() == ["2", "False"], ran.stderr
    assert "did you mean 'phantom'?" in ran.stderr


def test_reading_imports_no_lightning(model: Path, pictures: Path, tmp_path: Path) -> None:
    code = "\n".join(
        (
            "import sys",
            "from contrastcxr.cli.main import run",
            "status = run(['-q', 'read', sys.argv[1], '--model', sys.argv[2], '--out', sys.argv[3]])",
            "print(status, 'torch' in sys.modules, 'lightning' in sys.modules)",
        )
    )
    ran = python(code, pictures / "first.png", model, tmp_path / "out")
    assert ran.stdout.split() == ["0", "True", "False"], ran.stderr


def test_the_module_runs_as_the_command() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "contrastcxr", "--version"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, f"contrastcxr {contrastcxr.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--help"], 0), (["--version"], 0), ([], 2), (["reed"], 2), (["read"], 2), (["read", "x", "--no-such"], 2)],
)
def test_exit_statuses(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == status
    assert "Traceback" not in capsys.readouterr().err


def test_every_verb_is_mounted_and_has_a_first_line() -> None:
    app = build_app()
    mounted = {c.name: c.callback.__doc__ for c in app.registered_commands if c.callback is not None}
    groups = {g.name: g.typer_instance.info.help for g in app.registered_groups if g.typer_instance is not None}
    assert {**mounted, **groups}.keys() == VERBS.keys()
    assert all({**mounted, **groups}.values())


def test_models_lists_kind_name_paper_licence_and_other_names(command: Any) -> None:
    from contrastcxr.models.heads.decoders import DECODERS

    listed = json.loads(command("models", "--json").out)
    assert all(set(row) == {"kind", "name", "paper", "licence", "also"} for row in listed)
    decoders = {row["name"]: row for row in listed if row["kind"] == "decoder"}
    assert set(decoders) == set(DECODERS)
    assert {row["also"]: name for name, row in decoders.items() if row["also"]} == {
        entry.also: name for name, entry in DECODERS.items() if entry.also
    }
    assert all(" 20" in row["paper"] and row["licence"] for row in decoders.values())
    assert "tf_efficientnet_lite0" in command("models").out


def test_models_with_a_name_prints_paper_licence_and_options(command: Any) -> None:
    shown = command("models", "topdown").out
    assert "decoder: up_down, also topdown" in shown
    assert "paper: Anderson 2018" in shown
    assert "licence: Apache-2.0" in shown
    assert "decoder.attention" in shown
    described = json.loads(command("models", "cam", "--json").out)
    assert described["kind"] == "localizer"
    cuts = next(option for option in described["options"] if option["name"] == "localizer.cuts")
    assert (cuts["default"], cuts["values"]) == ("fixed", "fixed, tuned")
    assert cuts["description"]


def test_models_with_an_unknown_name_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "transfomer"]) == 2
    assert capsys.readouterr().err == "error: unknown part 'transfomer'; did you mean 'transformer'?\n"


def test_models_lists_the_checkpoints_there_are(
    command: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model.parent / "damaged.safetensors").write_bytes(b"nothing")
    monkeypatch.setenv("CONTRASTCXR_MODELS", str(model.parent))
    listed = {
        row["name"]: row for row in json.loads(command("models", "--json").out) if row["kind"] == "checkpoint"
    }
    (model.parent / "damaged.safetensors").unlink()
    assert listed["tiny"]["licence"] == "phantom: Apache-2.0"
    assert listed["damaged"]["paper"] == "unreadable"


def test_data_list_names_every_source_with_its_licence(command: Any) -> None:
    from contrastcxr.data.sources import SOURCES

    listed = json.loads(command("data", "list", "--json").out)
    assert len(listed) == len(SOURCES)
    assert all(row["licence"] for row in listed)
    assert "nih14:<folder>" in command("data", "list").out


def test_data_check_counts_and_says_what_is_missing(command: Any, pictures: Path) -> None:
    whole = command("data", "check", pictures, "--json")
    assert (whole.status, json.loads(whole.out)["studies"]) == (0, 2)
    (pictures / "words.png").write_text("not a picture")
    lacking = command("data", "check", pictures)
    assert lacking.status == 1
    assert "words.png" in lacking.out


def test_data_check_of_an_unknown_source_is_a_wrong_request(command: Any) -> None:
    ran = command("data", "check", "nih41:/x")
    assert ran.status == 2
    assert "did you mean 'nih14'" in ran.err


def test_doctor_says_what_is_there(command: Any) -> None:
    found = json.loads(command("doctor", "--json").out)
    assert found["contrastcxr"] == contrastcxr.__version__
    assert {"packages", "devices", "extras", "dicom codecs", "java", "cache", "checkpoints"} <= set(found)
    assert command("doctor").status == 0


def test_a_room_that_is_a_verb_stays_a_package() -> None:
    from contrastcxr.reading import findings

    assert callable(contrastcxr.read)
    assert contrastcxr.reading.findings is findings  # type: ignore[attr-defined]


def test_every_public_name_can_be_had() -> None:
    wanted = [name for name in contrastcxr.__all__ if name != "evaluate"]
    assert all(getattr(contrastcxr, name) is not None for name in wanted)
    with pytest.raises(AttributeError, match="no attribute 'raed'"):
        contrastcxr.raed  # noqa: B018


def test_type_checkers_see_the_names_that_can_be_had_and_no_others() -> None:
    statements = ast.walk(ast.parse(Path(contrastcxr.__file__).read_text(encoding="utf-8")))
    imports = [node for node in statements if isinstance(node, ast.ImportFrom)]
    public = {alias.asname: node.module for node in imports for alias in node.names if alias.asname}
    assert public.keys() == set(contrastcxr.__all__)
    assert {name: module for name, module in public.items() if name != "__version__"} == contrastcxr._NAMES


@pytest.mark.parametrize("arguments", [["-q", "models"], ["models", "-q"]], ids=["before", "behind"])
def test_options_of_every_verb_stand_before_or_behind_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 0
    assert capsys.readouterr().out == ""
