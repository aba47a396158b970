"""An unknown name, wherever one is given, is answered in one line with eight of the known names at most."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contrastcxr import catalogue
from contrastcxr.cli.label import _labeler
from contrastcxr.config import parse_config
from contrastcxr.data.authors import reading_of
from contrastcxr.data.ref import DataRef
from contrastcxr.data.sources import SOURCES, parse_data
from contrastcxr.data.tables.named import read_table
from contrastcxr.data.tables.streamed import stream_table
from contrastcxr.errors import SHOWN, ContrastCXRError
from contrastcxr.evaluation.audit.run import labels_of
from contrastcxr.evaluation.protocols import words_of
from contrastcxr.evaluation.references import load_references
from contrastcxr.files import find_checkpoint
from contrastcxr.form import Author, Finding, Reading, Report, Study, View
from contrastcxr.metrics.learned.ask import ask
from contrastcxr.models.contrast.attention_functions import build_scores
from contrastcxr.models.encoders import build_encoder
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.phantom.levels import get_level
from contrastcxr.phantom.locators import split_size
from contrastcxr.published.tables import published_table
from contrastcxr.reading.reader import _dtype
from contrastcxr.reproduce import find_plan
from contrastcxr.store.studies import open_source
from contrastcxr.text.given_labels import finding_columns
from contrastcxr.text.labeling.rules import _check_names
from contrastcxr.vocab.chestx_det import det_class
from contrastcxr.vocab.labels import from_covid, from_nih, from_vindr, label_set
from contrastcxr.write import get_writer

MANY = 1_000
UNKNOWN = ["", "?", "zzz", "Q" * 3_000, "two\nlines"]
"""Names that nothing has: nothing, a sign, letters, a page of them, and more than one line."""


def config(**values: Any) -> None:
    parse_config({"name": "mine", "width": 8, **values}, where="mine.yaml")


def read_by_many() -> Study:
    readings = [
        Reading(
            study_id="s",
            author=Author(kind="human", name=f"reader {k}"),
            report=Report(),
            findings=(Finding(name="Mass", status="present"),),
        )
        for k in range(MANY)
    ]
    return Study(
        study_id="s", views=(View(view_id="v", locator="a.png", position="PA"),), readings=tuple(readings)
    )


PLACES: dict[str, Callable[[str], object]] = {
    "encoder": lambda name: build_encoder(name, weights="random"),
    "decoder": lambda name: build_decoder(name, width=8, vocabulary=4),
    "kind of decoder": lambda name: config(decoder={"kind": name}),
    "kind of localizer": lambda name: config(localizer={"kind": name}),
    "kind of loss": lambda name: config(losses=[{"kind": name}]),
    "key": lambda name: config(**{name: 1}),
    "key of training": lambda name: config(train={name: 1}),
    "option of a decoder": lambda name: config(decoder={"kind": "transformer", name: 1}),
    "data source": lambda name: parse_data(f"a{len(name)}b:/data"),
    "option of a source": lambda name: DataRef(SOURCES["nih14"], "/data", options=((name, "1"),)),
    "parameter of a source": lambda name: DataRef(SOURCES["nih14"], "/data", params=((name, "1"),)),
    "split": lambda name: open_source(parse_data("phantom:smoke")).studies(f"x{name}"),
    "model": lambda name: find_checkpoint(f"x{name[:100]}"),
    "part of the catalogue": lambda name: catalogue.describe(name),
    "protocol": lambda name: words_of(name, parse_data("phantom:smoke"), author=None),
    "learned metric": lambda name: ask([name]),
    "option of a learned metric": lambda name: ask([f"bertscore=x,{'a' * len(name[:99])}y=1"]),
    "published table": lambda name: published_table("A", name),
    "paper": lambda name: find_plan(name, "1"),
    "table of a paper": lambda name: find_plan("A", f"x{name}"),
    "format": get_writer,
    "dtype": _dtype,
    "attention": lambda name: build_scores(name, width=4, repeats=1),
    "phantom level": get_level,
    "phantom split": lambda name: split_size("standard", name),
    "NIH label": from_nih,
    "VinDr-CXR class": from_vindr,
    "COVID-19 word": lambda name: from_covid(f"x{name}"),
    "ChestX-Det class": det_class,
    "label set": label_set,
    "labeler": lambda name: _labeler(name, None, allow_pickle=False),
    "finding of the rules": lambda name: _check_names([name]),
    "column of a finding": lambda name: finding_columns([name], [], "file.csv"),
    "author": lambda name: reading_of(read_by_many(), author=f"x{name}"),
    "author of an audit": lambda name: labels_of([read_by_many()], f"x{name}"),
    "reference": lambda name: load_references(
        parse_data("phantom:smoke?seed=0"), "test", author=f"x{name}", limit=2
    ),
}


@pytest.mark.parametrize("name", UNKNOWN, ids=["nothing", "sign", "letters", "page", "lines"])
@pytest.mark.parametrize("place", PLACES)
def test_an_unknown_name_is_answered_with_eight_names_at_most(place: str, name: str) -> None:
    with pytest.raises(ContrastCXRError) as refused:
        PLACES[place](name)
    check(str(refused.value), name)


def check(said: str, name: str) -> None:
    """Assert that a message is short, and lists no more names than a person reads."""
    around = said.replace(name, "") if name else said
    assert "\n" not in around
    assert len(around) < 1_500
    for part in re.split(r"[;:(]|found ", around):
        assert part.count(", ") < SHOWN, part


@pytest.mark.parametrize("read", [read_table, lambda path, names: list(stream_table(path, names))])
def test_a_table_of_a_thousand_columns_names_the_nearest_of_them(
    read: Callable[[Path, list[str]], object], tmp_path: Path
) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{k}" for k in range(MANY)) + "\n")
    with pytest.raises(ContrastCXRError, match=r"found c\d+, .* and 992 more") as refused:
        read(path, ["Patient Age"])
    check(str(refused.value), "Patient Age")


def test_the_nearest_of_many_come_first() -> None:
    with pytest.raises(ContrastCXRError, match=r"found reader 777, reader 77, .* and 992 more;"):
        reading_of(read_by_many(), author="777")
