"""The published setting of CIA-Net takes a training step and reads, on miniature data and with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.api import load_studies
from contrastcxr.config import OptimizerConfig, ScheduleConfig, load_config
from contrastcxr.errors import DivergedError
from contrastcxr.models.contrast.options import DifferenceOptions
from contrastcxr.models.heads.localizers.options import LiOptions
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run

PAPER = Path(__file__).resolve().parents[2] / "configs" / "paper" / "cia-net.yaml"
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y"
)
SMALLER = (
    "encoder.name=resnet18",
    "encoder.weights=random",
    "image.size=64",
    "localizer.hidden=16",
    "localizer.upsample=16",
    "train.epochs=1",
    "train.workers=0",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 unboxed images, half of them normal, and 10 boxed ones, each of a patient."""
    root = tmp_path_factory.mktemp("nih")
    (root / "images").mkdir()
    rows, boxes = [], []
    for patient in range(170):
        name = f"{patient:08d}_000.png"
        pixels = np.random.default_rng(patient).integers(0, 255, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / name)
        label = "Mass" if patient % 2 or patient >= 160 else "No Finding"
        rows.append(f"{name},{label},0,{patient},50,F,PA,1024,1024,0.1,0.1")
        if patient >= 160:
            boxes.append(f"{name},Mass,256,256,512,256,,,")
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    names = [row.partition(",")[0] for row in rows]
    (root / "train_val_list.txt").write_text("\n".join(names[:160]))
    (root / "test_list.txt").write_text("\n".join(names[160:]))
    (root / "BBox_List_2017.csv").write_text("\n".join(["Image Index,Finding Label,Bbox [x,y,w,h],,,", *boxes]))
    return root


def test_the_settings_are_those_of_the_paper() -> None:
    config = load_config(PAPER)
    assert (config.encoder.name, config.image.size, config.encoder.trainable) == ("resnet50", 512, True)
    contrast, localizer = config.contrast, config.localizer
    assert isinstance(contrast, DifferenceOptions)
    assert (contrast.stage, contrast.share_backbone, contrast.bank.sampling) == (3, False, "similar")
    assert isinstance(localizer, LiOptions)
    assert (localizer.upsample, localizer.hidden, localizer.reduction) == (128, 512, "mean")
    assert (localizer.mil_floor, localizer.box_weight, localizer.threshold) == (0.98, 500.0, 0.5)
    train = config.train
    assert (train.batch_size, train.epochs) == (6, 15)
    assert train.schedule == ScheduleConfig(factor=0.1, every_epochs=5)
    assert train.optimizer == OptimizerConfig(
        kind="sgd", lr=1e-3, encoder_lr=1e-3, weight_decay=1e-4, momentum=0.9, nesterov=True, clip_norm=None
    )


def test_the_sums_that_the_paper_prints_diverge_and_say_so(folder: Path, tmp_path: Path) -> None:
    overrides = (f"data.root={folder}", "data.fold=0", *SMALLER, "contrast=null", "localizer.reduction=sum")
    with pytest.raises(DivergedError, match=r"training diverged"):
        run(load_config(PAPER, overrides=overrides), out=tmp_path / "run", cache=tmp_path, progress=False)


@pytest.mark.parametrize("contrast", [(), ("contrast=null",)], ids=["cia", "base"])
def test_a_step_is_taken_and_a_picture_read(folder: Path, tmp_path: Path, contrast: tuple[str, ...]) -> None:
    overrides = (f"data.root={folder}", "data.fold=0", *SMALLER, *contrast)
    made = run(load_config(PAPER, overrides=overrides), out=tmp_path / "run", cache=tmp_path, progress=False)
    record = json.loads(made.record.read_text())
    assert record["epochs"] == 1
    reader = Reader.from_checkpoint(tmp_path / "run")
    [study] = load_studies(f"nih14-boxes:{folder}/test?fold=0")[:1]
    reading = reader.read(study)
    assert {f.name for f in reading.findings} >= {"Mass", "Nodule"}
    assert (reading.evidence.difference != ()) == (not contrast)
    assert [n.view for n in reading.evidence.negatives] == ([] if contrast else [0])


@pytest.mark.slow
def test_a_step_is_taken_at_the_published_size(folder: Path, tmp_path: Path) -> None:
    """All that differs is the weights to start from, and how many pictures are seen."""
    few = ("train.epochs=1", "train.batch_size=2", "train.workers=0", "train.monitor=loss")
    limits = ("data.train_limit=8", "data.validation_limit=2", "encoder.weights=random")
    config = load_config(PAPER, overrides=(f"data.root={folder}", "data.fold=0", *few, *limits))
    made = run(config, out=tmp_path / "run", cache=tmp_path, progress=False, quality=False)
    assert json.loads(made.record.read_text())["epochs"] == 1
    reader = Reader.from_checkpoint(made.checkpoint)
    reading = reader.read(load_studies(f"nih14-boxes:{folder}/test?fold=0")[0])
    assert [len(each.rows) for each in reading.evidence.difference] == [16]
    assert reader.system.marked_grid.rows == 128
