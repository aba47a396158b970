"""Losses: named scalar terms; weights stand in the options of whoever has them."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.losses.options import SystemLossOptions
from contrastcxr.options import Registered

SYSTEM_LOSSES: Mapping[str, Registered[SystemLossOptions]] = {}
"""Losses of the whole system, by name, for `losses` of a configuration."""
