"""What an epoch is scored by, what picks the checkpoint, and the curves that the record keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import NORMAL, mini_config, mini_study, use_studies

from contrastcxr.errors import IncompatibleError
from contrastcxr.features.extraction import batch_features
from contrastcxr.form import Report, Study
from contrastcxr.metrics.clinical import ClinicalCounts, status_codes
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.training import run
from contrastcxr.training.epochs import HIGHER_IS_BETTER, LOGGED, read_metrics
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.prepare import PreparedRun, prepare

TRAIN = {"batch_size": 4, "monitor": "loss", "precision": "fp32", "optimizer": {"lr": 0.005}, "epochs": 2}
WORDS = {"abnormal_words", "normal_words", "exchange_rise"}
WRITTEN = {"bleu4", "positive_f1", "precision", "recall"}

pytestmark = pytest.mark.usefixtures("mini_data")


def prepared_with(cache: Path, **changes: Any) -> PreparedRun:
    return prepare(mini_config(**changes), cache=cache)


def scores_of(prepared: PreparedRun) -> dict[str, float]:
    return ScoreSystem(prepared)(prepared.system)


@pytest.mark.parametrize(
    ("kind", "terms", "others"),
    [
        ("nic", {"word"}, set()),
        ("visual_attention", {"word"}, {"coverage"}),
        ("hlstm", {"word", "stop"}, set()),
        ("hlstm_dual", {"word", "stop", "abnormal"}, set()),
        ("co_attention", {"word", "stop"}, {"tag", "coverage"}),
        ("cvse", {"ranking"}, set()),
    ],
)
def test_the_report_loss_is_of_the_terms_that_are_about_writing(
    kind: str, terms: set[str], others: set[str], cache: Path
) -> None:
    prepared = prepared_with(cache, decoder={"kind": kind})
    found, weights = scores_of(prepared), prepared.config.term_weights
    assert set(DECODERS[kind].options.report_terms) == terms
    assert {name for name in found if name.endswith("_loss")} == {
        "report_loss",
        "finding_loss",
        *(f"{name}_loss" for name in terms | others),
    }
    assert found["report_loss"] == pytest.approx(sum(weights[name] * found[f"{name}_loss"] for name in terms))
    assert found["loss"] == pytest.approx(sum(weight * found[f"{name}_loss"] for name, weight in weights.items()))
    assert found.keys() >= WRITTEN
    assert WORDS & found.keys() == (set() if kind == "cvse" else WORDS)


def test_a_system_without_a_decoder_has_neither_words_nor_a_report_loss(cache: Path) -> None:
    found = scores_of(prepared_with(cache, decoder=None, train=TRAIN))
    assert {"loss", "finding_loss"} <= found.keys() <= {"loss", "finding_loss", "auc"}


def test_cross_entropies_of_words_in_plain_loops(cache: Path) -> None:
    """Of nic, with pictures of its own and with those that the split exchanges."""
    prepared = prepared_with(cache, contrast=None)
    found, system, tokenizer = scores_of(prepared), prepared.system.eval(), prepared.tokenizer
    assert tokenizer is not None
    exchanged = prepared.exchanged(prepared.validation)
    assert exchanged is not None
    sums, counts = [0.0, 0.0], [0, 0]
    other_sum = 0.0
    for own, other in zip(prepared.batches(prepared.validation), exchanged, strict=True):
        assert own.token_ids is not None
        assert other.token_ids is not None
        assert own.abnormal is not None
        assert torch.equal(own.token_ids, other.token_ids)
        assert own.study_ids == other.study_ids
        assert not set(zip(own.study_ids, own.patient_ids, strict=True)) & set(
            zip(other.study_ids, other.patient_ids, strict=True)
        )
        with torch.no_grad():
            ours, theirs = (
                system.decoder(batch_features(system, batch), batch.token_ids)  # type: ignore[misc]
                for batch in (own, other)
            )
        for row, ids in enumerate(own.token_ids.tolist()):
            sentence = 0
            for place, token in enumerate(ids[1:]):
                if token == tokenizer.special.eos:
                    break
                kind = int(own.abnormal[row, sentence])
                sums[kind] -= ours[row, place, token].item()
                other_sum -= theirs[row, place, token].item()
                counts[kind] += 1
                sentence += token == tokenizer.id_of(".")
    assert found["normal_words"] == pytest.approx(sums[0] / counts[0], rel=1e-4)
    assert found["abnormal_words"] == pytest.approx(sums[1] / counts[1], rel=1e-4)
    assert found["exchange_rise"] == pytest.approx((other_sum - sum(sums)) / sum(counts), abs=1e-5)


def test_pictures_of_one_patient_are_not_exchanged(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_one(split: str) -> list[Study]:
        return [mini_study(n, split=split).model_copy(update={"patient_id": split}) for n in range(8)]

    use_studies(monkeypatch, of_one)
    found = scores_of(prepared_with(cache))
    assert WORDS & found.keys() == {"abnormal_words", "normal_words"}


def test_precision_and_recall_are_those_of_the_f1(cache: Path) -> None:
    prepared = prepared_with(cache)
    found = scores_of(prepared)
    validation = ScoreSystem(prepared).validation()
    readings = validation._readings(validation.make_reader(prepared.system))
    said = [validation.findings_in(" ".join(reading.report.sentences)) for reading in readings]
    names = ["Pleural Effusion"]
    counts = ClinicalCounts.of(status_codes(validation.truths, names), status_codes(said, names), names)
    ones = torch.ones(1, len(readings)).numpy()
    for name, measure in (("precision", "precision"), ("recall", "recall"), ("positive_f1", "f1")):
        assert found.get(name) == pytest.approx(float(counts.micro(measure)(ones)[0]))


@pytest.mark.parametrize("monitor", ["report_loss", "abnormal_words"])
def test_words_can_pick_the_checkpoint(monitor: str, tmp_path: Path, cache: Path) -> None:
    folder = run(mini_config(train={**TRAIN, "monitor": monitor}), out=tmp_path / "run", cache=cache)
    values = [line["validation"][monitor] for line in read_metrics(folder.metrics)]
    assert folder.best["epoch"] == values.index(min(values)) + 1
    assert not HIGHER_IS_BETTER[monitor]


def test_the_last_epoch_is_the_last_whatever_its_scores(tmp_path: Path, cache: Path) -> None:
    still = {"lr": 1e-12}  # no score ever rises
    train = {**TRAIN, "monitor": "last", "patience": 1, "epochs": 3, "optimizer": still}
    folder = run(mini_config(train=train), out=tmp_path / "run", cache=cache)
    assert folder.best["epoch"] == len(read_metrics(folder.metrics)) == 3
    assert "best so far" not in (folder.path / "log.txt").read_text()


def test_reports_without_an_abnormal_sentence_cannot_pick_by_them(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def normal(split: str) -> list[Study]:
        studies = [mini_study(n, split=split) for n in range(8)]
        if split == "train":
            return studies
        report = Report(findings=NORMAL)
        return [
            s.model_copy(update={"readings": (s.readings[0].model_copy(update={"report": report}),)})
            for s in studies
        ]

    use_studies(monkeypatch, normal)
    with pytest.raises(IncompatibleError, match="abnormal_words: no sentence of the 8 validation reports names"):
        prepared_with(cache, train={**TRAIN, "monitor": "abnormal_words"})


def test_the_record_keeps_the_curves_after_a_resume_too(tmp_path: Path, cache: Path) -> None:
    def config(epochs: int) -> Any:
        return mini_config(train={**TRAIN, "epochs": epochs})

    out = tmp_path / "run"
    run(config(1), out=out, cache=cache)
    (out / "run_record.json").unlink()
    (out / "config.yaml").write_text(config(3).to_yaml())
    run(config(3), out=out, cache=cache, resume=True)
    lines, record = read_metrics(out / "metrics.jsonl"), json.loads((out / "run_record.json").read_text())
    assert [row["epoch"] for row in record["curves"]] == [1, 2, 3]
    for row, line in zip(record["curves"], lines, strict=True):
        assert row.keys() == {"epoch", "train", "validation"}
        for part in ("train", "validation"):
            assert row[part] == pytest.approx(line[part], abs=1e-6)
    assert record["curves"][-1]["validation"].keys() >= WORDS | WRITTEN


def test_the_line_of_an_epoch_has_the_main_scores_alone(tmp_path: Path, cache: Path) -> None:
    folder = run(mini_config(train={**TRAIN, "epochs": 1}), out=tmp_path / "run", cache=cache)
    (line,) = [line for line in (folder.path / "log.txt").read_text().splitlines() if line.startswith("epoch")]
    shown = [part.split()[0] for part in line.partition("validation ")[2].split(", ")]
    assert shown == [name for name in LOGGED if name in read_metrics(folder.metrics)[0]["validation"]]
    assert {"loss", "report_loss", "bleu4", "positive_f1", "exchange_rise"} <= set(shown)
