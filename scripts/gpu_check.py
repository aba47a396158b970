"""Measures what a GPU is worth here: pictures, training steps and reports a second, memory, equality with the CPU.

    sh scripts/gpu_check.sh                      # looks at the machine first, and stops after eight minutes
    python scripts/gpu_check.py --device cpu --small        # a rehearsal: tiny networks, figures worth nothing

All pictures are drawn (phantoms), all weights random, at the sizes of configs/paper. Each figure is printed once
it is there. Steps are timed on batches that are in memory already: what a disk adds is not in them. The hours
are those of a whole published training at that pace: steps of an epoch by the published number of pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from contrastcxr.features.batch import Batch
    from contrastcxr.models.system import System
    from contrastcxr.training.prepare import PreparedRun

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch", "torchvision", "timm", "lightning", "pydantic", "yaml", "numpy", "scipy", "PIL", "safetensors")
STUDIES = 64
DRAWN = (
    *("encoder.weights=random", "train.workers=0", "train.monitor=loss", "generate.max_tokens=60"),
    f"data={{source: 'phantom:smoke', train_limit: {STUDIES}, validation_limit: 16}}",
)
SMALL = ("encoder.name=resnet18", "image.size=64", "train.batch_size=8", "generate.max_tokens=6")
TOLERANCE = 1e-3
"""By how much a loss in 32 bits may differ between a GPU and the CPU, relatively."""


@dataclass(frozen=True)
class PaperRow:
    """The main row of a paper, as it is trained.

    Attributes:
        config: file in configs/paper.
        overrides: what it needs to learn from phantoms, and no more.
        pictures: of an epoch: MIMIC-CXR's images with findings, or all; three of five folds of NIH's list of
            training; for CIA-Net half of NIH's images without a box and four fifths of those with one.
    """

    config: str
    overrides: tuple[str, ...]
    pictures: int


ROWS = {
    "A: contrast on features, transformer": PaperRow("mimic.yaml", ("decoder.kind=transformer",), 270_790),
    "A: contrast from pixels, r2gen": PaperRow("mimic.yaml", ("decoder.kind=r2gen",), 270_790),
    "B: alignment": PaperRow("cia-align.yaml", (), 52_000),
    "B: cia-net": PaperRow("cia-net.yaml", ("localizer.labels=phantom",), 56_300),
    "C: wcl": PaperRow("wcl.yaml", ("losses.0.clusters.embedding=tfidf", "losses.0.clusters.k=4"), 368_960),
    "D: detector": PaperRow("cross-attention-detector.yaml", ("localizer.attributes=phantom-opacity",), 52_000),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny networks: a rehearsal")
    parser.add_argument("--steps", type=int, default=20, help="training steps that are timed")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS), help="rows to train")
    parser.add_argument("--out", type=Path, help="file for the figures")
    asked = parser.parse_args(arguments)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        print(f"gpu_check: missing: {', '.join(missing)}; give them as wheels with --wheels", file=sys.stderr)
        return 2
    if (reason := _unusable(asked.device)) is not None:
        print(f"gpu_check: {reason}", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"machine": machine(asked.device)}
    _show("machine", found["machine"])
    with tempfile.TemporaryDirectory() as folder:
        for name, figures in checks(asked, Path(folder)):
            found[name] = figures
            _show(name, figures)
            if asked.out is not None:
                asked.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0 if found["equality with the CPU"]["equal"] else 1


def checks(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each check by name with its figures, the cheapest first."""
    yield "encoder, pictures a second", encoder_pace(asked.device, small=asked.small)
    written = ROWS["A: contrast from pixels, r2gen"]
    prepared = prepare_row(written, folder, small=True)
    yield "equality with the CPU", equality(prepared, asked.device)
    for name in asked.rows:
        yield f"training, {name}", training_pace(ROWS[name], folder, asked)
    prepared = prepare_row(written, folder, small=asked.small)
    yield "decoding, r2gen", decoding_pace(prepared, asked.device)


