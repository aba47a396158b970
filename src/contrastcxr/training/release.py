"""When a head has learnt what it can of the features: it goes on, and shapes them no more (ours)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contrastcxr.models.heads.base import Head
from contrastcxr.models.system import System


@dataclass(eq=False)
class HeadReleases:
    """The least validation loss of each head whose options have a patience, and the heads that were released.

    Attributes:
        best: weighted loss and its epoch, by kind of head.
        released: kinds of heads.
    """

    best: dict[str, tuple[float, int]] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for the state that resumes."""
        return {"best": {kind: list(best) for kind, best in self.best.items()}, "released": list(self.released)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> HeadReleases:
        """Return what `to_dict` gave."""
        best = {kind: (float(loss), int(epoch)) for kind, (loss, epoch) in values["best"].items()}
        return cls(best, list(values["released"]))

    def apply(self, system: System) -> None:
        """Release the heads that were released before, in an earlier part of the run too."""
        for head in system.heads:
            if head.kind in self.released:
                head.release()

    def note(self, system: System, scores: Mapping[str, float], *, epoch: int) -> list[str]:
        """Release each head whose loss has not fallen for its patience, and return a line for each of them."""
        said = []
        for head in system.heads:
            patience, loss = head.options.own_patience, _own_loss(head, scores)
            if patience is None or loss is None or head.released:
                continue
            least, since = self.best.get(head.kind, (loss, epoch))
            if loss < least:
                least, since = loss, epoch
            self.best[head.kind] = least, since
            if epoch - since >= patience:
                self.released.append(head.kind)
                said.append(
                    f"{head.kind}: its validation loss has not fallen below {least:.3f} of epoch {since}; "
                    "it shapes the features no more"
                )
        self.apply(system)
        return said


def _own_loss(head: Head, scores: Mapping[str, float]) -> float | None:
    """Return the weighted validation loss of a head, of the terms that the studies give; None of none."""
    weights = head.options.term_weights
    given = [weight * scores[f"{name}_loss"] for name, weight in weights.items() if f"{name}_loss" in scores]
    return sum(given) if given else None
