"""A reader with its writers: paths in, readings and their pages out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from contrastcxr.errors import InputError, OutputError, RequestError
from contrastcxr.files import clear_parts, find_checkpoint, named_cache

if TYPE_CHECKING:
    from contrastcxr.data.ref import DataRef
    from contrastcxr.data.source import Failure
    from contrastcxr.form import Flag, Reading, Study, View
    from contrastcxr.reading.reader import Reader
    from contrastcxr.write import Writer

logger = logging.getLogger(__name__)

_TOGETHER = 8
"""Studies that are read together, and threads that decode pictures ahead of a GPU (ours)."""

OnFailure = Callable[["Failure"], None]


@dataclass(frozen=True)
class WrittenReading:
    """One study that was read: its reading, and the files that hold it, by format."""

    reading: Reading
    position: str
    files: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class _Loaded:
    """A study with its pixels in memory, and what to say of views that could not be read."""

    study: Study
    flags: tuple[Flag, ...]

    @property
    def where(self) -> str:
        """Where its first picture is kept."""
        return self.study.views[0].locator or self.study.study_id


def _load(study: Study, window: str | None) -> tuple[list[_Loaded], Sequence[Failure]]:
    from contrastcxr.data.pixels import with_pixels
    from contrastcxr.form import Flag

    found, failures = with_pixels(study, window=window)
    message = f"{len(failures)} of the study's {len(study.views)} views could not be read"
    flags = (Flag(kind="quality", message=message),) if failures else ()
    return [] if found is None else [_Loaded(found, flags)], failures


@dataclass(frozen=True)
class ReadingSession:
    """A reader with its writers: studies go through it a few at a time, so that memory stays bounded."""

    reader: Reader
    writers: tuple[Writer, ...]
    out: Path | None
    window: str | None = None

    def find(
        self,
        paths: Sequence[str | Path],
        *,
        keep_ids: bool,
        on_failure: OnFailure,
        passed: Counter[str] | None = None,
    ) -> list[Study]:
        """Return the studies under the paths; what is none goes to `on_failure`, or is counted and said."""
        from contrastcxr.data.folders import passed_in_words
        from contrastcxr.data.readers.paths import studies_from_paths

        counts = Counter[str]() if passed is None else passed
        studies, failures = studies_from_paths(
            paths, keep_ids=keep_ids, on_passed=lambda why: counts.update([why])
        )
        for failure in failures:
            on_failure(failure)
        if counts:
            logger.info("passed over: %s", passed_in_words(counts))
        return studies

    def read(self, studies: Iterable[Study], *, on_failure: OnFailure) -> Iterator[WrittenReading]:
        """Yield each study that was read and written; the others go to `on_failure`, and the rest goes on."""
        from contrastcxr.store.workers import ahead

        waiting: list[_Loaded] = []
        device = self.reader.device.type
        # Of two batches a GPU reads one while the pictures of the other are resized, and those behind decoded.
        together = _TOGETHER if device == "cpu" else 2 * self.reader.batch_size
        loaded = ahead(partial(_load, window=self.window), studies, device=device, threads=_TOGETHER)
        for found, failures in loaded:
            for failure in failures:
                on_failure(failure)
            waiting += found
            if len(waiting) == together:
                yield from self._finished(waiting, on_failure)
                waiting = []
        yield from self._finished(waiting, on_failure)

    def _finished(self, loaded: Sequence[_Loaded], on_failure: OnFailure) -> Iterator[WrittenReading]:
        from contrastcxr.data.source import Failure, one_input

        for each, plain in self._readings(loaded, on_failure):
            shown = {} if self.window is None else {"window": self.window}
            known = {"flags": (*each.flags, *plain.flags), "provenance": {**plain.provenance, **shown}}
            reading = plain.model_copy(update=known)
            positions = " + ".join(view.position for view in each.study.views)
            try:
                with one_input(each.where):
                    files = self._write(reading, each.study)
            except (InputError, OutputError) as error:
                on_failure(Failure.of(each.where, error, study_id=reading.study_id))
            else:
                yield WrittenReading(reading, positions, files)

    def _readings(self, loaded: Sequence[_Loaded], on_failure: OnFailure) -> list[tuple[_Loaded, Reading]]:
        """Read studies together; where that fails, each alone, which gives the others what they would have got."""
        from contrastcxr.data.source import Failure, one_input

        try:
            with one_input(", ".join(each.where for each in loaded)):
                readings = self.reader.read_batch([each.study for each in loaded]) if loaded else []
                return list(zip(loaded, readings, strict=True))
        except InputError as error:
            if len(loaded) > 1:
                return [pair for each in loaded for pair in self._readings([each], on_failure)]
            on_failure(Failure.of(loaded[0].where, error, study_id=loaded[0].study.study_id))
            return []

    def _write(self, reading: Reading, study: Study) -> dict[str, Path]:
        if self.out is None:
            return {}
        return {writer.name: writer.write(reading, study, self.out) for writer in self.writers}

    def finish(self, done: Sequence[WrittenReading], failures: Sequence[Failure] = ()) -> Path | None:
        """Write the list of the pages, when there are several or some inputs failed, and return it.

        Args:
            done: what was read and written.
            failures: what was not; their paths stand in the list.
        """
        from contrastcxr.write.html import write_index

        pages = [(each.reading, each.files["html"]) for each in done if "html" in each.files]
        if self.out is None or not pages or len(pages) + len(failures) < 2:
            return None
        messages = [(failure.where, failure.message) for failure in failures]
        return write_index([reading for reading, _ in pages], [page for _, page in pages], self.out, messages)


def open_session(
    *,
    model: str | Path,
    out: str | Path | None,
    formats: Sequence[str],
    pool_roots: Sequence[DataRef],
    device: str,
    dtype: str | None,
    seed: int,
    allow_pickle: bool = False,
    window: str | None = None,
    overrides: Sequence[str] = (),
) -> ReadingSession:
    """Return a session after checking the whole request, before any input is touched.

    Raises:
        RequestError: an unknown model, format, device or source, or an override that cannot be.
    """
    # Imported here: torch takes seconds, and a wrong format or model needs none of it.
    from contrastcxr.write import PictureLoader, get_writer

    pictures = PictureLoader(tuple(_finder(root) for root in pool_roots))
    writers = tuple(get_writer(name, pictures=pictures) for name in dict.fromkeys(formats))
    file = find_checkpoint(model)
    reader = open_reader(
        file, device=device, dtype=dtype, seed=seed, allow_pickle=allow_pickle, overrides=overrides
    )
    if out is not None:
        clear_parts(Path(out))  # of a run that was killed
    return ReadingSession(reader, writers, None if out is None else Path(out), window)


def open_reader(
    file: Path,
    *,
    device: str,
    dtype: str | None,
    seed: int,
    allow_pickle: bool,
    overrides: Sequence[str] = (),
    losses: bool = False,
) -> Reader:
    """Return the reader of a checkpoint file on a device that this machine has; `losses` as `Reader` has it.

    Raises:
        RequestError: the device cannot be used.
        CheckpointError: the file cannot be read.
    """
    from contrastcxr.reading.reader import Reader

    check_device(device)
    return Reader.from_checkpoint(
        file,
        device=device,
        dtype=dtype,
        seed=seed,
        allow_pickle=allow_pickle,
        overrides=overrides,
        losses=losses,
    )


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        RequestError: PyTorch cannot put a number there.
    """
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"device '{device}' cannot be used ({reason}); choose cpu, or see `contrastcxr doctor`"
        ) from error


def _finder(root: DataRef) -> Callable[[str], View | None]:
    """Look images up by id in a source, which is opened when the first one is wanted."""
    from contrastcxr.store.studies import open_source

    @cache
    def views() -> dict[str, View]:
        studies = open_source(root, cache=named_cache()).studies()
        named = ((study.study_id, view) for study in studies for view in study.views)
        return {name: view for study, view in named for name in (f"{study}/{view.view_id}", view.view_id)}

    return lambda image_id: views().get(image_id)
