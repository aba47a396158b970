"""Inputs that once ended in something else than a line of ours; each stays here as it was printed."""

from __future__ import annotations

from fuzz.recipes import Attribute, Bytes, Header, Json, Metadata, Put, Repeat
from fuzz.targets import Recipe

FOUND: tuple[tuple[str, Recipe], ...] = (
    ("readings", Json("readings", ((1, []),))),
    ("headers", Header("plain", (Attribute("BitsAllocated", "DS", "nan"),))),
    ("headers", Header("plain", (Attribute("BitsAllocated", "DS", "inf"),))),
    ("headers", Header("plain", (Attribute("Columns", "DS", "nan"),))),
    ("headers", Header("plain", (Attribute("InstanceNumber", "DS", "nan"),))),
    ("headers", Header("plain", (Attribute("ViewCodeSequence", "US", bytes(12)),))),
    ("headers", Header("plain", (Attribute("PatientOrientation", "US", b"\x00\x01"),))),
    ("manifests", Bytes("table", (Repeat(0, 7, 183),))),
    ("manifests", Bytes("table", (Put(0, b'"'),))),
    ("checkpoints", Metadata((("header", 181, None),))),
    ("checkpoints", Metadata((("config", 34, ""),))),  # the name of the encoder
)
