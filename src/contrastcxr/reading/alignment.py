"""A flag of a reading where a picture could not be aligned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from contrastcxr.form import Flag
from contrastcxr.models.align.pose import beyond, why_beyond


def pose_flags(poses: Tensor, view_index: Sequence[int]) -> Iterator[Flag]:
    """Yield a flag for each view whose pose `[V, 5]` leaves its bounds: it was read as it is."""
    for view, pose in zip(view_index, poses, strict=False):  # padded views have no index
        if bool(beyond(pose)):
            yield Flag(
                kind="quality", message=f"view {view + 1} is not aligned, read as it is: {why_beyond(pose)}"
            )
