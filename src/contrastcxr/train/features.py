"""The cache of raw encoder features: a frozen encoder sees each picture once, however many systems train on it.

A folder per (encoder weights, transform) holds shards: `NNNNN-PID.npy` `[n, N, C]` float16, and `NNNNN-PID.json`
with the n keys, affines and positions.  The JSON is renamed into place after the array, so a run that was stopped
leaves only whole shards, and the next run encodes what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import ImageError, OutputError
from contrastcxr.files import atomic_write
from contrastcxr.form import View, is_file_locator, locator_path
from contrastcxr.models.encoders import Encoder

SHARD_ROWS = 256
ENCODE_BATCH = 16

Say = Callable[[str], None]
"""Takes one line about the work's progress."""

Half = NDArray[np.float16]


def silent(line: str) -> None:
    """Takes a line and says nothing."""
    del line


@dataclass(frozen=True)
class Unreadable:
    """A view whose pixels could not be read, and the error's line."""

    view_id: str
    message: str


def default_cache() -> Path:
    """`$CONTRASTCXR_CACHE`, or `.cache/contrastcxr` below the working directory."""
    return Path(os.environ.get("CONTRASTCXR_CACHE") or Path(".cache") / "contrastcxr")


_PROBES = 12


@cache
def phantom_version() -> str:
    """The phantoms' own version and a hash over a few of them: phantoms that changed are encoded again."""
    from contrastcxr.phantom.locator import FORMAT, PhantomId, locator, render_locator

    digest = hashlib.blake2b(digest_size=8)
    for index in range(_PROBES):
        pixels = render_locator(locator(PhantomId("standard", "train", index)), size=96)
        digest.update((pixels * 255).round().astype(np.uint8).tobytes())
    return f"{FORMAT}-{digest.hexdigest()}"


def view_key(view: View) -> str:
    """Identity of a view's pixels: a file's path, size and time of change; a phantom's locator and version."""
    if view.pixels is not None:
        said = f"pixels:{view.pixels.shape}:{hashlib.blake2b(view.pixels.tobytes(), digest_size=16).hexdigest()}"
    elif is_file_locator(view.locator or ""):
        said = _file_identity(locator_path(view.locator or ""))
    else:
        said = f"{view.locator}#{phantom_version()}"
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def _file_identity(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or error}; expected an image file") from None
    return f"{path.resolve()}:{found.st_size}:{found.st_mtime_ns}"


def cache_folder(root: Path, *, encoder: Encoder, preprocess: Preprocess) -> Path:
    """The cache's folder for these weights and this transform."""
    said = json.dumps(
        {"encoder": encoder.fingerprint(), "transform": preprocess.model_dump(mode="json")}, sort_keys=True
    )
    return root / "features" / hashlib.blake2b(said.encode(), digest_size=10).hexdigest()


@dataclass(frozen=True, eq=False)
class Encoded:
    """One view as the encoder left it: raw features `[N, C]` float16, and the affine `[2, 3]` to its pixels."""

    features: Half
    affine: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Picture:
    """A view ready to be encoded, `image [3, S, S]`, or the line that says why it is not."""

    key: str
    position: str
    image: Tensor | None = None
    affine: list[list[float]] | None = None
    error: str | None = None


