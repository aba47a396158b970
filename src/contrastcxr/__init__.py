"""contrastcxr reads chest radiographs by contrast. Research use only; not a medical device.

    import contrastcxr

    for reading in contrastcxr.read("chest.dcm", out="readings"):
        print(reading.report.findings, sorted(reading.present()))

Every verb of the command is a function here, and the form's types are here too; all are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from contrastcxr.version import __version__

_MODULES = {
    "contrastcxr.api": (
        "audit_data",
        "check_data",
        "compare",
        "doctor",
        "draw_phantoms",
        "evaluate",
        "import_r2gen",
        "label",
        "list_data",
        "list_models",
        "load_studies",
        "open_source",
        "prepare_data",
        "read",
        "reproduce_table",
        "train",
        "write_manifest",
    ),
    "contrastcxr.form": ("Box", "Evidence", "Finding", "Reading", "Report", "Study", "View"),
    "contrastcxr.text.labeler": ("Labeler",),
    "contrastcxr.reading.reader": ("Reader",),
    "contrastcxr.checkpoint": ("load_checkpoint",),
    "contrastcxr.config": ("load_config",),
    "contrastcxr.write": ("get_writer",),
}
_NAMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Box",
    "Evidence",
    "Finding",
    "Labeler",
    "Reader",
    "Reading",
    "Report",
    "Study",
    "View",
    "__version__",
    "audit_data",
    "check_data",
    "compare",
    "doctor",
    "draw_phantoms",
    "evaluate",
    "get_writer",
    "import_r2gen",
    "label",
    "list_data",
    "list_models",
    "load_checkpoint",
    "load_config",
    "load_studies",
    "open_source",
    "prepare_data",
    "read",
    "reproduce_table",
    "train",
    "write_manifest",
]

if TYPE_CHECKING:
    from contrastcxr.api import (
        audit_data,
        check_data,
        compare,
        doctor,
        draw_phantoms,
        evaluate,
        import_r2gen,
        label,
        list_data,
        list_models,
        load_studies,
        open_source,
        prepare_data,
        read,
        reproduce_table,
        train,
        write_manifest,
    )
    from contrastcxr.checkpoint import load_checkpoint
    from contrastcxr.config import load_config
    from contrastcxr.form import Box, Evidence, Finding, Reading, Report, Study, View
    from contrastcxr.reading.reader import Reader
    from contrastcxr.text.labeler import Labeler
    from contrastcxr.write import get_writer


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
