"""One kind of bad input: how it is made, the command that meets it, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Make = Callable[[Path], Path]
"""Makes the bad input in an empty folder and returns the path that the command is given."""

READ = "read {bad} --model {model} --out {out}"
CHECK = "data check {bad}"
CHECK_MANIFEST = "data check manifest:{bad}"
LOAD = "read {picture} --model {bad} --out {out}"
EVALUATE = "evaluate --readings {bad} --data phantom:smoke --out {out}"
LABEL = "label {bad}"
TRAIN = "train {bad} --out {out}"

DONE, SOME_FAILED, WRONG_REQUEST = 0, 1, 2


@dataclass(frozen=True)
class Case:
    """A row of a table of bad inputs.

    Attributes:
        name: what is wrong, in words.
        make: makes it.
        command: what a person types after `contrastcxr`; `{bad}` is the path made, `{folder}` its folder, `{out}`
            a folder that is not there yet, `{model}` a good checkpoint and `{picture}` a good radiograph.
        status: the exit status.
        says: the message, exactly, with the same names in braces, and `{size}` and `{model size}` for the bytes of
            `{bad}` and `{model}`; one line for each failure.
    """

    name: str
    make: Make
    command: str
    status: int
    says: str | tuple[str, ...]

    def expected(self, places: dict[str, Any]) -> list[str]:
        """The messages with the paths of this run."""
        lines = (self.says,) if isinstance(self.says, str) else self.says
        return [filled(line, places) for line in lines]


def filled(text: str, places: dict[str, Any]) -> str:
    """The text with the names in braces replaced; any other brace stays as it is."""
    for name, place in places.items():
        text = text.replace(f"{{{name}}}", str(place))
    return text
