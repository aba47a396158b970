"""The folder that an evaluation is kept in."""

from __future__ import annotations

import json
from pathlib import Path

from contrastcxr.evaluation.report import Material, report_page, samples_page
from contrastcxr.evaluation.result import Evaluation
from contrastcxr.files import atomic_write
from contrastcxr.metrics import sheet


def write_evaluation(found: Evaluation, folder: Path, material: Material | None = None) -> None:
    """Write `scores.json`, `readings.jsonl`, `studies.npz`, `report.md` and `report.html` into a folder.

    Where both sides write reports `samples.md` too, else one of an earlier evaluation is removed.

    Args:
        found: the scores.
        folder: made where it is not there.
        material: texts, studies and checks for the page, which has the figures alone without it.

    Raises:
        OutputError: a file cannot be written.
    """
    columns = {name: s.scores for name, s in found.systems.items()}
    title, notes = f"Evaluation on {found.data}, {found.split}", (*found.notes, *found.failures)
    with atomic_write(folder / "readings.jsonl") as file:
        file.writelines(reading.model_dump_json(by_alias=True) + "\n" for reading in found.readings)
    found.systems["system"].table.save(folder / "studies.npz")
    with atomic_write(folder / "report.md") as file:
        file.write(sheet.markdown(title, found.facts, columns, notes))
    with atomic_write(folder / "report.html") as file:
        file.write(report_page(found, material))
    samples = None if material is None else samples_page(found, material)
    if samples is None:
        (folder / "samples.md").unlink(missing_ok=True)
    else:
        with atomic_write(folder / "samples.md") as file:
            file.write(samples)
    with atomic_write(folder / "scores.json") as file:
        json.dump(found.to_dict(), file, indent=1, ensure_ascii=False)
        file.write("\n")
