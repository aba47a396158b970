"""The spacing of a radiograph's pixels, and whether its file contradicts itself in it (DICOM PS3.3 10.7.1.3).

A radiograph is larger than the patient: the spacing at the detector is what the machine knows, that in the patient
depends on the distance between the two. The spacing at the detector is used: nearly every object has it, so that
all sizes in millimetres mean the same thing. PixelSpacing, which may be either, counts only where it is alone.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from contrastcxr.data.dicom.header_numbers import number, numbers

SAME = 0.01
"""Spacings that differ by less than this share are the same (ours)."""
EXPLAINED = 0.05
"""Share by which a stated magnification may miss what two spacings differ by (ours)."""


_STATED = ("ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelSpacing")


def spacing(ds: Dataset) -> tuple[float, float] | None:
    """Return row and column spacing in mm: at the detector, else of the scanned film, else PixelSpacing."""
    for keyword in _STATED:
        found = _pair(ds.get(keyword))
        if found is not None:
            return found
    return None


def spacing_doubt(ds: Dataset) -> str | None:
    """Return what to say when no spacing that is stated can be used, or two depart and nothing says why.

    A calibration (PixelSpacingCalibrationType) or a magnification that fits is an explanation.
    """
    if spacing(ds) is None and any(numbers(ds.get(keyword)) for keyword in _STATED):
        return (
            "its file states a pixel spacing that is not two numbers above 0; sizes in millimetres are not known"
        )
    detector, pixel = _pair(ds.get("ImagerPixelSpacing")), _pair(ds.get("PixelSpacing"))
    if detector is None or pixel is None:
        return None
    ratios = [at / of for at, of in zip(detector, pixel, strict=True)]
    if all(abs(ratio - 1) < SAME for ratio in ratios) or ds.get("PixelSpacingCalibrationType"):
        return None
    stated = _magnification(ds)
    if stated is not None and all(abs(ratio / stated - 1) < EXPLAINED for ratio in ratios):
        return None
    return (
        f"its file states two pixel spacings, {detector[0]:.3g} mm at the detector and {pixel[0]:.3g} mm, and no "
        "calibration or magnification that explains both; sizes are at the detector"
    )


def _magnification(ds: Dataset) -> float | None:
    """Return how much larger than the patient the picture is.

    The object states it, or it follows from the two distances of the source.
    """
    stated = _positive(ds.get("EstimatedRadiographicMagnificationFactor"))
    if stated is not None:
        return stated
    detector, patient = (_positive(ds.get(f"DistanceSourceTo{end}")) for end in ("Detector", "Patient"))
    return detector / patient if detector and patient else None


def _pair(values: object) -> tuple[float, float] | None:
    """Return two spacings above 0, or None: one value alone is no pair."""
    stated = numbers(values)
    found = [v for v in stated if v is not None and v > 0]
    return (found[0], found[1]) if len(found) == len(stated) == 2 else None


def _positive(value: object) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None
