"""Search for a report, outside the network."""

from contrastcxr.decode.search import Generated, GenerationSettings, generate

__all__ = ["Generated", "GenerationSettings", "generate"]
