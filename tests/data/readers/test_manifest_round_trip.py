from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from iu_files import write_openi
from mimic_files import write_mimic
from mini_chexpert import write_chexpert
from mini_covid import write_covid
from mini_rsna import write_rsna
from mini_vindr import write_vindr

from contrastcxr.data.readers.chexpert import CheXpert
from contrastcxr.data.readers.covid import Covid
from contrastcxr.data.readers.iu_xray import IuXray
from contrastcxr.data.readers.manifest import Manifest
from contrastcxr.data.readers.manifest_writing import CELL_LIMIT, write_manifest
from contrastcxr.data.readers.mimic_cxr import MimicCxr, MimicRoots
from contrastcxr.data.readers.nih14 import Nih14
from contrastcxr.data.readers.phantom import Phantoms
from contrastcxr.data.readers.rsna import Rsna
from contrastcxr.data.readers.vindr import VinDr
from contrastcxr.data.source import Source
from contrastcxr.errors import DatasetError, OutputError
from contrastcxr.form import Author, Box, Finding, Reading, Study, View

SUFFIXES = ("jsonl", "csv", "parquet")

READERS: dict[str, Callable[[Path], Source]] = {
    "chexpert": lambda folder: CheXpert(write_chexpert(folder)),
    "covid": lambda folder: Covid(write_covid(folder)),
    "rsna": lambda folder: Rsna(write_rsna(folder)),
    "vindr": lambda folder: VinDr(write_vindr(folder)),
    "iu_xray": lambda folder: IuXray(written(write_openi, folder), images="any"),
    "mimic_cxr": lambda folder: MimicCxr(MimicRoots(written(write_mimic, folder)), images="any"),
    "phantom": lambda _: Phantoms("smoke", limit=2),
}


def written(write: Callable[[Path], object], folder: Path) -> Path:
    """The folder, once the miniature is written there."""
    write(folder)
    return folder


@pytest.mark.parametrize("name", READERS)
def test_studies_come_back_equal_from_every_format(name: str, tmp_path: Path) -> None:
    studies = READERS[name](tmp_path).studies()
    for suffix in SUFFIXES:
        path = tmp_path / f"studies.{suffix}"
        assert write_manifest(studies, path) == len(studies)
        assert Manifest(path, images="any").studies() == studies


def test_nih_comes_back_equal(nih: Path) -> None:
    studies = Nih14(nih).studies()
    write_manifest(studies, nih / "m.parquet")
    assert Manifest(nih / "m.parquet").studies() == studies


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_studies_without_pictures_come_back_when_any_will_do(suffix: str, tmp_path: Path) -> None:
    root = write_vindr(tmp_path)
    (root / "train/aaa.dicom").unlink()
    studies = VinDr(root, images="any").studies()
    path = tmp_path / "out" / f"studies.{suffix}"
    write_manifest(studies, path)
    assert Manifest(path, images="any").studies() == studies


