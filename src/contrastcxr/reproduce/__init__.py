"""Tables from end to end: rows trained, scored and recorded one by one, then pooled over seeds and compared.

What is planned and recorded is imported here. `rows`, which trains, loads PyTorch, and `pooled` and `side_by_side`
load what computes scores: they are imported from their modules.
"""

from contrastcxr.reproduce.find_plan import PAPERS, find_plan
from contrastcxr.reproduce.places import Places
from contrastcxr.reproduce.plan import Plan, Row
from contrastcxr.reproduce.record import Record, read_record
from contrastcxr.reproduce.task import Task, task_of

__all__ = [
    "PAPERS",
    "Places",
    "Plan",
    "Record",
    "Row",
    "Task",
    "find_plan",
    "read_record",
    "task_of",
]
