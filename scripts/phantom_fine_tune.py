"""The long line of the gate: a small network fine-tuned on the phantoms, resumable from epoch to epoch."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from contrastcxr.files import atomic_write
from contrastcxr.metrics.identification import auc
from contrastcxr.models.encoders import build_encoder
from contrastcxr.store.keys import phantom_version

EPOCHS = 12
BATCH = 24
LEARNING_RATE = 6e-4
SEED = 0


class Classifier(nn.Module):
    """Lite0 with ImageNet weights and one linear layer; mean and maximum over patches are joined."""

    def __init__(self, findings: int) -> None:
        super().__init__()
        self.encoder = build_encoder("tf_efficientnet_lite0", weights="package", trainable=True, train_norm=True)
        self.head = nn.Linear(2 * self.encoder.channels, findings)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.encoder(images)
        out: Tensor = self.head(torch.cat([patches.mean(1), patches.amax(1)], dim=1))
        return out


def prepare(images: np.ndarray, rows: np.ndarray, generator: np.random.Generator | None) -> Tensor:
    """Pictures in [-1, 1], randomly shifted and with jittered grey values in training (never flipped)."""
    x = images[rows].astype(np.float32) / 255.0
    if generator is not None:
        x = np.stack([_jitter(i, generator) for i in x])
    tensor: Tensor = torch.from_numpy(x)[:, None].expand(-1, 3, -1, -1)
    return ((tensor - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)


def _jitter(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    dy, dx = generator.integers(-14, 15, 2)
    gamma = float(np.exp(generator.uniform(-0.25, 0.25)))
    out: np.ndarray = np.roll(image, (int(dy), int(dx)), (0, 1)) ** gamma
    return out


def fine_tune(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, cache: Path
) -> dict[str, object]:
    """Trains, or goes on where it stopped; returns the record of the last epoch."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    model = Classifier(train_y.shape[1]).to(memory_format=torch.channels_last)  # 1.5 times as fast on CPUs
    rates = [
        {"params": model.encoder.parameters(), "lr": LEARNING_RATE},
        {"params": model.head.parameters(), "lr": 3 * LEARNING_RATE},
    ]
    optimizer = torch.optim.AdamW(rates, weight_decay=0.02)
    steps = EPOCHS * (len(train_x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [LEARNING_RATE, 3 * LEARNING_RATE], total_steps=steps + 1, pct_start=0.15
    )
    path = state_file(cache, len(train_x))
    first = _resume(path, model, optimizer, schedule)
    value = float("nan")
    for epoch in range(first, EPOCHS):
        start = time.time()
        loss = _epoch(model, optimizer, schedule, train_x, train_y, epoch)
        value = score(model, test_x, test_y)
        print(
            f"fine-tune epoch {epoch + 1}: loss {loss:.4f}, test AUC {value:.3f}, {time.time() - start:.0f} s",
            flush=True,
        )
        state = {"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        with atomic_write(path, "wb") as file:
            torch.save({**state, "schedule": schedule.state_dict()}, file)
    if first >= EPOCHS:
        value = score(model, test_x, test_y)
    return {
        "phantoms": phantom_version(),
        "auc": round(value, 4),
        "epochs": EPOCHS,
        "train": len(train_x),
        "test": len(test_x),
    }


def state_file(cache: Path, count: int) -> Path:
    """What training on `count` phantoms goes on from."""
    return cache / f"{phantom_version()}-fine-tune-{count}.pt"


def write_encoder(cache: Path, count: int, out: Path) -> None:
    """The encoder of a finished training as half floats (norms stay whole), without its classifier."""
    state = torch.load(state_file(cache, count), weights_only=True)
    if state["epoch"] < EPOCHS:
        raise SystemExit(f"{state['epoch']} of {EPOCHS} epochs are trained; run --fine-tune to the end first")
    inner = "encoder.backbone."
    kept = {key.removeprefix(inner): value for key, value in state["model"].items() if key.startswith(inner)}
    kept = {key: value for key, value in kept.items() if not key.startswith("classifier.")}
    halves = {key: (value.half() if value.ndim > 1 else value).contiguous() for key, value in kept.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out, "wb") as file:
        file.write(save(halves))


def _resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["epoch"])


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    images: np.ndarray,
    targets: np.ndarray,
    epoch: int,
) -> float:
    generator = np.random.default_rng([SEED, epoch])
    order = generator.permutation(len(images))
    losses = []
    model.train()
    for start in range(0, len(order) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        y = torch.from_numpy(targets[rows]).float()
        known = torch.isfinite(y)
        logits = model(prepare(images, rows, generator))
        loss = nn.functional.binary_cross_entropy_with_logits(logits[known], y[known])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def score(model: nn.Module, images: np.ndarray, targets: np.ndarray) -> float:
    """Mean AUC over findings on the test pictures; uncertain ones are left out."""
    model.eval()
    with torch.no_grad():
        rows = [np.arange(i, min(i + 32, len(images))) for i in range(0, len(images), 32)]
        logits = np.concatenate([model(prepare(images, r, None)).numpy() for r in rows])
    known = np.isfinite(targets)
    return float(np.mean([auc(logits[known[:, k], k], targets[known[:, k], k]) for k in range(targets.shape[1])]))
