"""The tables of a source and its pictures, resized once, in files that serve every run.

    CACHE/prepared/NAME-DIGEST/
      studies.jsonl       one study a line, as a manifest takes them
      reports.jsonl       the cleaned sections of every reading that has a text
      vocabulary.json     per author and split, words by count
      counts.json         per split: studies, patients, views, reports, findings
      views.npy           the pictures in order
      pictures-256/       shards of squares (see picture_cache)
      aligned-256-NAME/   the same, moved by an aligner, each shard with the poses
      unreadable.jsonl    what could not be read, and why
      about.json          written last: what this is

Which pictures a shard holds follows from the source alone, and each shard says whose they are: a run that was
stopped goes on with the shards that are missing, and pictures that changed since are made again.  A run that was
killed and one that was not, with any number of processes, leave the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.ref import DataRef
from contrastcxr.data.source import Source
from contrastcxr.data.transforms import resize
from contrastcxr.errors import ImageError, OutputError
from contrastcxr.files import atomic_write, clear_parts, free_bytes
from contrastcxr.form import View
from contrastcxr.store import derived
from contrastcxr.store.derived import stored_views, views_at, write_tables
from contrastcxr.store.picture_cache import FOLDER, SIDE, VERSION, aligned_folder, pictures_folder, shard_rows
from contrastcxr.store.shards import open_shard, write_shard
from contrastcxr.store.studies import open_source
from contrastcxr.store.study_lines import StudyLines
from contrastcxr.store.workers import WorkerEndedError, from_workers

logger = logging.getLogger(__name__)

ABOUT = "about.json"
UNREADABLE = "unreadable.jsonl"
_INDEX_BYTES = 60
"""Of the JSON beside a shard, per picture."""


class Mover(Protocol):
    """Moves pictures before they are kept."""

    @property
    def name(self) -> str:
        """Which one it is; part of the folder's name."""

    def __call__(self, picture: NDArray[np.float32], view: View) -> tuple[NDArray[np.float32], list[float]]:
        """Return a picture `[S, S]` moved, and five numbers that say how."""

    def warn(self, poses: Sequence[Sequence[float]]) -> None:
        """Warn of pictures that these numbers could not move."""


@dataclass(frozen=True)
class PreparedSource:
    """What there is after preparing.

    Attributes:
        folder: of the source.
        studies: in its table.
        pictures: different ones, unreadable ones counted.
        made: shards that this call wrote.
        unreadable: a line for each picture that could not be read.
        missing: images that the tables of the source name and its folder does not hold.
    """

    folder: Path
    studies: int
    pictures: int
    made: int
    unreadable: tuple[str, ...]
    missing: tuple[str, ...]


def prepared_folder(ref: DataRef, *, root: Path) -> Path:
    """Return where a source is prepared: its name, and a digest over its root, split, parameters and options."""
    name = ref.kind.name
    place = ref.root if ref.kind.root == "level" else str(ref.path.absolute())
    options = {key: _place(value) for key, value in sorted(ref.options)}
    said = json.dumps([name, place, ref.split, sorted(ref.params), options])
    return root / FOLDER / f"{name}-{hashlib.blake2b(said.encode(), digest_size=6).hexdigest()}"


def _place(value: str) -> str:
    path = Path(value).expanduser()
    return str(path.absolute()) if path.exists() else value


