"""Words of a localizer against the clinical notes of the COVID-19 collection, which many studies lack."""

from __future__ import annotations

from pathlib import Path

import pytest
from mini_covid import write_covid

from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate
from contrastcxr.form import Attribute, Author, Box, Finding, Reading
from contrastcxr.vocab.attribute_words import attribute_list

NOTES = "Infiltrate in the left lung. Fever."
STATED = ("left", "infiltrate")


def scored(folder: Path, notes: str) -> Evaluation:
    """Score a localizer that says what `NOTES` states, on the collection with other notes in their place."""
    root = write_covid(folder)
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace(NOTES, notes))
    data = parse_data(f"covid:{root}")
    words = tuple(
        Attribute(name=name, probability=0.9 if name in STATED else 0.1)
        for name in attribute_list("pneumonia").attributes
    )
    marked = Finding(name="Lung Opacity", status="present", region=(Box(xyxy=(1, 1, 9, 9)),), attributes=words)
    author = Author(kind="model", name="someone")
    readings = [Reading(study_id=s.study_id, author=author, findings=(marked,)) for s in data.open().studies()]
    return evaluate(
        readings,
        data=data,
        reference="covid notes",
        attributes="pneumonia",
        allow_partial=True,
        baselines=False,
        with_meteor=False,
        bootstrap=Bootstrap(replicates=20),
        cache=folder / "cache",
    )


def test_studies_without_notes_are_left_out_and_counted(tmp_path: Path) -> None:
    found = scored(tmp_path, NOTES)
    assert found.scores["attribute_auc"].value == found.scores["attribute_accuracy"].value == 1.0
    assert found.scores["attribute_auc"].n == 1
    assert any(
        note.startswith("3 of 4 studies have no reading by covid notes and are left out") for note in found.notes
    )


def test_empty_notes_are_no_reading_and_notes_all_empty_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a reading by 'covid notes', found none among 4 studies"):
        scored(tmp_path, " ")


def test_notes_that_state_no_attribute_are_said_to_score_none(tmp_path: Path) -> None:
    found = scored(tmp_path, "Fever.")
    assert "attribute_auc" not in found.scores
    assert "no reading by covid notes states an attribute of pneumonia: attributes are not scored" in found.notes
