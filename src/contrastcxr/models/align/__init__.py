"""Alignment of pictures to a canonical chest, by kind; what needs PyTorch is loaded when it is built."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.models.align.options import AlignOptions
from contrastcxr.options import Registered

ALIGNERS: Mapping[str, Registered[AlignOptions]] = {
    "affine": Registered(AlignOptions, f"{__name__}.aligner:Aligner", "CIA-Net (paper B), section 3.1"),
}
"""Ways to align a picture, with their options."""