def everything(folder: Path) -> Study:
    """A study that uses what the form has."""
    from published_files import save_picture

    save_picture(folder / "a.png")
    save_picture(folder / "b.png")
    views = (
        View(
            view_id="a", locator=str(folder / "a.png"), position="PA", width=64, height=48, spacing_mm=(0.2, 0.1)
        ),
        View(view_id="b", locator=str(folder / "b.png"), position="LATERAL", width=64, height=48, mirrored=False),
    )
    finding = Finding(
        name="Edema",
        status="uncertain",
        side="left",
        zone="lower",
        severity="mild",
        size_mm=12.5,
        probability=0.25,
        boxes=(Box(xyxy=(1, 2, 3, 4)), Box(view=1, xyxy=(1.5, 2, 3, 4), score=0.5)),
    )
    authors = (Author(kind="human", name="one"), Author(kind="rule", name="two", version="3"))
    readings = tuple(
        Reading(study_id="s", author=a, findings=(finding,), provenance={"n": [1, {}]}) for a in authors
    )
    indication = ' "Cough",\n\tfever; '
    return Study(
        study_id="s",
        patient_id="007",
        views=views,
        prior="r",
        split="mine",
        indication=indication,
        readings=readings,
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_the_form_has_survives(suffix: str, tmp_path: Path) -> None:
    study = everything(tmp_path)
    write_manifest([study], tmp_path / f"m.{suffix}")
    assert Manifest(tmp_path / f"m.{suffix}").studies() == [study]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_moved_with_its_manifest_is_still_read(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    write_manifest([everything(tmp_path / "here")], tmp_path / "here" / f"m.{suffix}")
    moved = (tmp_path / "here").rename(tmp_path / "there")
    (study,) = Manifest(moved / f"m.{suffix}").studies()
    assert study.views[0].locator == str(moved / "a.png")


def test_parquet_takes_nested_columns_and_simple_ones(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    study = everything(tmp_path)
    nested = {
        "study_id": "s",
        "views": [
            {"view_id": "a", "locator": "a.png", "spacing_mm": [0.2, 0.1]},
            {"view_id": "b", "locator": "b.png"},
        ],
        "age": float("nan"),
    }
    parquet.write_table(pyarrow.Table.from_pylist([nested]), tmp_path / "nested.parquet")
    (found,) = Manifest(tmp_path / "nested.parquet").studies()
    assert ([v.locator for v in found.views], found.age) == ([v.locator for v in study.views], None)
    simple = {"study_id": "1", "images": ["a.png", "b.png"], "labels": ["Edema"], "age": 61, "sex": None}
    parquet.write_table(pyarrow.Table.from_pylist([simple]), tmp_path / "simple.parquet")
    (found,) = Manifest(tmp_path / "simple.parquet").studies()
    assert (len(found.views), found.age, found.readings[0].present()) == (2, 61, {"Edema"})


def test_simple_columns_say_details_spacing_author_and_what_others_said(tmp_path: Path) -> None:
    everything(tmp_path)
    labels = '{""Edema"": {""side"": ""left"", ""severity"": ""mild""}, ""Lung Cavity"": ""absent""}'
    others = '[{""author"": {""kind"": ""rule"", ""name"": ""labeler""}, ""findings"": []}]'
    (tmp_path / "m.csv").write_text(
        f'study_id,image,spacing,author,labels,readings\n1,a.png,0.2;0.1,Dr A,"{labels}","{others}"\n'
    )
    (study,) = Manifest(tmp_path / "m.csv").studies()
    assert study.views[0].spacing_mm == (0.2, 0.1)
    assert [r.author.name for r in study.readings] == ["Dr A", "labeler"]
    edema, cavity = study.readings[0].findings
    assert (edema.status, edema.side, edema.severity, cavity.status) == ("present", "left", "mild", "absent")


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("spacing", "0", "spacing '0'; expected mm per pixel"),
        ("spacing", "1;2;3", "spacing '1;2;3'; expected mm per pixel"),
        ("labels", '"{""Edema"": {""sides"": ""left""}}"', "'sides' of Edema; expected some of status, side"),
        ("labels", '"{"', "labels is not JSON"),
        ("readings", '"[1]"', "readings; expected JSON list of what others said"),
        ("readings", "[", "readings is not JSON"),
    ],
)
def test_wrong_details_are_refused_with_their_row(tmp_path: Path, column: str, cell: str, message: str) -> None:
    (tmp_path / "m.csv").write_text(f"study_id,image,{column}\n1,a.png,{cell}\n")
    with pytest.raises(DatasetError, match=message):
        Manifest(tmp_path / "m.csv")


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    study = everything(tmp_path)
    long = study.model_copy(update={"indication": "x" * (CELL_LIMIT + 1)})
    with pytest.raises(
        OutputError, match=r"131,073 characters of indication in study 's'; a CSV cell holds at most"
    ):
        write_manifest([long], tmp_path / "m.csv")
    with pytest.raises(OutputError, match=r"a manifest ends in .jsonl, .csv, .parquet"):
        write_manifest([study], tmp_path / "m.xlsx")
    memory = Study(study_id="m", views=(View(view_id="v", pixels=np.zeros((40, 40), np.float32)),))
    for suffix in SUFFIXES:
        with pytest.raises(DatasetError, match="view 'v' is only in memory"):
            write_manifest([study, memory], tmp_path / f"m.{suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_command_writes_any_source(suffix: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from contrastcxr.cli.data import data

    root = write_chexpert(tmp_path)
    (root / "train/patient00002/study1/view1_frontal.jpg").unlink()
    out = tmp_path / f"m.{suffix}"
    result = CliRunner().invoke(data, ["manifest", f"chexpert:{root}/train", "--out", str(out)])
    assert result.exit_code == 1
    assert "2 studies in" in result.output
    assert Manifest(out).studies() == CheXpert(root).studies("train")
