"""Retrieval between pictures and reports, of a run with a contrastive loss and from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_data import mini_config, mini_study, use_studies

from contrastcxr import api
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import RequestError
from contrastcxr.evaluation.references import load_references
from contrastcxr.evaluation.retrieval import check_retrieval, embedded
from contrastcxr.form import Report, Study
from contrastcxr.metrics.retrieval import RANKS
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.prepare import prepare

SAID = (
    "There is a small left effusion.",
    "There is a right opacity.",
    "The lungs are clear.",
    "Normal heart size.",
)


def study(index: int, *, split: str) -> Study:
    made = mini_study(index, split=split)
    (reading,) = made.readings
    report = Report(findings=SAID[index % 4])
    return made.model_copy(update={"readings": (reading.model_copy(update={"report": report}),)})


@pytest.fixture(autouse=True)
def _studies(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train": 24, "validation": 4, "test": 12}
    use_studies(monkeypatch, lambda split: [study(index, split=split) for index in range(counts[split])])


def trained(out: Path, *, losses: Any = None, **changes: Any) -> Path:
    wcl = {"kind": "wcl", "width": 8, "temperature": 0.1, "clusters": {"k": 3}}
    train = {"batch_size": 8, "epochs": 4, "monitor": "last", "precision": "fp32", "optimizer": {"lr": 0.01}}
    made = {"contrast": None, "losses": [wcl] if losses is None else losses, **changes}
    config = mini_config(train=train, **made)
    return run(config, out=out, cache=out.parent / "cache", progress=False).path


def scores(folder: Path) -> dict[str, float]:
    found = api.evaluate(
        folder,
        data="mini:memory",
        retrieval=True,
        baselines=False,
        with_meteor=False,
        cache=folder.parent / "cache",
    )
    return {
        score.name: score.value for score in found.systems["system"].scores.values() if "retrieval" in score.name
    }


def test_a_run_is_scored_both_ways_beside_what_has_seen_its_own_picture(tmp_path: Path) -> None:
    folder = trained(
        tmp_path / "run", decoder={"kind": "transformer", "layers": 1, "heads": 2, "feed_forward": 16}
    )
    found = scores(folder)
    assert set(found) == {
        f"retrieval/{way}_{k}{seen}"
        for way in ("image_to_text", "text_to_image")
        for k in RANKS
        for seen in ("", "_seen")
    }
    # Twelve reports say four things: embedded beside the mean picture, three of them tie exactly.
    ties = found["retrieval/image_to_text_1"] * 12 * 3
    assert ties == pytest.approx(round(ties), abs=1e-6)
    assert all(0 <= value <= 1 for value in found.values())
    assert found["retrieval/image_to_text_1"] <= found["retrieval/image_to_text_5"]


def test_the_checkpoint_keeps_the_mean_picture_of_the_training_views(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run")
    checkpoint = load_checkpoint(folder)
    kept = checkpoint.state["losses.wcl.mean_picture"]
    prepared = prepare(checkpoint.config, cache=tmp_path / "cache")
    samples = [prepared.samples(prepared.train)[index].features for index in range(24)]
    wanted = np.mean([each.numpy()[0] for each in samples if each is not None], axis=0)
    assert kept.numpy() == pytest.approx(wanted, abs=1e-3)
    assert not checkpoint.build().losses
    space = checkpoint.build(losses=True).losses["wcl"].space
    assert space is not None
    assert torch.equal(space.mean_picture, kept.float())


def test_a_system_without_a_space_and_references_without_reports_are_refused(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", losses=[])
    with pytest.raises(RequestError, match=r"--metric retrieval: the system has no space .* losses wcl"):
        scores(folder)


def test_the_command_takes_it_beside_other_metrics_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from contrastcxr.cli.main import run as command

    folder, out = trained(tmp_path / "run"), tmp_path / "scores"
    asked = ["--metric", "retrieval", "--no-baselines", "--cache", str(tmp_path / "cache"), "--out", str(out)]
    assert command(["evaluate", str(folder), "--data", "mini:memory", *asked]) == 0
    assert re.search(r"^system: .*retrieval/image_to_text_10 \S+ \(", capsys.readouterr().out, re.MULTILINE)
    for page in ("report.md", "report.html"):
        assert "own report found by the picture, of the 10 nearest" in (out / page).read_text()
    said = json.dumps(json.loads((out / "scores.json").read_text()))
    assert "retrieval/image_to_text_10" in said
    assert "gallery:12|reports beside:the mean training picture" in said
    assert command(["evaluate", str(folder), "--data", "mini:memory", "--metric", "retrievel"]) != 0
    assert "retrieval" in capsys.readouterr().err


def test_a_report_beside_the_mean_picture_knows_nothing_of_its_own(tmp_path: Path) -> None:
    """Studies that say the same are embedded alike, whatever their pictures, positions and patients are."""
    contrast = {"repeats": 2, "pool": {"size": 5}}
    decoder = {"kind": "transformer", "layers": 1, "heads": 2, "feed_forward": 16}
    folder = trained(tmp_path / "run", decoder=decoder, contrast=contrast)
    reader = Reader.from_checkpoint(folder, losses=True)
    references = load_references(parse_data("mini:memory"), "test", cache=tmp_path / "cache")
    space = check_retrieval(reader, references)
    batches = list(embedded(reader, space, references, tmp_path / "cache"))
    blind, seen = (torch.cat([batch[place] for batch in batches]) for place in (1, 2))
    assert {study.views[0].position for study in references.studies} == {"PA", "AP"}
    for number in range(4):
        same = blind[number::4]
        assert torch.allclose(same, same[:1].expand_as(same), atol=1e-6)
        assert not torch.allclose(seen[number::4], seen[number : number + 1].expand_as(same), atol=1e-6)
