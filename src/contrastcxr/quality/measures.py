"""What is measured of a picture, and what the pictures that a model was trained on look like; needs no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

SAMPLED_SIDE = 512
"""Grey values are sampled on a grid of about this many rows and columns."""

WHITE, BLACK = 254 / 255, 1 / 255
"""At and beyond these a pixel counts as saturated: the last step of an 8-bit picture at either end."""

SIDES = ("left", "right", "top", "bottom")

MeasureName = Literal["dark", "bright", "flat", "clipped", "turned", "tilted", "cut", "unlike", "distant"]


@dataclass(frozen=True)
class Measure:
    """What a measure says when a picture passes its limit, of which number, and whether above or below it."""

    says: str
    quantity: str
    above: bool = True
    digits: int = 2


MEASURES: Mapping[MeasureName, Measure] = {
    "dark": Measure("too dark", "mean grey value", above=False),
    "bright": Measure("too bright", "mean grey value"),
    "flat": Measure("low contrast", "grey values from the 5th to the 95th percentile", above=False),
    "clipped": Measure("saturated", "share of pixels all white or all black"),
    "turned": Measure("looks turned", "gain in correlation when turned back"),
    "tilted": Measure("looks tilted", "degrees", digits=0),
    "cut": Measure("looks cut off", "share of the side"),
    "unlike": Measure("not laid out like the training pictures", "correlation with their mean", above=False),
    "distant": Measure("far from the training pictures", "encoder distance, 1 is usual"),
}


@dataclass(frozen=True)
class GreyValues:
    """Grey values of one picture in [0, 1], bone bright.

    Attributes:
        mean: of all pixels.
        spread: from the 5th to the 95th percentile.
        clipped: share of pixels that are white, or that are black, to the last step: whichever is more.
    """

    mean: float
    spread: float
    clipped: float


def grey_values(pixels: np.ndarray) -> GreyValues:
    """Measure `[H, W]` float32 pixels in [0, 1], on a grid that skips rows and columns of a large picture."""
    rows, columns = (max(1, side // SAMPLED_SIDE) for side in pixels.shape)
    sample = pixels[::rows, ::columns]
    low, high = np.percentile(sample, (5, 95))
    clipped = max(float(np.mean(sample >= WHITE)), float(np.mean(sample <= BLACK)))
    return GreyValues(float(sample.mean()), float(high - low), clipped)


@dataclass(frozen=True, eq=False)
class PictureMeasures:
    """What is measured of `n` pictures before they are compared with any others.

    Attributes:
        greys: n.
        small: `[n, THUMBNAIL, THUMBNAIL]`.
        features: `[n, C]` of the encoder, averaged over the patches.
    """

    greys: tuple[GreyValues, ...]
    small: Tensor
    features: Tensor

    def __len__(self) -> int:
        return len(self.greys)

    def __getitem__(self, index: Sequence[int]) -> PictureMeasures:
        """Return the pictures at `index`."""
        rows = list(index)
        return PictureMeasures(tuple(self.greys[i] for i in rows), self.small[rows], self.features[rows])


@dataclass(frozen=True)
class MeasureValue:
    """One measure of one picture beside its limit."""

    name: MeasureName
    value: float
    limit: float
    detail: str = ""

    @property
    def passed(self) -> bool:
        """True when the value is beyond the limit: a warning."""
        return self.value > self.limit if MEASURES[self.name].above else self.value < self.limit

    def message(self) -> str:
        """Return what is said on the page."""
        measure = MEASURES[self.name]
        says = f"{measure.says}{self.detail}"
        return f"{says}: {measure.quantity} {self.value:.{measure.digits}f}, limit {self.limit:.{measure.digits}f}"


@dataclass(frozen=True, eq=False)
class QualityReference:
    """What training pictures look like, and the limits that 1% of the held-out ones pass.

    Attributes:
        limits: per measure.
        training: number of pictures it was fitted on.
        heldout: number of pictures the limits were read from.
        positions: of the training pictures, the shares of PA, AP, LATERAL and unknown.
        residual: mean squared length of the features beyond the axes.
        template: `[LAYOUT, LAYOUT]` mean layout.
        meter_mean: `[LAYOUT²]` mean of the layouts that the meters were fitted on.
        meter_base: `[5]` what the meters say of that mean.
        meters: `[LAYOUT², 5]`: tilt in degrees clockwise; shares cut off at the `SIDES`.
        centre: `[C]` mean feature of the encoder.
        axes: `[k, C]` principal axes.
        scale: `[k]` standard deviations along them.
    """

    limits: Mapping[MeasureName, float]
    training: int
    heldout: int
    positions: Mapping[str, float]
    residual: float
    template: Tensor
    meter_mean: Tensor
    meter_base: Tensor
    meters: Tensor
    centre: Tensor
    axes: Tensor
    scale: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return the arrays, for a checkpoint."""
        return {name: getattr(self, name) for name in _TENSORS}

    def metadata(self) -> dict[str, Any]:
        """Return the plain values, for a checkpoint."""
        return {name: _plain(getattr(self, name)) for name in _PLAIN}

    @classmethod
    def from_saved(cls, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> QualityReference:
        """Return the reference that `metadata` and `tensors` were taken from, in float32.

        Raises:
            KeyError: one of them lacks a part.
        """
        plain: dict[str, Any] = {name: metadata[name] for name in _PLAIN}
        arrays: dict[str, Any] = {name: tensors[name].float() for name in _TENSORS}
        limits = {name: limit for name, limit in plain["limits"].items() if name in MEASURES}
        return cls(**{**plain, **arrays, "limits": limits})


_PLAIN = ("limits", "training", "heldout", "positions", "residual")
_TENSORS = ("template", "meter_mean", "meter_base", "meters", "centre", "axes", "scale")


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
