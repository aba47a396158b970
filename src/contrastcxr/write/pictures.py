"""Where a page's pictures come from: the views that were read, and the normals they were compared with.

A normal image is shown when it may be: phantoms are drawn again from their locators; images of a source that may
not be passed on appear as ids unless the user points at the data with `--pool-root`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from contrastcxr.data.pixels import load_pixels
from contrastcxr.errors import InputError
from contrastcxr.form import Negative, PoolMatch, View, is_file_locator

Finder = Callable[[str], View | None]
"""From an image id to a view that can be loaded, or None where the source does not have it."""


@dataclass(frozen=True)
class PictureLoader:
    """Loads pictures for pages; `finders` look pool images up by id, one for each `--pool-root`."""

    finders: Sequence[Finder] = ()

    def of_view(self, view: View) -> np.ndarray:
        """Return the pixels `[H, W]` in [0, 1] of a view that was read.

        Raises:
            ImageError: the view cannot be read any more.
        """
        return load_pixels(view)

    def of_normal(self, match: PoolMatch | Negative) -> np.ndarray | None:
        """Return the pixels of a pool image or negative, or None where it may not be shown or is not there."""
        view = self._normal_view(match)
        try:
            return None if view is None else load_pixels(view)
        except InputError:
            return None

    def _normal_view(self, match: PoolMatch | Negative) -> View | None:
        if match.locator is not None and not is_file_locator(match.locator):
            return View(view_id=match.image_id, locator=match.locator)
        found = (find(match.image_id) for find in self.finders)
        return next((view for view in found if view is not None), None)
