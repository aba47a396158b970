"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from contrastcxr.errors import OutputError


@contextmanager
def atomic_write(path: str | Path, mode: Literal["wb", "w"] = "w") -> Iterator[IO[Any]]:
    """A file that takes its name only when it is complete.

    What is written goes to a hidden `.part` file in the same folder, reaches the disk, and is then renamed. After
    any error, an interruption too, the `.part` file is gone and a file that was there before is as it was.
    Missing folders are made. Text is UTF-8 with bare newlines.

    Raises:
        OutputError: the folder or file cannot be written (disk full, no permission).
    """
    target = Path(path)
    part = target.with_name(f".{target.name[:80]}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _open(part, mode) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    except OSError as error:
        if _is_about_another_file(error, target=target, part=part):
            raise
        raise OutputError(_explain(target, error)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _open(part: Path, mode: Literal["wb", "w"]) -> IO[Any]:
    return part.open("xb") if mode == "wb" else part.open("x", encoding="utf-8", newline="\n")


def _is_about_another_file(error: OSError, *, target: Path, part: Path) -> bool:
    # A failed write carries no file name; a failed read inside the block names the file it was reading.
    ours = {str(path) for path in (target, part, *target.parents)}
    return error.filename is not None and str(error.filename) not in ours


def _explain(target: Path, error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return (
        f"{target}: could not be written ({reason}); nothing is left of it; "
        "free some space or choose another folder with --out"
    )
