"""Writing a file whole or not at all, and where the files of the cache and of models are."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from contrastcxr.errors import OutputError, UnknownNameError


@contextmanager
def atomic_write(path: str | Path, mode: Literal["wb", "w"] = "w") -> Iterator[IO[Any]]:
    """Open a file that takes its name only when it is complete.

    What is written goes to a hidden `.part` file in the same folder, reaches the disk, and is then renamed. After
    any error, an interruption too, the `.part` file is gone and a file that was there before is as it was.
    Missing folders are made. Text is UTF-8 with bare newlines.

    Raises:
        OutputError: the folder or file cannot be written (disk full, no permission).
    """
    target = Path(path)
    part = target.with_name(f".{target.name[:80]}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.part")
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


_PART = re.compile(r"\..+\.(?P<machine>[0-9a-f]{6})-(?P<process>\d+)-[0-9a-f]{8}\.part")


def _machine() -> str:
    """Return six letters that stand for this machine.

    They show in a shared folder whose unfinished file it is.
    """
    return hashlib.blake2b(platform.node().encode(), digest_size=3).hexdigest()


def clear_parts(folder: Path) -> int:
    """Remove what processes of this machine left half-written in a folder when they were killed; return how many.

    Files of a process that still runs, or of another machine, stay.
    """
    removed = 0
    for path in folder.glob(".*.part"):
        match = _PART.fullmatch(path.name)
        if match and match["machine"] == _machine() and not _runs(int(match["process"])):
            with suppress(OSError):
                path.unlink()
                removed += 1
    return removed


def _runs(process: int) -> bool:
    if os.name == "nt":
        return True  # there, asking would end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # there, but somebody else's
    return True


def named_cache() -> Path | None:
    """Return the folder that `$CONTRASTCXR_CACHE` names; None where it names none."""
    named = os.environ.get("CONTRASTCXR_CACHE")
    return Path(named) if named else None


def default_cache() -> Path:
    """Return `$CONTRASTCXR_CACHE`, or `.cache/contrastcxr` below the working directory."""
    return named_cache() or Path(".cache") / "contrastcxr"


def free_bytes(folder: Path) -> int:
    """Return how much the disk of a folder can still hold; the folder is made.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}; choose another folder with --cache") from None


CHECKPOINT_SUFFIX = ".safetensors"
_BUNDLED = Path(__file__).parent / "checkpoints"
_CHECKOUT_MODELS = Path(__file__).parents[2] / "models"


def model_folders() -> tuple[Path, ...]:
    """Return the folders where models are looked for by name.

    These are `$CONTRASTCXR_MODELS`, the package, and `models/` of a checkout.
    """
    own = os.environ.get("CONTRASTCXR_MODELS")
    return (*([Path(own)] if own else []), _BUNDLED, _CHECKOUT_MODELS)


def known_checkpoints() -> dict[str, Path]:
    """Return checkpoints that can be read by name, and their files; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in model_folders():
        for path in (
            *sorted(folder.glob(f"*{CHECKPOINT_SUFFIX}")),
            *sorted(folder.glob(f"*/*{CHECKPOINT_SUFFIX}")),
        ):
            if path.parent == folder or path.parent.name == path.stem:
                found.setdefault(path.stem, path)
    return found


def find_checkpoint(name_or_path: str | Path) -> Path:
    """Return the file of a checkpoint given by path, run folder or name.

    Raises:
        UnknownNameError: nothing is there under this name.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    inside = path / f"checkpoint{CHECKPOINT_SUFFIX}"
    if inside.is_file():
        return inside
    known = known_checkpoints()
    name = str(name_or_path)
    if name not in known:
        raise UnknownNameError("model (no such file or bundled checkpoint)", name, known)
    return known[name]
