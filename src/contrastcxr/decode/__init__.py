"""Search for a report, outside the network."""

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.search import GenerationSettings, generate
from contrastcxr.models.decoders.base import Generated

__all__ = ["Generated", "GenerationSettings", "ReportSearch", "generate"]
