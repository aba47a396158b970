"""Search for a report, outside the network.

The names below are imported when first used: whoever only reads a configuration need not load PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrastcxr.decode.report import ReportSearch
    from contrastcxr.decode.search import generate
    from contrastcxr.decode.settings import GenerationSettings
    from contrastcxr.models.decoders.base import GeneratedReports

_NAMES = {
    "GeneratedReports": "contrastcxr.models.decoders.base",
    "GenerationSettings": "contrastcxr.decode.settings",
    "ReportSearch": "contrastcxr.decode.report",
    "generate": "contrastcxr.decode.search",
}

__all__ = ["GeneratedReports", "GenerationSettings", "ReportSearch", "generate"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
