"""contrastcxr reads chest radiographs by contrast. Research use only; not a medical device.

    import contrastcxr

    for reading in contrastcxr.read("chest.dcm", out="readings"):
        print(reading.report.findings, sorted(reading.present()))

Every verb of the command is a function here, and the form's types are here too; all are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from contrastcxr.version import __version__ as __version__

_MODULES = {
    "contrastcxr.api": "audit_data check_data cluster_reports compare describe_part doctor draw_phantoms "
    "estimate_table evaluate import_r2gen label list_data list_models load_studies open_source prepare_data read "
    "reproduce_table train write_manifest",
    "contrastcxr.form": "Box Evidence Finding Reading Report Study View",
    "contrastcxr.text.labeler": "Labeler",
    "contrastcxr.reading.reader": "Reader",
    "contrastcxr.checkpoint": "load_checkpoint",
    "contrastcxr.config": "load_config",
    "contrastcxr.write": "get_writer",
}
_NAMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = ["__version__", *_NAMES]

if TYPE_CHECKING:  # as type checkers read it, `import name as name` is public
    from contrastcxr.api import audit_data as audit_data
    from contrastcxr.api import check_data as check_data
    from contrastcxr.api import cluster_reports as cluster_reports
    from contrastcxr.api import compare as compare
    from contrastcxr.api import describe_part as describe_part
    from contrastcxr.api import doctor as doctor
    from contrastcxr.api import draw_phantoms as draw_phantoms
    from contrastcxr.api import estimate_table as estimate_table
    from contrastcxr.api import evaluate as evaluate
    from contrastcxr.api import import_r2gen as import_r2gen
    from contrastcxr.api import label as label
    from contrastcxr.api import list_data as list_data
    from contrastcxr.api import list_models as list_models
    from contrastcxr.api import load_studies as load_studies
    from contrastcxr.api import open_source as open_source
    from contrastcxr.api import prepare_data as prepare_data
    from contrastcxr.api import read as read
    from contrastcxr.api import reproduce_table as reproduce_table
    from contrastcxr.api import train as train
    from contrastcxr.api import write_manifest as write_manifest
    from contrastcxr.checkpoint import load_checkpoint as load_checkpoint
    from contrastcxr.config import load_config as load_config
    from contrastcxr.form import Box as Box
    from contrastcxr.form import Evidence as Evidence
    from contrastcxr.form import Finding as Finding
    from contrastcxr.form import Reading as Reading
    from contrastcxr.form import Report as Report
    from contrastcxr.form import Study as Study
    from contrastcxr.form import View as View
    from contrastcxr.reading.reader import Reader as Reader
    from contrastcxr.text.labeler import Labeler as Labeler
    from contrastcxr.write import get_writer as get_writer


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
