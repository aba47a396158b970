"""The published settings take a training step, on miniature data and with random encoder weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mimic_files import write_mimic
from mini_data import mini_config, mini_study

from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import OptimizerConfig, ScheduleConfig, load_config
from contrastcxr.losses.options import WeakContrastOptions
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run
from contrastcxr.training.report_clusters import ReportClusters
from contrastcxr.training.run_folder import CLUSTERS_FILE

PAPER = Path(__file__).resolve().parents[2] / "configs" / "paper"
MINIATURE = (
    "encoder.weights=random",
    "image.size=64",
    "text.min_count=1",
    "train.epochs=1",
    "train.workers=0",
    "train.monitor=loss",
    "generate.method=greedy",
    "generate.max_tokens=4",
    "data.root=here",
)

ENCODERS = {"r2gen": "resnet101"}
"""Where a setting is not paper A's but that of the decoder's own authors."""
SMALLER = {"r2gen": ("encoder.name=resnet18", "width=64")}
"""Where encoder and decoder both learn, the state of a training run would fill the disk."""


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.usefixtures("mini_data")
@pytest.mark.parametrize(("corpus", "kind"), [*(("iu", kind) for kind in DECODERS), ("mimic", "nic")])
def test_a_published_setting_takes_a_training_step(
    corpus: str, kind: str, tmp_path: Path, shared_cache: Path
) -> None:
    path, chosen = PAPER / f"{corpus}.yaml", f"decoder.kind={kind}"
    published = load_config(path, overrides=[chosen])
    assert (published.width, published.encoder.name) == (512, ENCODERS.get(kind, "resnet50"))
    config = load_config(path, overrides=(chosen, *MINIATURE, *SMALLER.get(kind, ())))
    folder = run(config, out=tmp_path / kind, cache=shared_cache, progress=False)
    record = json.loads(folder.record.read_text())
    assert (record["epochs"], record["pool"]["wanted"], record["pool"]["size"]) == (1, 1000, 8)


@pytest.mark.parametrize(
    ("corpus", "factor", "every", "epochs", "tokens"),
    [("iu", 0.1, 50, 100, 60), ("mimic", 0.8, 1, 30, 100)],
)
def test_r2gen_is_trained_as_its_scripts_train_it(
    corpus: str, factor: float, every: int, epochs: int, tokens: int
) -> None:
    config = load_config(PAPER / f"{corpus}.yaml", overrides=["decoder.kind=r2gen", "contrast=null"])
    train = config.train
    assert train.optimizer == OptimizerConfig(
        kind="adam",
        lr=1e-4,
        encoder_lr=5e-5,
        weight_decay=5e-5,
        amsgrad=True,
        clip_norm=None,
        clip_value=0.1,
    )
    assert train.schedule == ScheduleConfig(factor=factor, every_epochs=every)
    assert (train.batch_size, train.epochs, config.encoder.trainable) == (16, epochs, True)
    assert (config.generate.beams, config.generate.length_penalty, config.generate.block_trigrams) == (
        3,
        0.0,
        False,
    )
    assert (config.text.max_tokens, config.generate.max_tokens) == (tokens, tokens)


@pytest.mark.usefixtures("mini_data")
def test_the_published_alignment_takes_a_training_step_and_another_system_reads_with_it(tmp_path: Path) -> None:
    crop = "align.canonical.crop=[0.1, 0.1, 0.9, 0.9]"
    config = load_config(PAPER / "cia-align.yaml", overrides=[*MINIATURE, crop])
    assert (config.encoder.name, config.encoder.stage) == ("vgg16", 1)
    folder = run(config, out=tmp_path / "align", cache=tmp_path / "cache", progress=False)
    assert json.loads(folder.record.read_text())["align"]["canonical"]["images"] == 8
    system = load_checkpoint(folder.path).build()
    assert system.encoder is not None
    assert system.encoder.channels == 128  # relu2_2
    taking = mini_config(align={"kind": "affine", "weights": str(folder.path)})
    taken = run(taking, out=tmp_path / "run", cache=tmp_path / "cache", progress=False)
    assert Reader.from_checkpoint(taken.path).read(mini_study(0, split="test")).report.sentences


@pytest.fixture
def mimic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What finds a miniature MIMIC-CXR of fourteen studies, ten of them to train on; of MIMIC-ABN its list too."""
    split = ["train"] * 10 + ["validate"] * 2 + ["test"] * 2
    rows = [
        (str(10000000 + k), str(50000000 + k), f"{k:04d}{view}", position, "", "21800506", "90500", split[k])
        for k in range(14)
        for view, position in (("front", "PA"), ("side", "LATERAL"))
    ]
    said = ("Small left pleural effusion.", "Moderate cardiomegaly.", "Right lower lobe opacity.")
    texts = {
        str(50000000 + k): f" FINAL REPORT\n FINDINGS:  The lungs are low. {said[k % 3]}\n" for k in range(14)
    }
    monkeypatch.setattr("mimic_files.ROWS", rows)
    monkeypatch.setattr("mimic_files.TEXTS", texts)
    root = write_mimic(tmp_path / "jpg", texts=tmp_path / "txt")
    lines: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for subject, study, dicom, *_, part in rows:
        image = f"p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg"
        line = {"id": dicom, "study_id": int(study), "subject_id": int(subject), "image_path": [image]}
        part = "val" if part == "validate" else part
        lines[part].append({**line, "report": said[int(study) % 3].lower(), "split": part})
    (tmp_path / "abn.json").write_text(json.dumps(lines))
    further = {"wcl": f"reports={tmp_path / 'txt'}", "wcl-abn": f"list={tmp_path / 'abn.json'}"}
    return lambda name: [f"data.root={root}", f"data.options.{further[name]}"]


@pytest.mark.parametrize(
    ("name", "k", "temperature", "tokens", "count"), [("wcl", 14, 0.1, 100, 10), ("wcl-abn", 13, 1.0, 64, 3)]
)
def test_the_contrastive_loss_takes_a_step_as_published(
    name: str,
    k: int,
    temperature: float,
    tokens: int,
    count: int,
    mimic: Callable[[str], list[str]],
    tmp_path: Path,
) -> None:
    published = load_config(PAPER / f"{name}.yaml", overrides=["losses.0.clusters.weights=/chexbert"])
    (loss,) = published.losses
    assert isinstance(loss, WeakContrastOptions)
    assert (loss.clusters.k, loss.clusters.embedding, loss.clusters.weights) == (k, "chexbert", "/chexbert")
    assert (loss.weight, loss.alpha, loss.temperature) == (0.2, 2.0, temperature)
    assert (published.train.batch_size, published.contrast, published.train.monitor) == (128, None, "bleu4")
    assert (published.text.max_tokens, published.generate.max_tokens, published.text.min_count) == (
        tokens,
        tokens,
        count,
    )
    small = ("train.batch_size=8", "losses.0.clusters.k=2", "losses.0.clusters.embedding=tfidf", *SMALLER["r2gen"])
    config = load_config(PAPER / f"{name}.yaml", overrides=(*MINIATURE, *small, *mimic(name)))
    folder = run(config, out=tmp_path / name, cache=tmp_path / "cache", progress=False)
    record = json.loads(folder.record.read_text())
    assert record["loss_weights"] == pytest.approx({"word": 0.8, "wcl": 0.2})
    assert record["clusters"]["k"] == 2
    assert record["curves"][0]["train"]["wcl"] > 0
    kept = ReportClusters.read(folder.path / CLUSTERS_FILE).numbers
    assert kept.keys() == {f"{k:04d}{view}" for k in range(10) for view in ("front", "side")}  # an image a sample
