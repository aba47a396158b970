"""The page of an evaluation: what it shows, what it leaves out, and that nothing in it runs or leaves."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import small_corpus
from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation import Bootstrap, evaluate
from contrastcxr.evaluation.report import report_page
from contrastcxr.form import Author, Reading, Report

QUICK = Bootstrap(replicates=30, minimum=2)
MODEL = Author(kind="model", name="<i>someone</i>")
NORMAL = "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax."
SICK = "The heart is mildly enlarged. There is a small left pleural effusion."


class Outline(HTMLParser):
    """Checks that elements close in order, and keeps ids and names."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value for key, value in attrs if key == "id" and value]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    assert found.open == []
    return found


def phantom_page(tmp_path: Path, readings: list[Reading], **options: object) -> str:
    given = {
        "data": parse_data("phantom:smoke"),
        "with_meteor": False,
        "bootstrap": QUICK,
        "baselines": False,
        **options,
    }
    evaluate(readings, out=tmp_path / "out", **given)  # type: ignore[arg-type]
    return (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def copies(*, probability: float | None = None) -> list[Reading]:
    return [
        study.readings[0].model_copy(
            update={
                "author": MODEL,
                "findings": tuple(
                    f.model_copy(update={"probability": probability}) for f in study.readings[0].findings
                ),
            }
        )
        for study in small_corpus.corpus(split="test")
    ]


@pytest.fixture
def phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)


def manifest(folder: Path, texts: list[str], *, studies: int = 4) -> tuple[str, list[Reading]]:
    """Reports of no licence that is known, without pictures; and what a system says of the test studies."""
    rows = [
        {"study_id": f"{s}{i}", "image": f"{s}{i}.png", "split": s, "findings": SICK if i % 2 else NORMAL}
        for s, count in (("train", 6), ("test", studies))
        for i in range(count)
    ]
    path = folder / "studies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [
        Reading(study_id=f"test{i}", author=MODEL, report=Report(findings=text)) for i, text in enumerate(texts)
    ]
    return f"manifest:{path}?images=any", said


@pytest.mark.usefixtures("phantoms")
def test_a_page_is_whole_and_nothing_in_it_runs_or_leaves(tmp_path: Path) -> None:
    text = phantom_page(tmp_path, copies(probability=0.7))
    found = outline(text)
    assert len(set(found.ids)) == len(found.ids)
    assert not found.tags & {"script", "link", "iframe", "object"}
    assert "default-src &#39;none&#39;" in text
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert {"summary", "scores", "findings", "errors", "calibration", "texts", "best", "signature"} <= set(
        found.ids
    )


@pytest.mark.usefixtures("phantoms")
def test_words_of_others_are_escaped(tmp_path: Path) -> None:
    evil = [
        r.model_copy(update={"report": Report(findings="<script>alert(1)</script> & so on.")}) for r in copies()
    ]
    text = phantom_page(tmp_path, evil)
    assert "<script" not in text
    assert "&lt; script &gt;" in text
    assert "<i>someone" not in text


@pytest.mark.usefixtures("phantoms")
def test_phantoms_are_pictured(tmp_path: Path) -> None:
    assert phantom_page(tmp_path, copies()).count('src="data:image/jpeg;base64,') >= 2


@pytest.mark.usefixtures("phantoms")
def test_without_probabilities_there_is_no_calibration_and_no_auc_plot(tmp_path: Path) -> None:
    text = phantom_page(tmp_path, copies())
    assert 'id="calibration"' not in text
    assert "AUC of the probabilities <small>" not in text
    assert "Probability" not in text


@pytest.mark.usefixtures("phantoms")
def test_every_score_carries_its_n_and_the_signature_stands_on_the_page(tmp_path: Path) -> None:
    text = phantom_page(tmp_path, copies())
    said = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert said["signature"] in text
    assert "n 12, higher is better" in text


def test_restricted_reports_are_shown_with_a_warning_and_without_pictures(tmp_path: Path) -> None:
    data, said = manifest(tmp_path, [NORMAL, SICK, SICK, NORMAL])
    evaluate(said, data=parse_data(data), out=tmp_path / "out", with_meteor=False, bootstrap=QUICK)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    outline(text)
    assert "Keep this page where the data are" in text
    assert "data:image" not in text
    assert "do not let it be passed on" in text


def test_every_definition_of_efficacy_stands_side_by_side(tmp_path: Path) -> None:
    data, said = manifest(tmp_path, [NORMAL, SICK, SICK, NORMAL])
    evaluate(said, data=parse_data(data), out=tmp_path / "out", with_meteor=False, bootstrap=QUICK)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for name in ("wcl", "r2gen", "miura", "chexbert", "chexbert5"):
        assert f"<code>{name}</code>" in text, name
    assert "F1, constant" in text
    assert "<b>The constant says:</b> The heart is" in text


def test_what_agrees_is_marked_and_so_is_what_is_missed_and_invented(tmp_path: Path) -> None:
    data, said = manifest(tmp_path, [SICK, NORMAL, NORMAL, SICK])
    evaluate(
        said, data=parse_data(data), out=tmp_path / "out", with_meteor=False, bootstrap=QUICK, baselines=False
    )
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<mark class="invented" title="invented: Pleural Effusion">' in text
    assert '<mark class="missed" title="missed: Pleural Effusion">' in text
    assert '<mark class="agreed" title="agreed: Pleural Effusion">' in text
    assert "<i>denied</i>" in text


@pytest.mark.parametrize("text", [NORMAL, "", "Ünïcode | pipe."])
def test_one_study_makes_a_page_too(tmp_path: Path, text: str) -> None:
    data, said = manifest(tmp_path, [text], studies=1)
    evaluate(
        said, data=parse_data(data), out=tmp_path / "out", with_meteor=False, bootstrap=QUICK, baselines=False
    )
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    outline(page)
    assert "With 1 study an interval says little" in page
    assert 'id="worst"' not in page


def test_data_without_reports_or_findings_still_make_a_page(tmp_path: Path) -> None:
    data, said = manifest(tmp_path, [NORMAL])
    found = evaluate(
        said, data=parse_data(data), with_meteor=False, bootstrap=QUICK, baselines=False, allow_partial=True
    )
    table = dataclasses.replace(found.systems["system"].table, truth=None, claimed=None)
    words = {n: s for n, s in found.scores.items() if n.startswith(("bleu", "rouge", "cider", "mean"))}
    system = dataclasses.replace(found.systems["system"], table=table, scores=words)
    bare = dataclasses.replace(found, systems={"system": system}, failures=("one.png: <broken>",))
    page = report_page(bare)
    outline(page)
    assert 'id="findings"' not in page
    assert "could not be read: 1" in page
    assert "one.png: &lt;broken&gt;" in page


def test_few_positives_are_marked(tmp_path: Path) -> None:
    data, said = manifest(tmp_path, [NORMAL, SICK, NORMAL, SICK])
    evaluate(
        said, data=parse_data(data), out=tmp_path / "out", with_meteor=False, bootstrap=QUICK, baselines=False
    )
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Pleural Effusion † <small>n &lt; 10</small>" in page
    assert "Called by neither side: " in page


@pytest.mark.usefixtures("phantoms")
def test_the_page_tells_leaks_between_splits(tmp_path: Path) -> None:
    page = phantom_page(tmp_path, copies())
    assert "patients across splits" in page
    assert "contrastcxr data audit" in page