def _unusable(device: str) -> str | None:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        return f"device {device}: {str(error).splitlines()[0]}"
    return None


def machine(device: str) -> dict[str, Any]:
    """Return what computes, and in what."""
    import torch

    from contrastcxr.machine import gpus

    return {"device": device, "torch": torch.__version__, "threads": torch.get_num_threads(), **gpus()}


def encoder_pace(device: str, *, small: bool) -> dict[str, Any]:
    """Return pictures a second of the papers' ResNet-50 at 224 pixels, from pinned memory, by precision."""
    import torch
    from timm import create_model

    side, count = (64, 4) if small else (224, 128)
    network = create_model("resnet18" if small else "resnet50", pretrained=False, num_classes=0).eval().to(device)
    pictures = torch.randn(count, 3, side, side)
    pictures = pictures.pin_memory() if device.startswith("cuda") else pictures
    found = {}
    for precision in _precisions(device):

        def step(precision: str = precision) -> None:
            with torch.no_grad(), _casting(device, precision):
                network(pictures.to(device, non_blocking=True))

        found[precision] = round(count / seconds_each(step, device, repeats=2 if small else 20), 1)
    return {"pictures_per_second": found, "batch": count, "side": side}


def training_pace(row: PaperRow, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Return steps a second of a row in the precision that `auto` takes, memory, and hours of a whole training."""
    import torch

    device = asked.device
    prepared = prepare_row(row, folder, small=asked.small)
    system, config = prepared.system.to(device), prepared.config
    batches = [batch.to(device) for batch in _batches(prepared)]
    step = training_step(system, config, cycle(batches), device, _precisions(device)[-1])
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    each = seconds_each(step, device, repeats=asked.steps)
    work = tera_flop(step)
    figures = {
        "steps_per_second": round(1 / each, 2),
        "tera_flop_per_step": round(work, 3),
        "tera_flop_per_second": round(work / each, 2),
        "batch": config.train.batch_size,
        "precision": _precisions(device)[-1],
        "peak_memory_gb": _peak_memory(device),
    }
    if asked.small:
        return figures  # another batch on other networks: no pace of a published training
    steps = -(-row.pictures // config.train.batch_size)
    hours = steps * config.train.epochs * each / 3600
    return {**figures, "steps_of_an_epoch": steps, "epochs": config.train.epochs, "hours": round(hours, 1)}


def decoding_pace(prepared: PreparedRun, device: str) -> dict[str, Any]:
    """Return reports a second of a beam search, as published."""
    reader = _reader(prepared, device)
    (batch, *_) = prepared.batches(prepared.validation)
    each = seconds_each(lambda: reader.read_features(batch), device, repeats=2)
    settings = prepared.config.generate
    return {
        "reports_per_second": round(len(batch) / each, 2),
        "beams": settings.beams,
        "max_tokens": settings.max_tokens,
        "peak_memory_gb": _peak_memory(device),
    }


def equality(prepared: PreparedRun, device: str) -> dict[str, Any]:
    """Return losses of the same steps on both, in 32 bits, the largest relative difference, and equal reports."""
    from copy import deepcopy

    import torch

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    both = {}
    for each in ("cpu", device):
        system = deepcopy(prepared.system).to(each)
        batches = [batch.to(each) for batch in _batches(prepared)]
        step = training_step(system, prepared.config, cycle(batches), each, "32", dropout=False)
        both[each] = [float(step()) for _ in range(3)]
    gap = max(abs(one - other) / abs(one) for one, other in zip(both["cpu"], both[device], strict=True))
    (batch, *_) = prepared.batches(prepared.validation)
    texts = [
        [reading.report.findings for reading in _reader(prepared, each).read_features(batch)]
        for each in ("cpu", device)
    ]
    torch.backends.cudnn.allow_tf32 = True  # as PyTorch has it
    same = sum(one == other for one, other in zip(*texts, strict=True))
    return {
        "losses": both,
        "largest_relative_difference": gap,
        "reports": len(batch),
        "equal_reports": same,
        "equal": gap < TOLERANCE,
    }


def training_step(
    system: System, config: Any, batches: Iterator[Batch], device: str, precision: str, *, dropout: bool = True
) -> Callable[[], torch.Tensor]:
    """Return a function that takes the next training step and returns its loss."""
    import torch

    from contrastcxr.training.task import loss_terms, loss_weights, optimizer_of

    optimizer, weights = optimizer_of(config.train.optimizer, system), loss_weights(config)
    scaler = torch.amp.GradScaler(enabled=precision == "16-mixed")
    system.train(dropout)

    def step() -> torch.Tensor:
        with _casting(device, precision):
            terms = loss_terms(system, next(batches))
            loss = torch.stack([weights[name] * mean for name, (mean, _) in terms.items()]).sum()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


def tera_flop(step: Callable[[], Any]) -> float:
    """Return the work of a step, forward and backward, as PyTorch counts it: products and convolutions alone."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counted:
        step()
    return counted.get_total_flops() / 1e12


def seconds_each(step: Callable[[], Any], device: str, *, repeats: int) -> float:
    """Return the mean seconds of a step, behind two that warm up; a GPU is waited for."""
    import torch

    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    for _ in range(2):
        step()
    wait()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    wait()
    return (time.perf_counter() - start) / repeats


def prepare_row(row: PaperRow, folder: Path, *, small: bool) -> PreparedRun:
    """Return a row on drawn pictures."""
    from contrastcxr.training.prepare import prepare

    return prepare(_config(row, (*DRAWN, *(SMALL if small else ()))), cache=folder)


def _config(row: PaperRow, overrides: Sequence[str]) -> Any:
    from contrastcxr.config import load_config

    return load_config(ROOT / "configs" / "paper" / row.config, overrides=(*row.overrides, *overrides))


def _batches(prepared: PreparedRun) -> list[Batch]:
    """Return the batches of an epoch, at least one and at most four, each of the size that is configured."""
    from contrastcxr.features.samples import loader
    from contrastcxr.training.order import epoch_batches

    size, count = prepared.config.train.batch_size, len(prepared.train)
    order = epoch_batches(count, batch_size=min(size, count), seed=0, epoch=0)
    full = [[*islice(cycle(batch), size)] for batch in order]
    samples = prepared.samples(prepared.train, epoch=0)
    return list(loader(samples, full[:4], pad=prepared.pad))


def _reader(prepared: PreparedRun, device: str) -> Any:
    from copy import deepcopy

    from contrastcxr.reading.reader import Reader

    return Reader(
        deepcopy(prepared.system),
        prepared.tokenizer,
        prepared.preprocess,
        settings=prepared.config.generate,
        labels=prepared.labels or None,
        device=device,
    )


def _precisions(device: str) -> tuple[str, ...]:
    """Return 32 bits, and what `train.precision: auto` takes."""
    from contrastcxr.machine import cpu_multiplies_bf16, gpus_multiply_bf16

    if device.startswith("cuda"):
        return ("32", "bf16-mixed" if gpus_multiply_bf16() else "16-mixed")
    return ("32", "bf16-mixed") if cpu_multiplies_bf16() else ("32",)


def _casting(device: str, precision: str) -> AbstractContextManager[Any]:
    import torch

    if precision == "32":
        return nullcontext()
    return torch.autocast(device.partition(":")[0], torch.bfloat16 if precision == "bf16-mixed" else torch.float16)


def _peak_memory(device: str) -> float | None:
    import torch

    return round(torch.cuda.max_memory_allocated() / 1e9, 2) if device.startswith("cuda") else None


def _show(name: str, figures: Mapping[str, Any]) -> None:
    print(f"{name}: {json.dumps(figures)}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
