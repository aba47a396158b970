"""contrastcxr reads chest radiographs by contrast. Research use only; not a medical device.

    import contrastcxr

    for reading in contrastcxr.read("chest.dcm", out="readings"):
        print(reading.report.findings, sorted(reading.present()))

`read`, `train`, `evaluate` and `label` of the command are functions here, and the form's types are too; all are
imported when first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_VERBS = {
    "read": ("contrastcxr.cli.reading", "read"),
    "train": ("contrastcxr.train", "run"),
    "evaluate": ("contrastcxr.evaluate", "evaluate"),
}

_NAMES = {
    "Study": "contrastcxr.form",
    "View": "contrastcxr.form",
    "Reading": "contrastcxr.form",
    "Report": "contrastcxr.form",
    "Finding": "contrastcxr.form",
    "Box": "contrastcxr.form",
    "Evidence": "contrastcxr.form",
    "Labeler": "contrastcxr.text.labeler",
    "Reader": "contrastcxr.read.reader",
    "label": "contrastcxr.text.labeler",
    "load_checkpoint": "contrastcxr.checkpoint",
    "load_config": "contrastcxr.config",
    "load_studies": "contrastcxr.data",
    "open_source": "contrastcxr.data",
    "get_writer": "contrastcxr.write",
}

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
    "evaluate",
    "get_writer",
    "label",
    "load_checkpoint",
    "load_config",
    "load_studies",
    "open_source",
    "read",
    "train",
]

if TYPE_CHECKING:
    from contrastcxr.checkpoint import load_checkpoint
    from contrastcxr.cli.reading import read
    from contrastcxr.config import load_config
    from contrastcxr.data import load_studies, open_source
    from contrastcxr.form import Box, Evidence, Finding, Reading, Report, Study, View
    from contrastcxr.read.reader import Reader
    from contrastcxr.text.labeler import Labeler, label
    from contrastcxr.write import get_writer


class _Verb(ModuleType):
    """A room whose name is also a verb: `contrastcxr.read` holds the reader, `contrastcxr.read(…)` reads."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        module, name = _VERBS[self.__name__.rpartition(".")[2]]
        return getattr(import_module(module), name)(*args, **kwargs)


class _Package(ModuleType):
    """This package: a room that has a verb's name becomes callable as soon as it is imported, by whomever."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _VERBS and type(value) is ModuleType:
            value.__class__ = _Verb
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return import_module(f"{__name__}.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


sys.modules[__name__].__class__ = _Package
