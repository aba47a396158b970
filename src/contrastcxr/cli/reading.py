"""Paths in, readings and their pages out: what `contrastcxr read` does, as one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from contrastcxr.errors import InputError, OutputError, RequestError
from contrastcxr.files import clear_parts, find_checkpoint

if TYPE_CHECKING:
    from contrastcxr.data.failures import Failure
    from contrastcxr.form import Flag, Reading, Study, View
    from contrastcxr.read.reader import Reader
    from contrastcxr.write import Writer

DEFAULT_MODEL = "phantom"
FORMATS = ("html", "json")
_TOGETHER = 8

OnFailure = Callable[["Failure"], None]


@dataclass(frozen=True)
class Done:
    """One study that was read: its reading, and the files that hold it, by format."""

    reading: Reading
    position: str
    files: dict[str, Path] = field(default_factory=dict)


def read(
    paths: str | Path | Iterable[str | Path],
    *,
    model: str | Path = DEFAULT_MODEL,
    out: str | Path | None = None,
    formats: Sequence[str] = FORMATS,
    pool_roots: Sequence[str] = (),
    keep_ids: bool = False,
    window: str | int | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    seed: int = 0,
    allow_pickle: bool = False,
    on_failure: OnFailure | None = None,
) -> list[Reading]:
    """Read studies from files and folders, and write a page of each when `out` is given.

    Args:
        paths: DICOM files or folders, PNG or JPEG files, or a manifest; one or several.
        model: a checkpoint file, a run folder or the name of a bundled model.
        out: folder for the files; None writes nothing.
        formats: of the files, `html` and `json`.
        pool_roots: where pictures of pool normals may be taken from, such as `nih14:/data/nih`.
        keep_ids: keep the identifiers of DICOM studies instead of hashes.
        window: number (from 1) or name of the window to show DICOM files with; None takes the first of each file.
        device: `cpu`, `cuda`, `mps` …
        dtype: `float32`, `bfloat16` or `float16`; None is float32.
        seed: of sampling.
        allow_pickle: read a training state (`last.ckpt`) too, and then its weights only.
        on_failure: called with each input that could not be read; without it the first one raises.

    Raises:
        RequestError: an unknown model, format or source.
        InputError: an input cannot be read and there is no `on_failure`.
        OutputError: a file cannot be written and there is no `on_failure`.
    """
    desk = open_desk(
        model=model,
        out=out,
        formats=formats,
        pool_roots=pool_roots,
        device=device,
        dtype=dtype,
        seed=seed,
        allow_pickle=allow_pickle,
        window=None if window is None else str(window),
    )
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    fail = on_failure or _raise
    done = list(desk.read(desk.find(several, keep_ids=keep_ids, on_failure=fail), on_failure=fail))
    desk.finish(done)
    return [each.reading for each in done]


def _raise(failure: Failure) -> None:
    raise InputError(failure.message)


@dataclass(frozen=True)
class _Loaded:
    """A study with its pixels in memory, and what to say of views that could not be read."""

    study: Study
    flags: tuple[Flag, ...]


def _load(study: Study, window: str | None, on_failure: OnFailure) -> list[_Loaded]:
    from contrastcxr.data.inputs import with_pixels
    from contrastcxr.form import Flag

    found, failures = with_pixels(study, window=window)
    for failure in failures:
        on_failure(failure)
    message = f"{len(failures)} of the study's {len(study.views)} views could not be read"
    flags = (Flag(kind="quality", message=message),) if failures else ()
    return [] if found is None else [_Loaded(found, flags)]


@dataclass(frozen=True)
class Desk:
    """A reader with its writers: studies go through it a few at a time, so that memory stays bounded."""

    reader: Reader
    writers: tuple[Writer, ...]
    out: Path | None
    window: str | None = None

    def find(self, paths: Sequence[str | Path], *, keep_ids: bool, on_failure: OnFailure) -> list[Study]:
        """Return the studies under the paths; what is none goes to `on_failure`."""
        from contrastcxr.data.inputs import studies_from_paths

        studies, failures = studies_from_paths(paths, keep_ids=keep_ids)
        for failure in failures:
            on_failure(failure)
        return studies

    def read(self, studies: Iterable[Study], *, on_failure: OnFailure) -> Iterator[Done]:
        """Yield each study that was read and written; the others go to `on_failure`, and the rest goes on."""
        waiting: list[_Loaded] = []
        for study in studies:
            waiting += _load(study, self.window, on_failure)
            if len(waiting) == _TOGETHER:
                yield from self._finished(waiting, on_failure)
                waiting = []
        yield from self._finished(waiting, on_failure)

    def _finished(self, loaded: Sequence[_Loaded], on_failure: OnFailure) -> Iterator[Done]:
        from contrastcxr.data.failures import Failure

        readings = self.reader.read_batch([each.study for each in loaded]) if loaded else []
        for each, plain in zip(loaded, readings, strict=True):
            shown = {} if self.window is None else {"window": self.window}
            known = {"flags": (*each.flags, *plain.flags), "provenance": {**plain.provenance, **shown}}
            reading = plain.model_copy(update=known)
            positions = " + ".join(view.position for view in each.study.views)
            try:
                yield Done(reading, positions, self._write(reading, each.study))
            except (InputError, OutputError) as error:
                on_failure(Failure.of(reading.study_id, error))

    def _write(self, reading: Reading, study: Study) -> dict[str, Path]:
        if self.out is None:
            return {}
        return {writer.name: writer.write(reading, study, self.out) for writer in self.writers}

    def finish(self, done: Sequence[Done]) -> Path | None:
        """Write the list of the pages when there are several, and return it."""
        from contrastcxr.write.html import write_index

        pages = [(each.reading, each.files["html"]) for each in done if "html" in each.files]
        if self.out is None or len(pages) < 2:
            return None
        return write_index([reading for reading, _ in pages], [page for _, page in pages], self.out)


def open_desk(
    *,
    model: str | Path,
    out: str | Path | None,
    formats: Sequence[str],
    pool_roots: Sequence[str],
    device: str,
    dtype: str | None,
    seed: int,
    allow_pickle: bool = False,
    window: str | None = None,
) -> Desk:
    """Return a desk after checking the whole request, before any input is touched.

    Raises:
        RequestError: an unknown model, format, device or source.
    """
    # Imported here: torch takes seconds, and a wrong format or model needs none of it.
    from contrastcxr.write import Pictures, get_writer

    pictures = Pictures(tuple(_finder(root) for root in pool_roots))
    writers = tuple(get_writer(name, pictures=pictures) for name in dict.fromkeys(formats))
    file = find_checkpoint(model)
    from contrastcxr.read.reader import Reader

    check_device(device)
    reader = Reader.from_checkpoint(file, device=device, dtype=dtype, seed=seed, allow_pickle=allow_pickle)
    if out is not None:
        clear_parts(Path(out))  # of a run that was killed
    return Desk(reader, writers, None if out is None else Path(out), window)


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


def _finder(root: str) -> Callable[[str], View | None]:
    """Look images up by id in a source, which is opened when the first one is wanted."""
    from contrastcxr.data.sources import open_source, parse_spec

    parse_spec(root)

    @cache
    def views() -> dict[str, View]:
        studies = open_source(root).studies()
        named = ((study.study_id, view) for study in studies for view in study.views)
        return {name: view for study, view in named for name in (f"{study}/{view.view_id}", view.view_id)}

    return lambda image_id: views().get(image_id)
