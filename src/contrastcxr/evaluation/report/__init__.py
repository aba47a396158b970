"""An evaluation as one HTML file: nothing is fetched, nothing runs, and it prints."""

from contrastcxr.evaluation.report.material import Material
from contrastcxr.evaluation.report.render import report_page

__all__ = ["Material", "report_page"]
