"""Weak labels through a run: made once, kept, taught with, and refused where they are of other reports."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import mini_config, mini_study, use_studies

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.errors import DatasetError, IncompatibleError
from contrastcxr.form import Report, Study
from contrastcxr.models.heads.decoders.nic import NicDecoder
from contrastcxr.training import run
from contrastcxr.training.prepare import prepare
from contrastcxr.training.report_clusters import ReportClusters
from contrastcxr.training.run_folder import RunFolder

TRAIN: dict[str, Any] = {"batch_size": 8, "epochs": 1, "monitor": "loss", "precision": "fp32"}
SAID = (
    "There is a small left effusion.",
    "There is a right opacity.",
    "The lungs are clear.",
    "Normal heart size.",
)


def study(index: int, *, split: str, said: str | None = None) -> Study:
    """A miniature study that says one of four things."""
    made = mini_study(index, split=split)
    (reading,) = made.readings
    report = Report(findings=SAID[index % 4] if said is None else said)
    return made.model_copy(update={"readings": (reading.model_copy(update={"report": report}),)})


@pytest.fixture(autouse=True)
def _studies(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train": 24, "validation": 4, "test": 4}
    use_studies(monkeypatch, lambda split: [study(index, split=split) for index in range(counts[split])])


def wcl(**options: Any) -> dict[str, Any]:
    return {"kind": "wcl", "width": 8, "clusters": {"k": 3}, **options}


def config(*, train: dict[str, Any] | None = None, **options: Any) -> Any:
    decoder = options.pop("decoder", {"kind": "nic", "dropout": 0.0})
    return mini_config(decoder=decoder, losses=[wcl(**options)], train={**TRAIN, **(train or {})})


def trained(out: Path, made: Any, **kwargs: Any) -> RunFolder:
    return run(made, out=out, cache=out.parent / "cache", progress=False, **kwargs)


def epochs(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]


def test_a_run_keeps_its_clusters_and_what_they_were_made_of(tmp_path: Path) -> None:
    folder = trained(tmp_path / "run", config())
    kept = ReportClusters.read(folder.path / "clusters.json")
    assert set(kept.numbers) == {f"train-{index:03d}" for index in range(24)}
    assert len({kept.numbers[f"train-{index:03d}"] for index in range(0, 24, 4)}) == 1
    record = json.loads((folder.path / "run_record.json").read_text())
    assert record["clusters"]["k"] == 3
    assert record["clusters"]["embedding"] == "tfidf"
    assert sum(record["clusters"]["sizes"]) == 24
    assert record["loss_weights"] == pytest.approx({"word": 0.8, "wcl": 0.2, "finding": 1.0})
    assert set(epochs(folder)[0]["train"]) == {"word", "wcl", "finding"}
    assert len(list((tmp_path / "cache" / "clusters").iterdir())) == 1


@pytest.mark.parametrize("variant", ["wcl", "adversarial", "distinct"])
def test_two_processes_equal_one_with_the_same_global_batch(variant: str, tmp_path: Path) -> None:
    made = config(variant=variant, train={"epochs": 2})
    one, two = trained(tmp_path / "one", made), trained(tmp_path / "two", made, devices=2)
    for ours, theirs in zip(epochs(one), epochs(two), strict=True):
        assert ours["train"] == pytest.approx(theirs["train"], abs=1e-4)
    states = [load_checkpoint(folder.path).state for folder in (one, two)]
    assert any(name.startswith("losses.wcl.") for name in states[0])
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], atol=2e-4), name


def test_it_starts_when_it_is_told_to(tmp_path: Path) -> None:
    late = trained(tmp_path / "late", config(start_epoch=1, train={"epochs": 2}))
    without = mini_config(decoder={"kind": "nic", "dropout": 0.0}, train={**TRAIN, "epochs": 2})
    never = trained(tmp_path / "never", without)
    first, second = zip(epochs(late), epochs(never), strict=True)
    assert first[0]["train"]["word"] == pytest.approx(first[1]["train"]["word"], abs=1e-6)
    assert second[0]["train"]["word"] != pytest.approx(second[1]["train"]["word"], abs=1e-6)


def test_the_report_loss_is_that_of_a_run_without_it(tmp_path: Path) -> None:
    (epoch,) = epochs(trained(tmp_path / "run", config(weight=0.5)))
    validation = epoch["validation"]
    assert validation["report_loss"] == pytest.approx(validation["word_loss"])


def test_what_it_weighs_changes_what_is_learnt(tmp_path: Path) -> None:
    light, heavy = (trained(tmp_path / str(weight), config(weight=weight)) for weight in (0.2, 0.5))
    assert json.loads((heavy.path / "run_record.json").read_text())["loss_weights"]["word"] == 0.5
    before, after = load_checkpoint(light.path).state, load_checkpoint(heavy.path).state
    assert any(not torch.equal(value, after[name]) for name, value in before.items() if "decoder." in name)


def test_states_come_from_the_pass_that_teaches_the_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[bool] = []
    outputs = NicDecoder.outputs

    def counted(self: NicDecoder, *args: Any, **kwargs: Any) -> Any:
        passes.append(self.training)
        return outputs(self, *args, **kwargs)

    monkeypatch.setattr(NicDecoder, "outputs", counted)
    trained(tmp_path / "run", config())
    assert sum(passes) == 24 / TRAIN["batch_size"]


def test_of_a_frozen_system_only_its_own_weights_learn(tmp_path: Path) -> None:
    base = trained(tmp_path / "base", config())
    start = {"init_from": str(base.path), "monitor": "last"}
    heads = trained(tmp_path / "heads", config(frozen=True, weight=1.0, train=start))
    before, after = load_checkpoint(base.path).state, load_checkpoint(heads.path).state
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {name for name in after if name.startswith("losses.wcl.of_")}
    record = json.loads((heads.path / "run_record.json").read_text())
    assert record["started_from"] == hashlib.sha256(base.checkpoint.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"batch_size": 4}}, r"train\.batch_size 4 with losses wcl: .* set it to 8 or more"),
        ({"train": {"group_by_length": True}}, r"train\.group_by_length with losses wcl"),
        ({"decoder": {"kind": "cvse"}}, r"losses wcl with decoder\.kind cvse: it has no state of each word"),
        (
            {"decoder": {"kind": "visual_attention"}, "variant": "adversarial"},
            r"losses wcl with decoder\.kind visual_attention: the adversarial variant",
        ),
        ({"frozen": True}, r"losses wcl with frozen: .* train\.init_from"),
        (
            {"frozen": True, "variant": "adversarial"},
            r"losses wcl with frozen beside a variant",
        ),
        ({"start_epoch": 1}, r"losses wcl starts after the last of train\.epochs 1"),
        ({"clusters": {"embedding": "chexbert"}}, r"clusters\.embedding chexbert without clusters\.weights"),
        ({"train": {"batch_size": 32}}, r"train\.batch_size 32 with losses wcl and 24 training studies"),
    ],
)
def test_what_cannot_be_taught_with_it_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=said):
        trained(tmp_path / "run", config(**changes))
    assert not (tmp_path / "run").exists()


def test_more_clusters_than_different_reports_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"clusters\.k 5: there are 4 reports that differ \(24 of 24"):
        prepare(config(clusters={"k": 5}), cache=tmp_path)


def test_clusters_of_a_file_are_taken_and_of_other_reports_refused(tmp_path: Path) -> None:
    own = {f"train-{index:03d}": SAID[index % 4] for index in range(24)}
    file = tmp_path / "clusters.json"
    made = ReportClusters.of(own, k=2)
    made.write(file)
    given = {"file": str(file)}
    assert prepare(config(clusters=given), cache=tmp_path).clusters == made
    ReportClusters.of({**own, "further": "Something else."}, k=2).write(file)
    assert prepare(config(clusters=given), cache=tmp_path).clusters is not None
    ReportClusters.of({**own, "train-000": "Something else."}, k=2).write(file)
    said = r"clusters\.json: clusters of another corpus .* 1 of the 24 training reports .* of train-000"
    with pytest.raises(DatasetError, match=said):
        prepare(config(clusters=given), cache=tmp_path)
    file.write_text("{}")
    with pytest.raises(DatasetError, match=r"clusters\.json: no clusters of reports"):
        prepare(config(clusters=given), cache=tmp_path)


def test_clusters_that_do_not_fit_are_refused_before_pictures_are_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrastcxr.training.studies.encode_views", None)
    file = tmp_path / "clusters.json"
    ReportClusters.of({"another": "Clear lungs.", "one": "An effusion."}, k=2).write(file)
    for clusters in ({"file": str(file)}, {"k": 5}):
        with pytest.raises(DatasetError, match=r"clusters of another corpus|reports that differ"):
            prepare(config(clusters=clusters), cache=tmp_path)


def test_few_own_negatives_empty_reports_and_one_large_cluster_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["", *(f"Clear lungs {'indeed ' * (index % 3)}." for index in range(20)), *SAID[:3]]
    use_studies(
        monkeypatch, lambda split: [study(index, split=split, said=said) for index, said in enumerate(texts)]
    )
    caplog.set_level(logging.WARNING, logger="contrastcxr")
    prepare(config(clusters={"k": 4}), cache=tmp_path)
    said = " ".join(caplog.messages)
    for warning in ("1 reports are empty, a cluster of their own", "of the reports are in cluster"):
        assert warning in said
    assert "other reports of a study's cluster" not in said
    caplog.clear()
    monkeypatch.setattr(ReportClusters, "of", None)  # those of the cache are warned of too
    prepare(config(clusters={"k": 4}), cache=tmp_path)
    assert " ".join(caplog.messages) == said


def test_a_batch_with_less_than_one_report_of_a_cluster_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use_studies(
        monkeypatch,
        lambda split: [study(index, split=split, said=f"Finding number{index}.") for index in range(24)],
    )
    caplog.set_level(logging.WARNING, logger="contrastcxr")
    prepare(config(clusters={"k": 13}), cache=tmp_path)
    assert "a batch of 8 has 0.54 other reports of a study's cluster" in " ".join(caplog.messages)


def test_reports_that_state_the_same_have_equal_meanings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="contrastcxr")
    prepared = prepare(config(variant="distinct"), cache=tmp_path)
    found = [target.further.meanings for target in prepared.train.targets]
    numbers = [int(each) for each in found if each is not None]
    assert numbers[:4] == numbers[4:8]
    assert len(set(numbers)) == len(set(numbers[:4])) == 3
    assert numbers[2] == numbers[3]  # what is denied of a normal chest sets two reports not apart
    assert any("of the pairs of training reports state the same" in line for line in caplog.messages)
