"""An evaluation as one HTML file: nothing is fetched, nothing runs, and it prints; and a few studies as text."""

from contrastcxr.evaluation.report.material import Material
from contrastcxr.evaluation.report.render import report_page
from contrastcxr.evaluation.report.samples import samples_page

__all__ = ["Material", "report_page", "samples_page"]
