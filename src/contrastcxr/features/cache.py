"""The cache of raw encoder features: a frozen encoder sees each picture once, however many systems train on it.

A folder per (encoder weights, transform, origin of the pixels, aligner) holds shards: `NNNNN-PID.npy` `[n, N, C]`
float16, and `NNNNN-PID.json` with the n keys, affines, positions, thumbnails and, of pictures that were aligned,
poses.  A run that was stopped leaves only whole shards, and the next run encodes what is missing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from contrastcxr.data.pixels import PictureOf, original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import can_be_aligned
from contrastcxr.errors import ImageError, OutputError
from contrastcxr.features.pictures import whole_picture
from contrastcxr.files import free_bytes
from contrastcxr.form import View
from contrastcxr.models.align.aligner import Aligner, Normalisation
from contrastcxr.models.align.pose import beyond, compose
from contrastcxr.models.contrast.bank import thumbnails
from contrastcxr.store.keys import view_key
from contrastcxr.store.picture_cache import PictureCache, find_pictures
from contrastcxr.store.shards import Shard, ShardIndex, open_shard, write_shard
from contrastcxr.store.workers import ahead, from_workers

logger = logging.getLogger(__name__)

SHARD_ROWS = 256
ENCODE_BATCH = 16
THREADS = 4
"""That read pictures while a GPU encodes, where no processes do (ours)."""

Half = NDArray[np.float16]
_Stacked = tuple[list["_Picture"], Tensor]
"""Pictures without their images, and those `[m, 3, S, S]` of the m that could be read."""


class PictureEncoder(Protocol):
    """What features are cached of: `Encoder`, or what gives none beside the thumbnails (`NoFeatures`)."""

    grid: tuple[int, int]
    channels: int

    @property
    def device(self) -> torch.device:
        """Where it wants its images."""

    def fingerprint(self) -> str:
        """Return what equal features are known by."""

    def eval(self) -> Self:
        """Return it in the mode of reading."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return `[M, N, C]` of `images [M, 3, S, S]`."""


class NoFeatures:
    """An encoder that sees pictures and says nothing, so that their thumbnails are all that is kept."""

    grid = (1, 1)
    channels = 1
    device = torch.device("cpu")

    def fingerprint(self) -> str:
        """Return its name."""
        return "thumbnails"

    def eval(self) -> NoFeatures:
        """Return itself."""
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Return zeros `[M, 1, 1]`."""
        return images.new_zeros(len(images), 1, 1)


@dataclass(frozen=True)
class UnreadableView:
    """A view whose pixels could not be read, and the error's line."""

    view_id: str
    message: str


def cache_folder(
    root: Path,
    *,
    encoder: PictureEncoder,
    preprocess: Preprocess,
    pictures: PictureCache | None = None,
    aligner: Aligner | None = None,
) -> Path:
    """Return the folder for these weights, this transform, and pixels of the files or of prepared pictures.

    Pictures that an aligner moves have a folder of their own for each aligner.
    """
    identity = {"encoder": encoder.fingerprint(), "transform": preprocess.model_dump(mode="json")}
    if pictures is not None:
        identity["pixels"] = pictures.name
    if aligner is not None:
        identity["aligner"] = aligner.fingerprint()
    said = json.dumps(identity, sort_keys=True)
    return root / "features" / hashlib.blake2b(said.encode(), digest_size=10).hexdigest()


@dataclass(frozen=True, eq=False)
class EncodedView:
    """One view as the encoder left it: raw features `[N, C]` float16, and the affine `[2, 3]` to its pixels.

    `thumbnail [256]` uint8 is of the picture that the encoder saw; None where an earlier version encoded it.
    `pose [5]` is there where its picture was aligned before; the affine leads from the aligned picture.
    """

    features: Half
    affine: NDArray[np.float32]
    thumbnail: NDArray[np.uint8] | None = None
    pose: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class _Picture:
    """A view ready to be encoded, `image [3, S, S]`, or the line that says why it is not."""

    key: str
    position: str
    image: Tensor | None = None
    affine: list[list[float]] | None = None
    thumbnail: bytes | None = None
    pose: list[float] | None = None
    error: str | None = None


