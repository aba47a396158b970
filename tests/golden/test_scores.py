"""Recorded rows scored again from the study tables kept beside them: the record's own figures come out.

A table (`.npz`) holds a few numbers per study; a record (`.json`) every score with its 95% interval. The draws of
the bootstrap have a seed, so the intervals are equal too.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from golden.alike import differences
from golden.command import ROOT, typed

ROWS = (
    "first-experiment/phantom-standard/transformer-normal-seed0",
    "first-experiment/nih14-cv/nic-normal-seed1",
    "decoders/phantom-standard/hlstm-normal-seed0",
    "decoders/phantom-standard/cvse-none-seed0",
    "decoders/phantom-standard/r2gen-normal-seed0",
)
"""Each of another decoder; the reports of `hlstm` name no finding, so some of its scores are empty."""
OF_TEXTS = {"distinct_reports", "distinct_sentences", "most_common_report"}
"""Scores of the reports' words, which a study table does not hold."""
LAST_PLACE = 1.5e-6
"""Figures in a record have six places."""


def scored(path: Path) -> dict[str, Any]:
    """Every score of a study table. The one place here that imports from inside the package."""
    from contrastcxr.metrics.scores import score_table
    from contrastcxr.metrics.table import StudyTable

    return {name: score.to_dict() for name, score in score_table(StudyTable.load(path), replicates=1000).items()}


def kept(row: str) -> dict[str, Any]:
    """The record of a row."""
    document: dict[str, Any] = json.loads((ROOT / "results" / f"{row}.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("row", ROWS)
def test_a_row_scored_again_has_the_figures_of_its_record(row: str) -> None:
    wanted = kept(row)["systems"]["system"]
    found = scored(ROOT / "results" / f"{row}.npz")
    assert wanted.keys() - found.keys() == OF_TEXTS
    both = wanted.keys() & found.keys()
    assert {"bleu_4", "cider", "rouge_l", "meteor", "positive_f1", "auc_mean", "calibration_error"} <= both
    wanted, found = ({name: side[name] for name in both} for side in (wanted, found))
    assert not list(differences(found, wanted, rel=0, least=LAST_PLACE))


def test_the_rows_are_of_different_decoders() -> None:
    assert len({kept(row)["config"]["decoder"]["kind"] for row in ROWS}) == len(ROWS)


def as_evaluation(row: str, folder: Path) -> Path:
    """A row as a folder that `contrastcxr compare` takes."""
    folder.mkdir()
    shutil.copy(ROOT / "results" / f"{row}.npz", folder / "studies.npz")
    (folder / "scores.json").write_text(json.dumps({"signature": kept(row)["signature"]}), encoding="utf-8")
    return folder


def test_two_rows_compared_have_the_figures_of_their_records(tmp_path: Path) -> None:
    """By the command; `scored` above has all scores, this has those that are quick to shuffle."""
    rows, names = ROWS[-2:], ("rouge_l", "cider", "positive_f1", "side_agreement")
    folders = [as_evaluation(row, tmp_path / str(place)) for place, row in enumerate(rows)]
    typed("compare", *folders, "--scores", ",".join(names), "--out", tmp_path, "--quiet")
    found = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["scores"]
    for side, row in zip(("first", "second"), rows, strict=True):
        wanted = {name: kept(row)["systems"]["system"][name] for name in names}
        assert not list(differences({n: found[n][side] for n in names}, wanted, rel=0, least=LAST_PLACE))


def test_an_experiment_pooled_again_writes_the_page_that_is_kept(tmp_path: Path) -> None:
    """`--show` pools all rows over their seeds, tests the differences and writes a page among the records."""
    page = Path("first-experiment", "phantom-standard", "first.md")
    shutil.copytree((ROOT / "results" / page).parent, (tmp_path / page).parent)
    (tmp_path / page).unlink()
    typed("reproduce", "contrastive-attention", "first", "--show", "--out", tmp_path, "--quiet")
    wanted = (ROOT / "results" / page).read_text(encoding="utf-8")
    assert not list(
        differences((tmp_path / page).read_text(encoding="utf-8").splitlines(), wanted.splitlines(), rel=0)
    )
