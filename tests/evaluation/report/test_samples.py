"""Studies side by side: which ones, what stands of each, and what is said where texts may not be passed on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation import Bootstrap, evaluate
from contrastcxr.evaluation.report.samples import spread
from contrastcxr.form import Author, Finding, Reading, Report

MODEL = Author(kind="model", name="some_one", version="2")
NORMAL = "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax."
SICK = "The heart is mildly enlarged. There is a small left pleural effusion."


def test_places_are_the_middles_of_equal_parts_in_order_of_the_ids() -> None:
    ids = [f"s{k:03}" for k in range(200)]
    assert [ids[place] for place in spread(ids)] == [f"s{k:03}" for k in (12, 37, 62, 87, 112, 137, 162, 187)]
    assert [ids[place] for place in spread(ids, 1)] == ["s100"]


@pytest.mark.parametrize("studies", [1, 7, 8, 9, 12, 15, 16, 100])
def test_places_differ_and_the_order_of_the_studies_changes_none(studies: int) -> None:
    ids = [f"s{k * 7 % 101:03}" for k in range(studies)]
    chosen = [ids[place] for place in spread(ids)]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(studies, 8)
    assert chosen == [ids[::-1][place] for place in spread(ids[::-1])]


def samples(folder: Path, references: Sequence[str], texts: Sequence[str | None]) -> str | None:
    """Evaluate texts on reports of no licence that is known; return the file, where there is one."""
    path = folder / "studies.jsonl"
    rows = [
        {"study_id": f"test_{k:02}", "image": f"{k}.png", "split": "test", "findings": text}
        for k, text in enumerate(references)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    label = Finding(name="Edema", status="absent")
    said = [
        Reading(study_id=f"test_{k:02}", author=MODEL, findings=(label,))
        if text is None
        else Reading(study_id=f"test_{k:02}", author=MODEL, report=Report(findings=text))
        for k, text in enumerate(texts)
    ]
    evaluate(
        said,
        data=parse_data(f"manifest:{path}?images=any"),
        out=folder / "out",
        with_meteor=False,
        bootstrap=Bootstrap(replicates=10, minimum=2),
        baselines=False,
    )
    found = folder / "out" / "samples.md"
    return found.read_text(encoding="utf-8") if found.exists() else None


def sections(page: str) -> dict[str, list[str]]:
    """What stands below each heading of a study, without empty lines."""
    head, *parts = re.split(r"^## ", page, flags=re.MULTILINE)
    lines = [[line for line in part.splitlines() if line] for part in (head, *parts)]
    return {title: rest for title, *rest in lines}


def test_each_study_has_both_reports_side_by_side_and_what_they_call(tmp_path: Path) -> None:
    cardiac = "The heart is mildly enlarged."
    page = samples(tmp_path, [SICK, NORMAL, SICK], [NORMAL, "Normal | *heart*.\n<b>_No_ effusion.", cardiac])
    assert page is not None
    head, *studies = sections(page).items()
    assert head[0] == "# Side by side: manifest?images=any, test"
    assert r"The system is model some\_one 2." in head[1][0]
    assert head[1][0].startswith("3 of the 3 studies with a reference report, evenly over their ids")
    table = ["| Reference | This system |", "| --- | --- |"]
    assert dict(studies) == {
        r"test\_00": [
            *table,
            f"| {SICK} | {NORMAL} |",
            "Missed: Cardiomegaly (denied), Pleural Effusion (denied).",
        ],
        r"test\_01": [
            *table,
            rf"| {NORMAL} | Normal \| \*heart\*. \<b\>\_No\_ effusion. |",
            "No abnormality on either side.",
        ],
        r"test\_02": [
            *table,
            f"| {SICK} | {cardiac} |",
            "Both call: Cardiomegaly. Missed: Pleural Effusion (not mentioned).",
        ],
    }


def test_what_the_system_alone_calls_is_invented_and_nothing_written_is_said(tmp_path: Path) -> None:
    found = sections(samples(tmp_path, [NORMAL, NORMAL], [SICK, ""]) or "")
    assert found[r"test\_00"][-1] == (
        "Invented: Cardiomegaly (reference: denied), Pleural Effusion (reference: denied)."
    )
    assert found[r"test\_01"][2] == f"| {NORMAL} | *nothing written* |"


def test_the_choice_does_not_look_at_the_answers_and_skips_references_without_words(tmp_path: Path) -> None:
    references = [NORMAL if k % 2 else SICK for k in range(20)]
    references[0] = ""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = sections(samples(tmp_path / "a", references, [NORMAL] * 20) or "")
    other = sections(samples(tmp_path / "b", references, [SICK, "", *references[:1:-1]]) or "")
    ids = [f"test_{k:02}" for k in range(1, 20)]
    expected = [ids[(2 * k + 1) * 19 // 16].replace("_", r"\_") for k in range(8)]
    assert list(one)[1:] == list(other)[1:] == expected


def test_reports_that_may_not_be_passed_on_carry_a_line_that_says_so(tmp_path: Path) -> None:
    page = samples(tmp_path, [NORMAL, SICK], [NORMAL, NORMAL])
    assert page is not None
    assert "**Keep this file where the data are.**" in page
    assert "do not allow them to be passed on" in page
    assert page.index("Keep this file") < page.index("## test")


def test_no_file_is_there_without_reports_and_an_earlier_one_goes(tmp_path: Path) -> None:
    assert samples(tmp_path, [NORMAL, SICK], [NORMAL, NORMAL]) is not None
    assert samples(tmp_path, [NORMAL, SICK], [None, None]) is None
    assert (tmp_path / "out" / "scores.json").exists()
