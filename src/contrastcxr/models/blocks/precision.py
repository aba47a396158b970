"""What keeps its precision whatever the system around it is cast to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from torch import Tensor, nn


class FullPrecision(nn.Module):
    """Base of modules that follow their system to another device and not to another floating-point type.

    Where a pose moves a picture or two maps are subtracted, what bfloat16 rounds away is what counts (ours).
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def kept(tensor: Tensor) -> Tensor:
            made = fn(tensor)
            return made if made.dtype == tensor.dtype else tensor.to(made.device)

        super()._apply(kept, recurse)  # type: ignore[no-untyped-call]
        return self
