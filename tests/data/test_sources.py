from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contrastcxr.api import load_studies, open_source
from contrastcxr.data.sources import SOURCES
from contrastcxr.errors import ContrastCXRError, DatasetError, RequestError, UnknownNameError


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("nih15:/x", UnknownNameError, "unknown data source 'nih15'; did you mean 'nih14'"),
        ("nih14-cv:/x?flod=1", UnknownNameError, "parameter of nih14-cv 'flod'; did you mean 'fold'"),
        ("nih14-cv:/x?fold=one", RequestError, "fold=one; expected a whole number"),
        ("nih14-cv:/x?fold=-1", RequestError, "fold=-1; expected a whole number"),
        ("nih14-cv:/x?report=plane", UnknownNameError, "did you mean 'plain'"),
        ("nih14:/x,reports=/y", RequestError, "nih14 has no option 'reports'"),
        ("nih14:", RequestError, "no folder after 'nih14:'"),
        ("nih14:/nowhere", DatasetError, "/nowhere: is not a folder"),
        ("phantom:easiest", UnknownNameError, "unknown phantom level 'easiest'; did you mean 'easy'"),
        ("phantom:smoke/tests", UnknownNameError, "split of phantom 'tests'; did you mean 'test'"),
        ("/nowhere/a.png", DatasetError, "no such file"),
    ],
)
def test_a_wrong_request_is_refused_and_names_the_nearest(
    text: str, error: type[ContrastCXRError], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_studies(text)


def test_nih_is_opened_with_its_splits(nih: Path) -> None:
    assert len(load_studies(f"nih14:{nih}")) == 6
    assert len(load_studies(f"nih14:{nih}/test")) == 2
    assert len(load_studies(f"nih14:{nih}?limit=3")) == 3
    assert load_studies(f"nih-plain:{nih}/test")[0].readings[0].author.name == "nih-plain"


@pytest.mark.data
def test_folds_are_opened_with_and_without_plain_reports(shared_data: Path) -> None:
    root = shared_data / "nih14"
    bare, plain = (load_studies(f"nih14-cv:{root}/test?fold=1&limit=2{q}") for q in ("", "&report=plain"))
    assert [s.study_id for s in bare] == [s.study_id for s in plain]
    assert (bare[0].readings[0].author.name, plain[0].readings[0].author.name) == ("nih14 labels", "nih-plain")


def test_phantoms_are_drawn_from_the_seed() -> None:
    one = load_studies("phantom:smoke/test?limit=2")
    assert [s.split for s in one] == ["test", "test"]
    assert one == load_studies("phantom:smoke/test?limit=2&seed=0")
    assert one != load_studies("phantom:smoke/test?limit=2&seed=1")
    assert [s.split for s in open_source("phantom:smoke?limit=1").studies()] == ["train", "validation", "test"]


def test_a_plain_path_is_read_as_it_stands(png: Callable[..., Path], tmp_path: Path) -> None:
    png("films/a.png")
    (tmp_path / "films" / "b.png").write_text("no")
    source = open_source(str(tmp_path / "films"))
    assert [s.study_id for s in source.studies()] == ["a"]
    assert len(source.missing) == 1
    (tmp_path / "m.csv").write_text("study_id,image\nq,films/a.png\n")
    assert load_studies(str(tmp_path / "m.csv"))[0].study_id == "q"


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_states_its_terms(name: str) -> None:
    kind = SOURCES[name]
    assert kind.summary
    assert kind.licence.terms
    assert kind.licence.where


def test_opening_sources_waits_for_no_heavy_library() -> None:
    code = (
        "import contrastcxr.data, sys; print(sorted({'torch', 'scipy', 'pydicom', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_manifests_split_is_what_its_rows_state(tmp_path: Path) -> None:
    rows = [
        {"study_id": str(n), "image": "a.png", "split": s} for n, s in enumerate(("train", "validation", "train"))
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    name = f"manifest:{tmp_path / 'm.jsonl'}/train?images=any"
    assert [study.study_id for study in load_studies(name)] == ["0", "2"]