class FeatureCache:
    """Raw features by view key, read from memory-mapped shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays: list[Half] = []
        self._rows: dict[str, tuple[int, int]] = {}
        self._affines: list[NDArray[np.float32]] = []
        for index in sorted(folder.glob("*.json")):
            self._open(index)

    def _open(self, index: Path) -> None:
        said = json.loads(index.read_text(encoding="utf-8"))
        self._arrays.append(np.load(index.with_suffix(".npy"), mmap_mode="r"))
        self._affines.append(np.asarray(said["affines"], dtype=np.float32))
        shard = len(self._arrays) - 1
        self._rows.update({key: (shard, row) for row, key in enumerate(said["keys"])})

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[Path]]:
        """Another process opens the shards again: a pickled memory map would copy every feature."""
        return FeatureCache, (self.folder,)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Encoded:
        """What the encoder made of the view with this key."""
        shard, row = self._rows[key]
        return Encoded(self._arrays[shard][row], self._affines[shard][row])

    def add(self, pictures: Sequence[_Picture], features: Half) -> None:
        """Write one shard, array first; `features` is `[n, N, C]`, a row for each of the n pictures."""
        stem = self.folder / f"{len(self._arrays):05d}-{os.getpid()}"
        with atomic_write(stem.with_suffix(".npy"), mode="wb") as file:
            np.save(file, features)
        with atomic_write(stem.with_suffix(".json")) as file:
            json.dump(_index(pictures), file)
        self._open(stem.with_suffix(".json"))


def _index(pictures: Sequence[_Picture]) -> dict[str, Any]:
    return {
        "keys": [p.key for p in pictures],
        "affines": [p.affine for p in pictures],
        "positions": [p.position for p in pictures],
    }


class _Pictures(Dataset[_Picture]):
    """Preprocessed pictures of views."""

    def __init__(self, views: Sequence[tuple[str, View]], preprocess: Preprocess) -> None:
        self.views = views
        self.preprocess = preprocess

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> _Picture:
        key, view = self.views[index]
        try:
            image, affine = self.preprocess.test(load_pixels(view))
        except ImageError as error:
            return _Picture(key, view.position, error=str(error))
        return _Picture(key, view.position, image=image, affine=affine.tolist())


def encode_views(
    views: Iterable[View],
    *,
    encoder: Encoder,
    preprocess: Preprocess,
    root: Path,
    workers: int = 0,
    device: torch.device | str = "cpu",
    say: Say = silent,
) -> tuple[FeatureCache, list[Unreadable]]:
    """Fill the cache with the views it lacks and return it with those that could not be read.

    Args:
        views: any number, repeats allowed.
        encoder: used in eval mode without gradient.
        preprocess: its test transform is applied.
        root: the cache folder; features go to a folder of this encoder and transform below it.
        workers: processes that load and draw pictures; 0 does it in this one.
        device: where the encoder runs.
        say: takes lines of progress, the size first.

    Raises:
        OutputError: the disk cannot hold the features.
    """
    kept = FeatureCache(cache_folder(root, encoder=encoder, preprocess=preprocess))
    missing, unreadable = _missing(views, kept)
    if not missing:
        return kept, unreadable
    names = {key: view.view_id for key, view in missing}
    _announce(len(missing), encoder=encoder, folder=kept.folder, say=say)
    done = 0
    for pictures, features in _encoded_shards(missing, encoder, preprocess, workers, torch.device(device)):
        encoded = [p for p in pictures if p.error is None]
        unreadable.extend(Unreadable(names[p.key], p.error) for p in pictures if p.error is not None)
        if encoded:
            kept.add(encoded, features)
        done += len(pictures)
        say(f"features: {done:,} of {len(missing):,} pictures")
    return kept, unreadable


def _missing(views: Iterable[View], kept: FeatureCache) -> tuple[list[tuple[str, View]], list[Unreadable]]:
    missing: dict[str, View] = {}
    unreadable: list[Unreadable] = []
    for view in views:
        try:
            key = view_key(view)
        except ImageError as error:
            unreadable.append(Unreadable(view.view_id, str(error)))
            continue
        if key not in kept:
            missing[key] = view
    return list(missing.items()), unreadable


def _announce(count: int, *, encoder: Encoder, folder: Path, say: Say) -> None:
    """Say how much will be written, and refuse before the work when the disk cannot hold it."""
    rows, columns = encoder.grid
    needed = count * rows * columns * encoder.channels * np.dtype(np.float16).itemsize
    free = _free_bytes(folder)
    say(f"features: {count:,} pictures to encode, {needed / 1e6:,.0f} MB in {folder}")
    if needed > free:
        raise OutputError(
            f"{folder}: {needed / 1e6:,.0f} MB of features, {free / 1e6:,.0f} MB free; "
            "free some space or choose another folder with --cache"
        )


def _free_bytes(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}; choose another folder with --cache") from None


def _encoded_shards(
    missing: Sequence[tuple[str, View]],
    encoder: Encoder,
    preprocess: Preprocess,
    workers: int,
    device: torch.device,
) -> Iterator[tuple[list[_Picture], Half]]:
    """Yield pictures, readable or not, and the features `[n, N, C]` of the readable ones, shard by shard."""
    pictures: list[_Picture] = []
    rows: list[Half] = []
    for batch in _loader(missing, preprocess, workers):
        images = [p.image for p in batch if p.image is not None]
        pictures.extend(replace(p, image=None) for p in batch)
        if images:
            rows.append(_encode(encoder, torch.stack(images).to(device)))
        if len(pictures) >= SHARD_ROWS:
            yield pictures, _joined(rows)
            pictures, rows = [], []
    if pictures:
        yield pictures, _joined(rows)


def _joined(rows: list[Half]) -> Half:
    return np.concatenate(rows) if rows else np.empty((0, 0, 0), np.float16)


def _loader(missing: Sequence[tuple[str, View]], preprocess: Preprocess, workers: int) -> Iterable[list[_Picture]]:
    return DataLoader(
        _Pictures(missing, preprocess),
        batch_size=ENCODE_BATCH,
        num_workers=workers,
        collate_fn=list,
    )


@torch.no_grad()
def _encode(encoder: Encoder, images: Tensor) -> Half:
    features: Tensor = encoder.eval()(images)  # [M, N, C]
    limit = torch.finfo(torch.float16).max
    half: Half = features.clamp(-limit, limit).half().cpu().numpy()
    return half
