"""Every field of a configuration is read by the code that trains, saves and reads: seen by watching it do so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mini_data import boxed_study, mini_config, use_studies
from pydantic import BaseModel

from contrastcxr import config as config_module
from contrastcxr.config import SystemConfig
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.align.options import AlignOptions, CanonicalOptions
from contrastcxr.models.contrast.options import AttentionOptions, BankOptions, DifferenceOptions, PoolOptions
from contrastcxr.models.heads import HEADS
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.options import EncoderOptions, ProjectionOptions, RegionOptions
from contrastcxr.reading.reader import Reader
from contrastcxr.training import run

SMALL: dict[str, dict[str, Any]] = {
    "r2gen": {"layers": 1, "heads": 2, "feed_forward": 8, "memory_heads": 2},
    "transformer": {"layers": 1, "heads": 2, "feed_forward": 8},
}
Seen = set[tuple[str, str]]
CONFIG = str(Path(config_module.__file__).parent)
PACKAGE = str(Path(CONFIG).parent)


def parts() -> list[type[BaseModel]]:
    """Every part of a configuration."""
    settings = [value for value in vars(config_module).values() if isinstance(value, type)]
    heads = [entry.options for registry in HEADS.values() for entry in registry.values()]
    between = [AlignOptions, CanonicalOptions, EncoderOptions, ProjectionOptions, RegionOptions]
    between += [AttentionOptions, PoolOptions, DifferenceOptions, BankOptions]
    return [part for part in (*settings, *between, *heads) if issubclass(part, BaseModel) and part.model_fields]


FIELDS = sorted((part.__name__, field) for part in parts() for field in part.model_fields)


def its_own(file: str) -> bool:
    options = file.endswith("options.py") and file.startswith(PACKAGE)
    return options or file == __file__ or (file.startswith(CONFIG) and not file.endswith("data_ref.py"))


def counts(frame: Any) -> bool:
    """Whether a read from this frame uses the value: not the options themselves, nor what only refuses pairs.

    Where options follow from others, whoever asks for them uses these.
    """
    while frame is not None and its_own(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None or not frame.f_code.co_filename.startswith(PACKAGE):
        return False
    code = frame.f_code
    return not (code.co_filename.endswith("assemble.py") and code.co_name.lstrip("_").startswith("check"))


def watched(seen: Seen) -> Callable[[BaseModel, str], Any]:
    def read(self: BaseModel, name: str) -> Any:
        kind = type(self)
        if name in kind.__pydantic_fields__ and counts(sys._getframe(1)):
            seen.add((kind.__name__, name))
        return object.__getattribute__(self, name)

    return read


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """What was read of the configurations of small systems, each trained for a step and then read with."""
    found: Seen = set()
    with pytest.MonkeyPatch.context() as patch:
        use_studies(patch, small)
        for part in parts():
            patch.setattr(part, "__getattribute__", watched(found), raising=False)
        for number, config in enumerate(systems()):
            place = tmp_path_factory.mktemp("run")
            folder = run(config, out=place / str(number), cache=place / "cache", progress=False)
            if not config.heads:  # an aligner reads nothing: a system that takes it does
                config = aligned_by(folder.path)
                folder = run(config, out=place / "aligned", cache=place / "cache", progress=False)
            if config.localizer is not None and config.localizer.regions is not None:
                config = with_regions_of(folder.path)
                folder = run(config, out=place / "regions", cache=place / "cache", progress=False)
            searches = [None, GenerationSettings(method="nucleus", max_tokens=4)]
            if config.decoder is not None and config.decoder.word_probabilities:
                guidance = 0.5 if config.contrast is not None and config.contrast.pool_options else 0.0
                searches += [GenerationSettings(method="votes", max_tokens=4, samples=2, guidance=guidance)]
            for settings in searches:
                Reader.from_checkpoint(folder.path, settings=settings).read(small("validation")[0])
        yield found


def small(split: str) -> list[Any]:
    return [boxed_study(i, split=split) for i in range(4)]


def systems() -> list[SystemConfig]:
    """A frozen encoder under every decoder, a trained one under the transformer with every option of contrast."""
    train = {"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"}
    encoder = {"name": "test_efficientnet", "weights": "random"}
    contrast = {"repeats": 2, "patches": True, "stages": [0], "pool": {"size": 2, "patches": 3}}
    transformer = {"kind": "transformer", "layers": 1, "heads": 2, "feed_forward": 8}
    short = {"train": train, "generate": {"method": "greedy", "max_tokens": 4}, "contrast": None}
    alone = {"decoder": None, "finding_head": None, "projection": {"kind": "none"}}
    kinds = list(DECODERS)
    return [
        *(mini_config(decoder={"kind": kind, **SMALL.get(kind, {})}, **short) for kind in kinds if kind != "nic"),
        mini_config(train=train, generate={"method": "beam", "max_tokens": 4, "block_trigrams": True}),
        mini_config(decoder=None, localizer={"kind": "cam", "labels": "phantom", "transition": 8}, **short),
        mini_config(decoder=None, localizer={"kind": "gradcam", "labels": "phantom", "hidden": 8}, **short),
        mini_config(decoder=None, localizer={"kind": "li2018", "labels": "phantom", "upsample": 4}, **short),
        mini_config(
            **{**alone, **short},
            encoder={**encoder, "stage": 4},
            localizer={"kind": "retinanet", "attributes": "phantom-effusion", "pyramid": 8},
        ),
        mini_config(**{**short, "train": {**train, "optimizer": {"kind": "sgd"}}}),
        mini_config(align={"kind": "affine", "size": 64, "canonical": {"crop": [0, 0, 1, 1]}}, **alone, **short),
        mini_config(decoder={"kind": "att2in"}, **{**short, "train": {**train, "scheduled_sampling": {}}}),
        mini_config(**{**short, "contrast": {"kind": "difference", "stage": 1, "bank": {"match": "none"}}}),
        mini_config(
            train={**train, "epochs": 2},
            image={"size": 64, "augment": True},
            encoder={**encoder, "trainable": True},
            decoder=transformer,
            contrast=contrast,
            generate={"method": "greedy", "max_tokens": 4},
        ),
    ]


def with_regions_of(detector: Path) -> SystemConfig:
    return mini_config(
        decoder=None,
        finding_head=None,
        contrast=None,
        projection={"kind": "none"},
        encoder={"regions": {"weights": str(detector)}},
        localizer={"kind": "cross_attention", "attributes": "phantom-effusion", "embedding": 8},
        train={"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"},
    )


def aligned_by(aligner: Path) -> SystemConfig:
    return mini_config(
        decoder=None,
        align={"kind": "affine", "weights": str(aligner)},
        contrast={"kind": "difference", "stage": 1, "bank": {"sampling": "canonical"}},
        localizer={"kind": "li2018", "labels": "phantom"},
        train={"batch_size": 4, "epochs": 1, "monitor": "loss", "precision": "fp32"},
    )


@pytest.mark.parametrize(("part", "field"), FIELDS, ids=".".join)
def test_every_field_is_read_by_the_code_it_is_meant_for(part: str, field: str, seen: Seen) -> None:
    assert (part, field) in seen, f"nothing reads {part}.{field} when a system is trained and read with; remove it"


def test_a_field_that_only_shares_its_name_with_another_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch tells parts apart: `dropout` of one part is not `dropout` of another, and refusing is no use."""
    from contrastcxr.assemble import check_pairs

    found: Seen = set()
    config = mini_config()
    for part in parts():
        monkeypatch.setattr(part, "__getattribute__", watched(found), raising=False)
    check_pairs(config)
    config.to_yaml()
    assert found == set()
