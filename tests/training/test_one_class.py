"""All findings of a list of attributes learnt as one: labels, boxes and scores of training, and what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mini_data import boxed_study, mini_config, use_studies

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import as_one
from contrastcxr.errors import IncompatibleError
from contrastcxr.features.batch import collate
from contrastcxr.form import Study
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.checks import check_studies
from contrastcxr.training.hooks import ScoreSystem
from contrastcxr.training.prepare import prepare
from contrastcxr.vocab.attribute_words import attribute_list

OPACITY = attribute_list("phantom-opacity")
NAMES = ("Mass", "Edema", "Pneumothorax")
SIZES = {"train": 24, "validation": 24, "test": 4}


def called(study: Study, name: str) -> Study:
    """The study whose one finding has another name."""
    (reading,) = study.readings
    findings = tuple(finding.model_copy(update={"name": name}) for finding in reading.findings)
    return study.model_copy(update={"readings": (reading.model_copy(update={"findings": findings}),)})


def studies(split: str) -> list[Study]:
    """Every second study has a mass, an edema or, no opacity, a pneumothorax, in turn."""
    return [called(boxed_study(i, split=split), NAMES[i // 2 % 3]) for i in range(SIZES[split])]


@pytest.fixture(autouse=True)
def _opacities(monkeypatch: pytest.MonkeyPatch) -> None:
    use_studies(monkeypatch, studies)


def one_class(kind: str = "cam", **localizer: Any) -> SystemConfig:
    return mini_config(
        decoder=None,
        finding_head=None,
        contrast=None,
        projection={"kind": "none"},
        localizer={"kind": kind, "labels": "phantom-opacity", **localizer},
    )


def wanted(split: str) -> list[float]:
    return [float(i % 2 == 1 and NAMES[i // 2 % 3] != "Pneumothorax") for i in range(SIZES[split])]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_study_with_any_of_the_findings_has_the_one(split: str, cache: Path) -> None:
    prepared = prepare(one_class(), cache=cache)
    assert prepared.labels == ("Lung Opacity",)
    targets = prepared.train.targets if split == "train" else prepared.validation.targets
    assert [float(t.finding_targets[0]) for t in targets] == wanted(split)  # type: ignore[index]
    assert all(bool(t.finding_mask[0]) for t in targets)  # type: ignore[index]


def test_boxes_that_validation_scores_are_those_of_all_the_findings(cache: Path) -> None:
    prepared = prepare(one_class(cuts="tuned"), cache=cache)
    validation = ScoreSystem(prepared).validation()
    for study, places, there in zip(studies("validation"), validation.places, wanted("validation"), strict=True):
        assert places == (as_one(study.readings[0], OPACITY).findings if there else ())
        assert bool(places) == bool(there)
    scores = validation.scores(prepared.system)
    assert 0 <= scores["iou"] < 1
    assert "auc" in scores


def test_boxes_of_all_the_findings_teach_the_cells_of_one(cache: Path) -> None:
    prepared = prepare(one_class("li2018", hidden=8, upsample=4), cache=cache)
    samples = prepared.samples(prepared.train)
    batch = collate([samples[i] for i in range(len(samples))], pad=0)
    assert batch.box_cells is not None
    assert batch.box_cells.shape[2:] == (1, 16)
    assert batch.box_cells.any(dim=(1, 3))[:, 0].tolist() == [bool(there) for there in wanted("train")]


@pytest.mark.parametrize("kind", ["cam", "gradcam"])
def test_it_is_trained_with_a_tuned_cut_kept_and_read_as_one_finding(
    kind: str, tmp_path: Path, cache: Path
) -> None:
    more = {"hidden": 8} if kind == "gradcam" else {"marks": "regions"}
    folder = run(one_class(kind, cuts="tuned", **more), out=tmp_path / "run", cache=cache, quality=False)
    checkpoint = load_checkpoint(folder.path)
    assert checkpoint.labels == ("Lung Opacity",)
    assert "localizer.cut" in checkpoint.state
    reading = Reader.from_checkpoint(folder.path).read(studies("test")[1])
    (finding,) = reading.findings
    assert finding.name == "Lung Opacity"
    assert finding.probability is not None
    assert len(finding.region) <= 3
    system = checkpoint.build()
    assert all(bool(torch.isfinite(value).all()) for value in system.state_dict().values())


def test_data_without_a_finding_of_the_list_or_without_its_boxes_are_refused() -> None:
    none = [called(study, "Pneumothorax") for study in studies("train")]
    with pytest.raises(
        IncompatibleError, match=r"localizer\.labels phantom-opacity with .*none of these findings is"
    ):
        check_studies(one_class(), none, studies("validation"))
    with pytest.raises(IncompatibleError, match="has a box of a finding of phantom-opacity, on which the cut"):
        check_studies(one_class(cuts="tuned"), studies("train"), none)
    check_studies(one_class(cuts="tuned"), studies("train"), studies("validation"))
    check_studies(one_class(), studies("train"), [])


def test_heads_that_learn_one_class_and_several_are_refused() -> None:
    config = mini_config(contrast=None, localizer={"kind": "cam", "labels": "phantom-opacity"})
    with pytest.raises(IncompatibleError, match="phantom-opacity"):
        _ = config.needs