class FeatureCache:
    """Raw features by view key, read row by row from shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: list[Shard] = []
        self._affines: list[NDArray[np.float32]] = []
        self._thumbnails: list[NDArray[np.uint8] | None] = []
        self._poses: list[NDArray[np.float32] | None] = []
        self._index = ShardIndex()
        for index in sorted(folder.glob("*.json")):
            self._open(index)

    def _open(self, index: Path) -> None:
        shard = open_shard(index)
        if shard is None:
            return  # its features are made again
        self._shards.append(replace(shard, said={}))
        self._affines.append(np.asarray(shard.said["affines"], dtype=np.float32))
        self._thumbnails.append(_read_thumbnails(shard.said.get("thumbnails")))
        poses = shard.said.get("poses")
        self._poses.append(None if poses is None else np.asarray(poses, dtype=np.float32))
        self._index.add(shard.said["keys"])

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[Path]]:
        """Return how another process makes the cache: it opens the shards again."""
        return FeatureCache, (self.folder,)

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._index.find(key) is not None

    def __getitem__(self, key: str) -> EncodedView:
        """Return what the encoder made of the view with this key."""
        place = self._index.find(key)
        if place is None:
            raise KeyError(key)
        shard, row = place
        return EncodedView(
            self._shards[shard].row(row),
            self._affines[shard][row],
            self._thumbnail(shard, row),
            self._pose(shard, row),
        )

    def has_thumbnail(self, key: str) -> bool:
        """Return whether the view with this key is here with its thumbnail."""
        place = self._index.find(key)
        return place is not None and self._thumbnails[place[0]] is not None

    def thumbnail(self, key: str) -> NDArray[np.uint8]:
        """Return the thumbnail `[256]` of a view, without reading its features."""
        place = self._index.find(key)
        found = None if place is None else self._thumbnail(*place)
        if found is None:
            raise KeyError(key)
        return found

    def pose(self, key: str) -> NDArray[np.float32] | None:
        """Return the pose `[5]` of a view, without reading its features; None where it was not aligned."""
        place = self._index.find(key)
        if place is None:
            raise KeyError(key)
        return self._pose(*place)

    def _pose(self, shard: int, row: int) -> NDArray[np.float32] | None:
        poses = self._poses[shard]
        return None if poses is None else poses[row]

    def _thumbnail(self, shard: int, row: int) -> NDArray[np.uint8] | None:
        small = self._thumbnails[shard]
        return None if small is None else small[row]

    def add(self, pictures: Sequence[_Picture], features: Half) -> None:
        """Write one shard, array first; `features` is `[n, N, C]`, a row for each of the n pictures."""
        stem = self.folder / f"{len(self._shards):05d}-{os.getpid()}"
        write_shard(stem, features, _index(pictures))
        self._open(stem.with_suffix(".json"))


def _index(pictures: Sequence[_Picture]) -> dict[str, Any]:
    aligned = any(p.pose is not None for p in pictures)
    return {
        "keys": [p.key for p in pictures],
        "affines": [p.affine for p in pictures],
        "positions": [p.position for p in pictures],
        "thumbnails": [base64.b64encode(p.thumbnail or b"").decode("ascii") for p in pictures],
        **({"poses": [p.pose for p in pictures]} if aligned else {}),
    }


def _read_thumbnails(written: Sequence[str] | None) -> NDArray[np.uint8] | None:
    """Return thumbnails `[n, 256]` as an index holds them; None of a shard of an earlier version."""
    if written is None:
        return None
    rows = b"".join(base64.b64decode(text) for text in written)
    return np.frombuffer(rows, dtype=np.uint8).reshape(len(written), -1)


class _Pictures(Dataset[_Picture]):
    """Preprocessed pictures of views."""

    def __init__(self, views: Sequence[tuple[str, View]], preprocess: Preprocess, picture_of: PictureOf) -> None:
        self.views = views
        self.preprocess = preprocess
        self.picture_of = picture_of

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> _Picture:
        key, view = self.views[index]
        try:
            read = self.picture_of(view)
            image, affine = whole_picture(self.preprocess, read.pixels, shape=read.shape)
        except ImageError as error:
            return _Picture(key, view.position, error=str(error))
        return _Picture(key, view.position, image=image, affine=affine.tolist())


def encode_views(
    views: Iterable[View],
    *,
    encoder: PictureEncoder,
    preprocess: Preprocess,
    root: Path,
    workers: int = 0,
    with_thumbnails: bool = False,
    aligner: Aligner | None = None,
) -> tuple[FeatureCache, list[UnreadableView]]:
    """Fill the cache with the views it lacks and return it with those that could not be read.

    Pixels come from prepared pictures where `root` holds them for all the views, else from the files.

    Args:
        views: any number, repeats allowed.
        encoder: used in eval mode without gradient, on the device where it is.
        preprocess: its test transform is applied.
        root: the cache folder; features go to a folder of this encoder and transform below it.
        workers: processes that load and draw pictures; 0 does it in this one.
        with_thumbnails: encode again what an earlier version kept without a thumbnail.
        aligner: moves every picture first, those of lateral views excepted.

    Raises:
        OutputError: the disk cannot hold the features.
    """
    views = list(views) if isinstance(views, Iterator) else views  # gone through twice, and not copied
    pictures = find_pictures(root, views, side=preprocess.size)
    folder = cache_folder(root, encoder=encoder, preprocess=preprocess, pictures=pictures, aligner=aligner)
    kept = FeatureCache(folder)
    missing, unreadable = _missing(views, kept, with_thumbnails=with_thumbnails)
    if not missing:
        return kept, unreadable
    names = {key: view.view_id for key, view in missing}
    _announce(len(missing), encoder=encoder, folder=kept.folder)
    if pictures is not None:
        logger.info(f"features: pixels are {pictures.name}")
    batches = from_workers(
        _loader(_Pictures(missing, preprocess, pictures or original), workers, encoder.device), into=kept.folder
    )
    done = 0
    for read, features in _encoded_shards(batches, encoder, preprocess, aligner):
        encoded = [p for p in read if p.error is None]
        unreadable.extend(UnreadableView(names[p.key], p.error) for p in read if p.error is not None)
        if encoded:
            kept.add(encoded, features)
        warn_of_poses([p.pose for p in encoded if p.pose is not None])
        done += len(read)
        logger.info(f"features: {done:,} of {len(missing):,} pictures")
    return kept, unreadable


def _missing(
    views: Iterable[View], kept: FeatureCache, *, with_thumbnails: bool
) -> tuple[list[tuple[str, View]], list[UnreadableView]]:
    unreadable: list[UnreadableView] = []
    is_kept = kept.has_thumbnail if with_thumbnails else kept.__contains__
    missing = {key: view for key, view in keyed(views, unreadable) if not is_kept(key)}
    return list(missing.items()), unreadable


def keyed(views: Iterable[View], unreadable: list[UnreadableView]) -> Iterator[tuple[str, View]]:
    """Yield each view with its key; one whose file is gone goes to `unreadable` instead."""
    for view in views:
        try:
            yield view_key(view), view
        except ImageError as error:
            unreadable.append(UnreadableView(view.view_id, str(error)))


def _announce(count: int, *, encoder: PictureEncoder, folder: Path) -> None:
    """Say how much will be written, and refuse before the work when the disk cannot hold it."""
    rows, columns = encoder.grid
    needed = count * rows * columns * encoder.channels * np.dtype(np.float16).itemsize
    free = free_bytes(folder)
    logger.info(f"features: {count:,} pictures to encode, {needed / 1e6:,.0f} MB in {folder}")
    if needed > free:
        raise OutputError(
            f"{folder}: {needed / 1e6:,.0f} MB of features, {free / 1e6:,.0f} MB free; "
            "free some space or choose another folder with --cache"
        )


def _encoded_shards(
    batches: Iterable[_Stacked], encoder: PictureEncoder, preprocess: Preprocess, aligner: Aligner | None
) -> Iterator[tuple[list[_Picture], Half]]:
    """Yield pictures, readable or not, and the features `[n, N, C]` of the readable ones, shard by shard."""
    pictures: list[_Picture] = []
    rows: list[Half] = []
    for read, images in batches:
        if len(images):
            images = images.to(encoder.device, non_blocking=encoder.device.type == "cuda")
            if aligner is not None:
                read, images = _aligned(read, images, aligner, preprocess)
            read = _with_thumbnails(read, images, preprocess)
            rows.append(_encode(encoder, images))
        pictures.extend(read)
        if len(pictures) >= SHARD_ROWS:
            yield pictures, _joined(rows)
            pictures, rows = [], []
    if pictures:
        yield pictures, _joined(rows)


def _with_thumbnails(read: Sequence[_Picture], images: Tensor, preprocess: Preprocess) -> list[_Picture]:
    """Return pictures as they are indexed, with the thumbnails of `images`, what the encoder sees of them."""
    small = iter(thumbnails(images, mean=preprocess.mean, std=preprocess.std).cpu().numpy())
    return [replace(p, thumbnail=next(small).tobytes()) if p.error is None else p for p in read]


def _joined(rows: list[Half]) -> Half:
    return np.concatenate(rows) if rows else np.empty((0, 0, 0), np.float16)


def _loader(pictures: _Pictures, workers: int, device: torch.device) -> Iterable[_Stacked]:
    """Return batches in order, read by processes, or while the device computes by threads; pinned for a GPU."""
    pin = device.type == "cuda"
    if workers or device.type == "cpu":
        return DataLoader(
            pictures, batch_size=ENCODE_BATCH, num_workers=workers, collate_fn=_stacked, pin_memory=pin
        )

    def read(first: int) -> _Stacked:
        batch, images = _stacked([pictures[i] for i in range(first, len(pictures))[:ENCODE_BATCH]])
        return batch, images.pin_memory() if pin else images

    return ahead(read, range(0, len(pictures), ENCODE_BATCH), device=device.type, threads=THREADS)


def _stacked(batch: Sequence[_Picture]) -> _Stacked:
    images = [p.image for p in batch if p.image is not None]
    return [replace(p, image=None) for p in batch], torch.stack(images) if images else torch.empty(0)


def _aligned(
    read: Sequence[_Picture], images: Tensor, aligner: Aligner, preprocess: Preprocess
) -> tuple[list[_Picture], Tensor]:
    """Return pictures moved by an aligner, with their poses and the affines from where they are now."""
    chosen = torch.tensor([can_be_aligned(p.position) for p in read if p.error is None])
    there, normalisation = aligner.canonical.device, Normalisation(preprocess.mean, preprocess.std)
    moved, poses = aligner.eval().align(images.to(there), normalisation, chosen=chosen)
    found = iter(poses.cpu())
    posed = [_with_pose(p, next(found), images.shape[-1]) if p.error is None else p for p in read]
    return posed, moved.to(images.device)


def _with_pose(picture: _Picture, pose: Tensor, side: int) -> _Picture:
    affine = compose(torch.tensor(picture.affine, dtype=torch.float64), pose.double(), side)
    return replace(picture, affine=affine.tolist(), pose=pose.tolist())


def warn_of_poses(poses: Sequence[Sequence[float]]) -> None:
    """Warn of poses that leave their bounds: their pictures stay as they are."""
    lost = int(beyond(torch.tensor(poses)).sum()) if len(poses) else 0
    if lost:
        logger.warning(
            f"align: {lost:,} of {len(poses):,} pictures are not aligned, since their poses leave the bounds of "
            "scale, shift or turn: they are read as they are; train the aligner on such pictures"
        )


@torch.no_grad()
def _encode(encoder: PictureEncoder, images: Tensor) -> Half:
    features: Tensor = encoder.eval()(images)  # [M, N, C]
    limit = torch.finfo(torch.float16).max
    half: Half = features.clamp(-limit, limit).half().cpu().numpy()
    return half
