"""A small system with random weights and everything a real one has, saved as a checkpoint in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from contrastcxr.assemble import Marks, SystemParts, build_system, make_encoder, make_preprocess
from contrastcxr.checkpoint import Checkpoint, SourceNote, save_checkpoint
from contrastcxr.config import SystemConfig, parse_config
from contrastcxr.form import Study, View
from contrastcxr.models.contrast.bank import NegativeBank
from contrastcxr.models.contrast.options import BankOptions
from contrastcxr.models.contrast.pool import NormalityPool, PoolRows
from contrastcxr.text.tokenizer import Tokenizer
from tiny_aligner import small_aligner

SENTENCES = (
    "The heart is normal in size.",
    "There is a small left pleural effusion.",
    "No pneumothorax is seen.",
    "A 1.2 cm nodule is in the right upper zone.",
)
POOL_SIZE = 5


def tiny_config(**changes: object) -> SystemConfig:
    values: dict[str, object] = {
        "name": "tiny",
        "width": 16,
        "image": {"size": 64},
        "encoder": {"name": "test_resnet", "weights": "random"},
        "decoder": {"kind": "transformer", "layers": 1, "heads": 2, "feed_forward": 16},
        "contrast": {"repeats": 2},
        "finding_head": {"labels": "phantom"},
        "data": {"max_views": 2},
        "generate": {"max_tokens": 24, "block_trigrams": True},
        **changes,
    }
    return parse_config({k: v for k, v in values.items() if v is not None}, where="tiny")


def tiny_checkpoint(config: SystemConfig | None = None, *, seed: int = 0) -> Checkpoint:
    config = config or tiny_config()
    tokenizer = Tokenizer.train(SENTENCES, min_count=1)
    encoder = make_encoder(config, seed=seed)
    contrast = config.contrast
    pools = None if contrast is None else contrast.pool_options
    pool = None if pools is None else _pool(encoder.channels, kind=pools.kind)
    patches = pool if contrast is not None and contrast.compares_patches else None
    negatives = None if contrast is None else contrast.bank_options
    bank = None if negatives is None else _bank(encoder.grid, negatives, aligned=config.align is not None)
    words = tokenizer if config.needs.words else None
    aligner = None if config.align is None else small_aligner(**config.align.model_dump())
    parts = SystemParts(
        encoder=encoder,
        pool=pool,
        bank=bank,
        patch_pool=patches,
        vocabulary=0 if words is None else len(words),
        marks=None if words is None else Marks.of(words),
        aligner=aligner,
    )
    system = build_system(config, parts, seed=seed)
    return Checkpoint(
        config=config,
        tokenizer=words,
        labels=config.needs.finding_names,
        preprocess=make_preprocess(config, encoder),
        state=system.state_dict(),
        sources=(
            SourceNote(
                name="phantom",
                licence="Apache-2.0",
                redistributable=True,
                contains_text=True,
                contains_pictures=False,
            ),
        ),
        pool=None if pool is None else pool.metadata(),
        bank=None if bank is None else bank.metadata(),
        patch_pool=None if patches is None else patches.metadata(),
        canonical=None if aligner is None else aligner.chest.metadata(),
    )


def _pool(channels: int, *, kind: str) -> NormalityPool:
    generator = torch.Generator().manual_seed(1)
    return NormalityPool(torch.rand(POOL_SIZE, channels, generator=generator), _rows(POOL_SIZE), kind=kind)


def _bank(grid: tuple[int, int], options: BankOptions, *, aligned: bool) -> NegativeBank:
    generator = torch.Generator().manual_seed(2)
    rows = _rows(0 if options.kind == "zeros" else POOL_SIZE)
    small = torch.randint(0, 256, (len(rows), 256), generator=generator, dtype=torch.uint8)
    maps = torch.randn(len(rows), grid[0] * grid[1], generator=generator)
    poses = torch.rand(len(rows), 5, generator=generator) - 0.5 if aligned else None
    return NegativeBank(small, maps, rows, options, seed=0, poses=poses)


def _rows(size: int) -> PoolRows:
    numbers = range(size)
    return PoolRows(
        image_ids=tuple(f"normal{n}/frontal" for n in numbers),
        study_ids=tuple(f"normal{n}" for n in numbers),
        patient_ids=tuple(f"patient{n}" for n in numbers),
        positions=("PA",) * size,
        locators=(None,) * size,
    )


def save_tiny(folder: Path, config: SystemConfig | None = None, *, seed: int = 0) -> Path:
    path = folder / "tiny.safetensors"
    save_checkpoint(path, tiny_checkpoint(config, seed=seed), dtype="float32")
    return path


def tiny_study(name: str, *, views: int = 1, seed: int = 0, patient: str | None = None) -> Study:
    """A study of smooth random pictures, the first of them frontal."""
    rng = np.random.default_rng(seed)
    positions = ("PA", "LATERAL", "AP")
    made = (
        View(view_id=f"{name}-{v}", pixels=smooth(rng, 90 + 10 * v, 120), position=positions[v])
        for v in range(views)
    )
    return Study(study_id=name, patient_id=patient, views=tuple(made))


def smooth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    a, b, c = rng.uniform(2, 9, 3)
    return (0.5 + 0.4 * np.sin(a * x + b) * np.cos(c * y)).astype(np.float32)