def prepare_source(
    ref: DataRef,
    *,
    root: Path,
    side: int = SIDE,
    pictures: bool = True,
    workers: int = 0,
    mover: Mover | None = None,
) -> PreparedSource:
    """Write the tables of a source, and its pictures as far as they are not there yet.

    Args:
        ref: the source, with a split or without.
        root: the cache folder.
        side: of the pictures, in pixels.
        pictures: False writes the tables alone.
        workers: processes that read pictures; 0 does it in this one.
        mover: moves each picture; the copies are kept apart, and no training reads them.

    Raises:
        DatasetError: the data is not there or departs from its layout.
        OutputError: the disk cannot hold the pictures, or a file cannot be written.
    """
    source = open_source(ref, cache=root)
    folder = prepared_folder(ref, root=root)
    free_bytes(folder)
    clear_parts(folder)
    logger.info(f"listing the studies of {ref}")
    missing: list[str] = []
    studies = source.stream(ref.split, on_missing=missing.append)
    count = write_tables(folder, islice(studies, ref.limit))
    plan = ShardPlan(folder, side, mover)
    todo = plan.todo() if pictures else []
    if pictures:
        plan.announce(todo)
    for done, _ in enumerate(_made(plan, todo, workers), start=1):
        logger.info(f"pictures: {done:,} of {len(todo):,} shards")
    unreadable = plan.unreadable() if pictures else ()
    if mover is not None:
        mover.warn(plan.poses())
    made = PreparedSource(folder, count, len(plan) if pictures else 0, len(todo), unreadable, tuple(missing))
    _write_about(made, source, side=side if pictures else None)
    return made


class ShardPlan:
    """Which picture goes where: shard i holds the rows from i·n on of `views.npy`."""

    def __init__(self, folder: Path, side: int, mover: Mover | None = None) -> None:
        self.folder = pictures_folder(folder, side) if mover is None else aligned_folder(folder, side, mover.name)
        self.side = side
        self.mover = mover
        self.rows = shard_rows(side)
        self._source = folder
        self._views = stored_views(folder)
        self._studies = StudyLines.stored(folder / derived.STUDIES)

    def __len__(self) -> int:
        return len(self._views)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self) // self.rows)

    def stem(self, shard: int) -> Path:
        """Return the shard's path without its ending."""
        return self.folder / f"{shard:05d}"

    def views_of(self, shard: int) -> NDArray[Any]:
        """Return the rows of `views.npy` in a shard."""
        return self._views[shard * self.rows : (shard + 1) * self.rows]

    def identity(self, shard: int) -> str:
        """Return a digest over whose pictures a shard holds.

        A picture that was changed, or came back, changes it.
        """
        views = self.views_of(shard)
        digest = hashlib.blake2b(f"{VERSION} {self.side} ".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(views["key"]).tobytes())
        for row in np.flatnonzero(~views["key"].any(axis=1)):
            digest.update(
                str(self._studies[int(views[row]["study"])].views[int(views[row]["view"])].locator).encode()
            )
        return digest.hexdigest()

    def todo(self) -> list[int]:
        """Return the shards that are not there, or hold other pictures; what is beyond the last one is removed."""
        clear_parts(self.folder)
        for path in self.folder.glob("[0-9]*.*"):
            if path.stem.isdigit() and int(path.stem) >= self.shards:
                path.unlink()
        return [shard for shard in range(self.shards) if not self._is_done(shard)]

    def _is_done(self, shard: int) -> bool:
        found = open_shard(self.stem(shard).with_suffix(".json"))
        return found is not None and found.said.get("identity") == self.identity(shard)

    def announce(self, todo: list[int]) -> None:
        """Say how much will be written, and refuse when the disk cannot hold it."""
        count = sum(len(self.views_of(shard)) for shard in todo)
        needed = count * (self.side * self.side + _INDEX_BYTES)
        free = free_bytes(self.folder)
        there = f", {len(self) - count:,} are there" if count < len(self) else ""
        logger.info(
            f"pictures: {count:,} to make{there}, {self.side}×{self.side}, {needed / 1e6:,.0f} MB in "
            f"{self.folder}, where {free / 1e6:,.0f} MB are free"
        )
        if needed > free:
            raise OutputError(
                f"{self.folder}: {needed / 1e6:,.0f} MB of pictures, {free / 1e6:,.0f} MB free; "
                "free some space, choose another folder with --cache, or a smaller --size"
            )

    def make(self, shard: int) -> int:
        """Read, resize and write the pictures of a shard, and return how many could not be read."""
        views = self.views_of(shard)
        squares = np.zeros((len(views), self.side, self.side), dtype=np.uint8)
        shapes = np.zeros((len(views), 2), dtype=np.int32)
        unreadable: dict[str, str] = {}
        poses = [[0.0] * 5 for _ in views]
        for row, view in enumerate(views_at(self._studies, views)):
            try:
                small, shapes[row] = _small(view, self.side)
                if self.mover is not None:
                    small, poses[row] = self.mover(small, view)
                squares[row] = _bytes(small)
            except ImageError as error:
                unreadable[str(row)] = str(error)
        said = {
            "identity": self.identity(shard),
            "keys": [bytes(key).hex() for key in views["key"]],
            "shapes": shapes.tolist(),
            "unreadable": unreadable,
            **({} if self.mover is None else {"poses": poses}),
        }
        write_shard(self.stem(shard), squares, said)
        return len(unreadable)

    def poses(self) -> list[list[float]]:
        """Return what the mover said of the pictures that are there, in order."""
        shards = (open_shard(self.stem(shard).with_suffix(".json")) for shard in range(self.shards))
        return [pose for found in shards if found is not None for pose in found.said["poses"]]

    def unreadable(self) -> tuple[str, ...]:
        """Return a line for each picture that could not be read, in order; they are also listed in a file."""
        lines: list[str] = []
        with atomic_write(self._source / UNREADABLE) as file:
            for shard in range(self.shards):
                found = open_shard(self.stem(shard).with_suffix(".json"))
                said = {} if found is None else found.said["unreadable"]
                views = self.views_of(shard)
                for row, message in said.items():
                    study = self._studies[int(views[int(row)]["study"])]
                    line = {"study_id": study.study_id, "message": message}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    lines.append(message)
        return tuple(lines)


