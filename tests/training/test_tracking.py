"""What loggers are given after each epoch: figures, sample reports and attention, and nobody's name."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from contextlib import closing
from functools import partial
from importlib.metadata import PackageNotFoundError, metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers.logger import DummyLogger
from mini_data import mini_config

from contrastcxr.config import SystemConfig
from contrastcxr.errors import MissingExtraError
from contrastcxr.form import Map
from contrastcxr.training import run, tracking
from contrastcxr.training.epochs import read_metrics
from contrastcxr.training.tracking import heated

pytestmark = pytest.mark.usefixtures("mini_data")


def logged(kind: str, decoder: str = "transformer") -> SystemConfig:
    train = {**mini_config().to_dict()["train"], "epochs": 2, "logger": kind}
    return mini_config(train=train, decoder={"kind": decoder})


def figures(folder: Path) -> list[dict[str, float]]:
    """What each epoch's line of metrics has, by the names of the logger."""
    return [
        {f"{part}/{name}": value for part in ("train", "validation") for name, value in line[part].items()}
        for line in read_metrics(folder / "metrics.jsonl")
    ]


def test_tensorboard_has_the_figures_and_samples_of_each_epoch_and_no_id(tmp_path: Path, cache: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run(logged("tensorboard"), out=tmp_path / "run", cache=cache, progress=False).path
    found = EventAccumulator(str(folder / "tensorboard")).Reload()
    for epoch, expected in enumerate(figures(folder), start=1):
        for name, value in expected.items():
            [event] = (event for event in found.Scalars(name) if event.step == epoch)
            assert event.value == pytest.approx(value, rel=1e-5)
    assert [event.step for event in found.Images("study 4 attention")] == [2]  # after one epoch it writes nothing
    assert found.Images("study 1 attention")[0].width == 64
    assert sorted(name for name in found.Tags()["tensors"]) == [f"study {n}/text_summary" for n in range(1, 5)]
    [event, _] = found.Tensors("study 2/text_summary")
    assert b"reference: There is a small left pleural effusion." in event.tensor_proto.string_val[0]
    for file in (folder / "tensorboard").iterdir():
        said = file.read_bytes()
        assert not any(name in said for name in (b"validation-0", b"train-0", str(tmp_path).encode()))


class Kept(DummyLogger):
    """A logger that keeps what it is given, in place of one that Lightning wraps."""

    run_id = "17"

    def __init__(self, **made: Any) -> None:
        super().__init__()
        self.made = made
        self.ended = False
        self.metrics: list[tuple[int, dict[str, float]]] = []
        self.given: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    @property
    def experiment(self) -> Any:
        return SimpleNamespace(log_text=self._keeper("log_text"), log_image=self._keeper("log_image"))

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.metrics.append((step, metrics))

    def log_text(self, *arguments: Any, **named: Any) -> None:
        self._keeper("log_text")(*arguments, **named)

    def log_image(self, *arguments: Any, **named: Any) -> None:
        self._keeper("log_image")(*arguments, **named)

    def _keeper(self, method: str) -> Any:
        return lambda *arguments, **named: self.given.append((method, arguments, named))


def kept_by(kind: str, name: str, patch: pytest.MonkeyPatch) -> list[Kept]:
    """Put loggers that keep in the place of Lightning's; they come into the list."""
    loggers: list[Kept] = []
    patch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    patch.delenv("WANDB_ERROR_REPORTING", raising=False)

    def make(**given: Any) -> Kept:
        loggers.append(Kept(**given))
        return loggers[-1]

    patch.setattr(f"lightning.pytorch.loggers.{name}", make)
    if kind == "wandb":

        def finish() -> None:
            loggers[-1].ended = True

        patch.setitem(sys.modules, "wandb", SimpleNamespace(Settings=dict, finish=finish))
    patch.setattr(tracking, "metadata", lambda package: {} if package == kind else metadata(package))
    return loggers


def test_mlflow_is_kept_in_the_run_folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loggers = kept_by("mlflow", "MLFlowLogger", monkeypatch)
    folder = run(logged("mlflow"), out=tmp_path / "run", cache=cache, progress=False).path
    [logger] = loggers
    assert logger.made == {
        "experiment_name": "mini",
        "run_name": "run",
        "tracking_uri": f"sqlite:///{folder}/mlflow.db",
        "artifact_location": f"file://{folder}/mlflow",
        "tags": {"mlflow.user": "", "mlflow.source.name": "contrastcxr"},
    }
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert logger.metrics == list(enumerate(figures(folder), start=1))
    texts = [given for method, given, _ in logger.given if method == "log_text"]
    pictures = [given for method, given, _ in logger.given if method == "log_image"]
    assert [where for _, _, where in texts[:4]] == [f"epoch 1/study {n}.md" for n in range(1, 5)]
    worded = [where.removesuffix(".md") for _, text, where in texts if not text.startswith("written: \n")]
    assert "epoch 2/study 4" in worded
    assert [where for _, _, where in pictures] == [f"{name}.png" for name in worded]
    assert {run_id for run_id, *_ in (*texts, *pictures)} == {"17"}


def test_wandb_is_offline_and_a_system_without_attention_has_no_pictures(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loggers = kept_by("wandb", "WandbLogger", monkeypatch)
    folder = run(logged("wandb", "nic"), out=tmp_path / "run", cache=cache, progress=False).path
    [logger] = loggers
    assert (logger.made["offline"], logger.made["save_dir"], logger.ended) == (True, folder, True)
    untold = logger.made["settings"]
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    assert untold["console"] == "off"
    assert (untold["host"], untold["username"], untold["program"]) == ("", "", "")
    assert untold["x_disable_meta"] is untold["x_disable_machine_info"] is untold["disable_git"] is True
    assert [step for step, _ in logger.metrics] == [1, 2]
    assert {method for method, *_ in logger.given} == {"log_text"}
    assert [(key, named["step"]) for _, (key,), named in logger.given[3:5]] == [("study 4", 1), ("study 1", 2)]


def test_wandb_has_pictures_of_a_system_with_attention(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loggers = kept_by("wandb", "WandbLogger", monkeypatch)
    run(logged("wandb"), out=tmp_path / "run", cache=cache, progress=False)
    pictures = [given for method, given, _ in loggers[0].given if method == "log_image"]
    assert [key for key, _ in pictures[-4:]] == [f"study {n} attention" for n in (1, 2, 3, 4)]
    assert all(picture.shape == (64, 64, 3) for _, [picture] in pictures)


def test_a_system_without_words_has_figures_alone(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loggers = kept_by("mlflow", "MLFlowLogger", monkeypatch)
    config = logged("mlflow").model_copy(update={"decoder": None, "contrast": None})
    folder = run(config, out=tmp_path / "run", cache=cache, progress=False).path
    assert loggers[0].metrics == list(enumerate(figures(folder), start=1))
    assert loggers[0].given == []


def missing(kind: str, package: str) -> Any:
    """What is known of a package, of which one is not installed."""
    if package == kind:
        raise PackageNotFoundError(package)
    return metadata(package)


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_refused_before_data_are_loaded(
    kind: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "metadata", partial(missing, kind))
    with pytest.raises(MissingExtraError, match=rf"train\.logger {kind} needs .*contrastcxr\[log\]"):
        run(logged(kind), out=tmp_path / "run", cache=cache)
    assert not list(tmp_path.iterdir())


def test_heat_lies_where_the_map_does() -> None:
    """A picture of 4 by 4 pixels, of an original of 8 by 8 whose left half is seen."""
    picture = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    to_original = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    maps = [Map(rows=((weight,),), extent=(0.0, 0.0, 4.0, 8.0)) for weight in (0.5, 1.0)]
    shown = heated(picture, maps, to_original=to_original)
    grey = (255 * picture).astype(np.uint8)
    assert (shown[..., 1] == grey).all()
    assert (shown[..., 2] == grey).all()
    assert (shown[:, :2, 0] == 255).all()
    assert (shown[:, 2:, 0] == grey[:, 2:]).all()


def without(package: str) -> pytest.MarkDecorator:
    """A mark that skips a test of a package that only the extra `log` has."""
    return pytest.mark.skipif(find_spec(package) is None, reason=f"the extra test is without {package}")


@without("wandb")
def test_weights_and_biases_keeps_runs_apart_and_nothing_of_the_machine(tmp_path: Path, cache: Path) -> None:
    kept = []
    for name in ("one", "two"):
        folder = run(logged("wandb", "nic"), out=tmp_path / name, cache=cache, progress=False).path
        (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
        kept.append(file.read_bytes())
    for content in kept:
        assert b"study 1" in content
        assert str(tmp_path).encode() not in content
        assert platform.node().encode() not in content or len(platform.node()) < 4  # by chance, in what is packed
        assert b"validation-0" not in content
    assert kept[0] != kept[1]


@without("mlflow")
@pytest.mark.parametrize("name", ["one", "two"])
def test_mlflow_has_the_figures_and_samples_and_nothing_of_who_ran_it(
    name: str, tmp_path: Path, cache: Path
) -> None:
    folder = run(logged("mlflow"), out=tmp_path / name, cache=cache, progress=False).path
    with closing(sqlite3.connect(folder / "mlflow.db")) as kept:
        assert list(kept.execute("select name, user_id, status from runs")) == [(name, "", "FINISHED")]
        tags = dict(kept.execute("select key, value from tags"))
        metrics = {row[:2]: row[2] for row in kept.execute("select step, key, value from metrics")}
    assert (tags["mlflow.user"], tags["mlflow.source.name"]) == ("", "contrastcxr")
    assert metrics == {(e, k): v for e, line in enumerate(figures(folder), start=1) for k, v in line.items()}
    kinds = [file.relative_to(folder / "mlflow").parts[2:] for file in sorted((folder / "mlflow").rglob("*.*"))]
    assert ("epoch 2", "study 1.png") in kinds
    assert ("epoch 1", "study 4.md") in kinds
    for file in (folder / "mlflow.db", *(folder / "mlflow").rglob("*.md")):
        assert not any(word in file.read_bytes() for word in (b"validation-0", b"train-0"))
