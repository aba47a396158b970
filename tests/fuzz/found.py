"""Inputs that once ended in something else than a line of ours; each stays here as it was printed."""

from __future__ import annotations

from fuzz.changes import Nest, Text
from fuzz.dialects import Dialect, Layout, Published
from fuzz.objects import Tree
from fuzz.recipes import Attribute, Bytes, Header, Json, Metadata, Put, Repeat
from fuzz.targets import Batch, Recipe

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
    ("annotations", Bytes("annotation", (Repeat(6250, 4, 164), Repeat(2058, 21, 37)))),
    ("annotations", Json("annotation", ((23, "\n"),))),
    ("batches", Batch((Json("manifest", ((1, None),)), Json("manifest", ((1, None),))))),
    ("sources", Published("chexpert", 0, Dialect(cells=((1, 0, "x" * 5_000),)), Layout())),
    ("manifests", Json("manifest", ((1, "\ud83e"),))),
    ("objects", Tree((), name="in\udcffput.dcm")),
    ("sources", Published("chexpert", 0, Dialect(cells=((0, 0, "x" * 5_000), (0, 1, "x" * 5_000))), Layout())),
    # These took minutes, or seconds.
    ("objects", Tree((Text(b"ISO_IR 100", 0x00180015, b"A" * 16_000),))),
    ("objects", Tree((Text(b"ISO_IR 100", 0x00281050, b"1" * 16_000 + b"x"),))),
    ("objects", Tree((Nest(8, 600, undefined=False),))),
)
