"""`contrastcxr label` as a person types it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contrastcxr.text.labeler import default_labeler
from contrastcxr.vocab.labels import CHEXPERT

DOCS = Path(__file__).resolve().parents[2] / "docs" / "labeler.md"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts bytes on standard input."""

    def put(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


def test_a_text_on_standard_input_gets_a_line_a_finding_with_the_words(command: Any, typed: Any) -> None:
    typed(b"Small left effusion. No edema or pneumothorax.")
    ran = command("label")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert len(lines) == 14
    assert re.fullmatch(
        r"Pleural Effusion +present +mild left +effusion", lines[CHEXPERT.index("Pleural Effusion")]
    )
    assert re.fullmatch(r"Pneumothorax +absent +No \| pneumothorax", lines[CHEXPERT.index("Pneumothorax")])


def test_json_has_a_line_a_report_with_names_as_chexpert_writes_them(command: Any, typed: Any) -> None:
    typed(b'{"study_id": "a", "text": "No effusion."}\n{"study_id": "b", "text": "Possible edema"}\n')
    ran = command("label", "--json")
    documents = [json.loads(line) for line in ran.out.splitlines()]
    assert [document["study_id"] for document in documents] == ["a", "b"]
    assert [finding["name"] for finding in documents[0]["findings"]] == list(CHEXPERT)
    effusion = documents[0]["findings"][CHEXPERT.index("Pleural Effusion")]
    assert effusion["status"] == "absent"
    assert effusion["spans"] == [
        {"section": "findings", "start": 0, "end": 2, "text": "No"},
        {"section": "findings", "start": 3, "end": 11, "text": "effusion"},
    ]


def test_files_of_every_form_are_labelled_in_order(command: Any, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"study_id": "a", "text": "Edema."}\n')
    (tmp_path / "two.csv").write_text("study_id,text\nb,No edema.\nc,XXXX\n")
    (tmp_path / "three.txt").write_text("Possible edema.")
    ran = command("label", tmp_path / "one.jsonl", tmp_path / "two.csv", tmp_path / "three.txt")
    lines = ran.out.splitlines()
    assert lines[:3] == ["a: present Edema", "b: present No Finding; absent Edema", "c: nothing mentioned"]
    assert len(lines) == 3 + 14
    assert ran.status == 0


def test_what_cannot_be_used_is_listed_a_line_each_and_the_rest_is_labelled(command: Any, tmp_path: Path) -> None:
    (tmp_path / "reports.jsonl").write_bytes(
        b'{"study_id": "a", "text": "Edema."}\n{bad\n{"study_id": "a", "text": "Edema."}\n'
        b'{"study_id": "b", "text": ""}\n\xff\n{"study_id": "c"}\n{"study_id": "d", "text": "Edema."}\n'
    )
    (tmp_path / "table.csv").write_text("id,report\na,Edema.\n")
    ran = command("label", tmp_path / "reports.jsonl", tmp_path / "table.csv", tmp_path / "absent.txt")
    assert ran.status == 1
    assert ran.out == "a: present Edema\nd: present Edema\n"
    failures = ran.err.splitlines()
    assert [line.startswith("failed: ") for line in failures] == [True] * 7 + [False]
    assert failures[-1] == "7 failed, 2 labelled"


def test_a_report_at_which_the_labeler_fails_costs_that_report(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reports.csv"
    path.write_text("study_id,text\na,No edema.\nb,Doe was here.\nc,No effusion.\n")
    label = default_labeler().label

    def failing(text: str) -> object:
        if "Doe" in text:
            raise IndexError(text)
        return label(text)

    monkeypatch.setattr("contrastcxr.text.labeler.Labeler.label", lambda _, text: failing(text))
    ran = command("label", path)
    assert ran.status == 1
    assert [line.partition(":")[0] for line in ran.out.splitlines()] == ["a", "c"]
    assert ran.err.startswith("failed: b: cannot be read (IndexError at line ")
    assert "Doe" not in ran.err


def test_labels_beside_the_texts_are_checked(command: Any, tmp_path: Path) -> None:
    table = tmp_path / "labelled.csv"
    table.write_text("Reports,Edema,Pneumonia\nNo edema.,0,\nPossible pneumonia.,,-1\nEdema.,0,\n")
    ran = command("label", "--check", table)
    assert (ran.status, ran.err) == (1, "")
    assert ran.out == "row 3: Edema: given absent, labelled present\n5 of 6 cells agree, 3 reports\n"
    said = json.loads(command("label", "--check", "--json", table).out)
    assert (said["cells"], said["agree"]) == (6, 5)


@pytest.mark.data
def test_the_golden_file_agrees_in_every_cell_as_typed(command: Any, shared_data: Path) -> None:
    ran = command("label", "--check", shared_data / "golden" / "chexpert_labeled_reports.csv")
    assert (ran.status, ran.out, ran.err) == (0, "56 of 56 cells agree, 4 reports\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--input-format", "xml"), "unknown input format 'xml'"),
        (("--labeler", "chexpert"), "unknown labeler 'chexpert'; known: rules, chexbert"),
        (("--labeler", "chexbert"), "needs --weights"),
        (("--weights", "x"), "add --labeler chexbert"),
        (("--labeler", "chexbert", "--weights", "nowhere"), "nowhere: no CheXbert weights"),
    ],
)
def test_a_wrong_request_labels_nothing(command: Any, typed: Any, arguments: tuple[str, ...], said: str) -> None:
    typed(b"Edema.")
    ran = command("label", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_quiet_prints_failures_only(command: Any, typed: Any) -> None:
    typed(b'{"study_id": "a", "text": "Edema."}\n{bad\n')
    ran = command("label", "-q")
    assert ran.out == ""
    assert ran.err.startswith("failed: standard input line 2: is not JSON")


def test_labelling_by_rules_imports_no_torch() -> None:
    code = "import sys\nfrom contrastcxr.cli.main import run\nrun(['label', '-q'])\nprint('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], input="Edema.", capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("False\n", "")


def test_the_commands_of_the_page_do_what_it_shows(command: Any, typed: Any) -> None:
    """Each `console` block of the page: what `printf` or `cat` feeds the command, and what it then prints."""
    blocks = re.findall(r"```console\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) >= 2
    for block in blocks:
        first, _, shown = block.partition("\n")
        match = re.fullmatch(r"\$ printf '(.*)' \| contrastcxr (label.*)", first)
        assert match is not None, first
        typed(match[1].replace("\\n", "\n").encode())
        ran = command(*match[2].split())
        assert (ran.out + ran.err).rstrip("\n") == shown.rstrip("\n")


def test_the_json_of_the_page_is_what_the_command_writes(command: Any, typed: Any) -> None:
    shown = re.search(r"```json\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.S)
    assert shown is not None
    typed(b'{"study_id": "a", "text": "The left pneumothorax has resolved."}')
    assert json.loads(shown[1]) in json.loads(command("label", "--json").out)["findings"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("r.csv", "study_id,text\n"), ("r.jsonl", ""), ("r.json", "[]"), ("r.tsv", "study_id\ttext\n\t\n")],
)
def test_a_file_without_a_report_is_not_passed_over(command: Any, tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    ran = command("label", path)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"failed: {path}: no report; expected one a row or line")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_that_is_called_a_text_is_a_table(command: Any, tmp_path: Path, separator: str) -> None:
    path = tmp_path / "unicode text.txt"
    path.write_bytes(f"study_id{separator}text\n004{separator}Edema.\n".encode("utf-16"))
    assert command("label", path).out == "004: present Edema\n"


def test_a_text_that_begins_as_a_table_does_not_is_one_report(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("The study_id, text and date are removed.\nEdema.\n")
    assert len(command("label", path).out.splitlines()) == 14
