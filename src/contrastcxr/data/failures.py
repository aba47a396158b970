"""What could not be read, kept so that a batch command can list it and go on."""

from __future__ import annotations

from dataclasses import dataclass

from contrastcxr.errors import ContrastCXRError


@dataclass(frozen=True)
class Failure:
    """One input that was not read: where it is, and one line that says what was expected, found and to do."""

    where: str
    message: str

    @classmethod
    def of(cls, where: object, error: ContrastCXRError) -> Failure:
        """The failure that an error of ours describes."""
        return cls(where=str(where), message=str(error))

    def __str__(self) -> str:
        return self.message