def _small(view: View, side: int) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return the whole view as `[side, side]`, and its own (H, W).

    Raises:
        ImageError: the pixels cannot be read.
    """
    pixels = load_pixels(view)
    return resize(pixels, side), (pixels.shape[0], pixels.shape[1])


def _bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    return values


class _Shards:
    """Makes a shard where it is asked for one, which may be another process."""

    def __init__(self, plan: ShardPlan, todo: list[int]) -> None:
        self.plan = plan
        self.todo = todo

    def __len__(self) -> int:
        return len(self.todo)

    def __getitem__(self, index: int) -> int:
        return self.plan.make(self.todo[index])


def _made(plan: ShardPlan, todo: list[int], workers: int) -> Iterable[int]:
    """Make the shards, and yield for each how many pictures could not be read."""
    try:
        yield from _by_workers(plan, todo, workers)
    except WorkerEndedError as error:  # from outside, for want of memory, or at one picture: the rest is made
        logger.warning(f"{error}; the other shards are made one by one")
        ended = None
        for shard in plan.todo():
            try:
                yield from _by_workers(plan, [shard], 1)
            except WorkerEndedError as again:
                ended = again
        if ended is not None:
            raise ended from None


def _by_workers(plan: ShardPlan, todo: list[int], workers: int) -> Iterable[int]:
    from torch.utils.data import DataLoader

    shards, processes = _Shards(plan, todo), _processes(workers, len(todo))
    loader: DataLoader[int] = DataLoader(shards, batch_size=None, num_workers=processes)  # type: ignore[arg-type]
    return from_workers(loader, into=plan.folder)


def _processes(workers: int, shards: int) -> int:
    """Return as many processes as asked for, as long as there is a processor and a shard for each."""
    return min(workers, shards, os.cpu_count() or 1)


def _write_about(made: PreparedSource, source: Source, *, side: int | None) -> None:
    about = {
        "source": source.name,
        "licence": source.licence.terms,
        "redistributable": source.licence.redistributable,
        "studies": made.studies,
        "pictures": made.pictures,
        "side": side,
        "unreadable": len(made.unreadable),
        "missing": len(made.missing),
        "version": VERSION,
    }
    with atomic_write(made.folder / ABOUT) as file:
        json.dump(about, file, indent=1, ensure_ascii=False)
        file.write("\n")
