"""Losses: named scalar terms; weights stand in the options of whoever has them."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.losses import options
from contrastcxr.options import Registered

SYSTEM_LOSSES: Mapping[str, Registered[options.SystemLossOptions]] = {
    "wcl": Registered(options.WeakContrastOptions, f"{__name__}.weak_contrast:WeakContrast", "C §3"),
}
"""Losses of the whole system, by name, for `losses` of a configuration."""
