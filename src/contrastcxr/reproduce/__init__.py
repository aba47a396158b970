"""Tables from end to end: rows trained, scored and recorded one by one, then pooled over seeds and compared."""

from contrastcxr.reproduce.plan import PAPERS, Plan, Row, Task, find_plan, task_of
from contrastcxr.reproduce.record import Record, read_record, read_records
from contrastcxr.reproduce.rows import Limits, Places, run_rows
from contrastcxr.reproduce.side_by_side import SideBySide, side_by_side

__all__ = [
    "PAPERS",
    "Limits",
    "Places",
    "Plan",
    "Record",
    "Row",
    "SideBySide",
    "Task",
    "find_plan",
    "read_record",
    "read_records",
    "run_rows",
    "side_by_side",
    "task_of",
]
