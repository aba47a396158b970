"""What is learnt of a report: its sections as they stand, the sentences of each in the order asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mini_data import mini_config, mini_study, use_studies

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.form import Report, Study
from contrastcxr.training import run
from contrastcxr.training.prepare import prepare
from contrastcxr.training.report_texts import learnt_text, written_text

FINDINGS = "Soft tissues are normal. No pneumothorax. There is a small left pleural effusion. It is unchanged."
ORDERED = "There is a small left pleural effusion. It is unchanged. No pneumothorax. Soft tissues are normal."
IMPRESSION = "No pneumothorax. Left pleural effusion."
ORDERED_IMPRESSION = "Left pleural effusion. No pneumothorax."
TRAIN: dict[str, Any] = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"}


def written(study: Study, *, findings: str = FINDINGS, impression: str = IMPRESSION) -> Study:
    """The study with another report."""
    (reading,) = study.readings
    report = Report(findings=findings, impression=impression)
    return study.model_copy(update={"readings": (reading.model_copy(update={"report": report}),)})


@pytest.mark.parametrize("source", ["phantom:smoke", "iu-kaggle", "nih-plain"])
@pytest.mark.parametrize(
    ("sections", "as_written", "canonical"),
    [
        (["findings"], FINDINGS, ORDERED),
        (["findings", "impression"], f"{FINDINGS} {IMPRESSION}", f"{ORDERED} {ORDERED_IMPRESSION}"),
        (["impression", "findings"], f"{IMPRESSION} {FINDINGS}", f"{ORDERED_IMPRESSION} {ORDERED}"),
    ],
)
def test_sections_stay_where_they_are_and_sentences_are_ordered_within(
    source: str, sections: list[str], as_written: str, canonical: str
) -> None:
    study = written(mini_study(0, split="train"))
    for order, expected in (("as_written", as_written), ("canonical", canonical)):
        config = mini_config(data={"source": source}, text={"sections": sections, "order": order})
        assert learnt_text(study, config) == expected
        assert written_text(study, config) == as_written


def test_an_empty_section_leaves_nothing_behind() -> None:
    config = mini_config(text={"sections": ["findings", "impression"], "order": "canonical"})
    assert learnt_text(written(mini_study(0, split="train"), findings=""), config) == ORDERED_IMPRESSION
    assert learnt_text(written(mini_study(0, split="train"), findings="", impression=""), config) == ""


@pytest.mark.parametrize("decoder", ["nic", "hlstm"])
def test_targets_and_rewards_are_ordered_and_validation_is_scored_as_written(
    decoder: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_studies(monkeypatch, lambda split: [written(mini_study(i, split=split)) for i in range(6)])
    text = {"min_count": 1, "max_tokens": 40, "order": "canonical"}
    prepared = prepare(mini_config(decoder={"kind": decoder}, text=text), cache=cache)
    assert prepared.tokenizer is not None
    for split in (prepared.train, prepared.validation):
        for target in split.targets:
            assert target.token_ids is not None
            assert prepared.tokenizer.decode(target.token_ids.tolist()) == ORDERED
    assert set(prepared.train.reports) == {ORDERED}
    assert set(prepared.validation.reports) == {FINDINGS}


@pytest.mark.usefixtures("mini_data")
def test_a_checkpoint_says_in_which_order_it_learnt(tmp_path: Path, cache: Path) -> None:
    config = mini_config(text={"min_count": 1, "max_tokens": 24, "order": "canonical"}, contrast=None, train=TRAIN)
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False)
    assert load_checkpoint(folder.path).config.text.order == "canonical"
