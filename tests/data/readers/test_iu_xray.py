from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from iu_files import samples, write_archive, write_images, write_kaggle, write_openi, write_r2gen

from contrastcxr.api import load_studies, open_source
from contrastcxr.data.authors import is_normal
from contrastcxr.data.pixels import load_pixels
from contrastcxr.data.readers.iu_openi import LARGEST, parse_report
from contrastcxr.data.readers.iu_reports import mesh_finding, picture_key
from contrastcxr.data.readers.iu_xray import LAYOUTS, IuXray
from contrastcxr.errors import DatasetError, MissingExtraError, RequestError, UnknownNameError
from contrastcxr.form import Study

WRITERS = {"openi": write_openi, "kaggle": write_kaggle, "r2gen": write_r2gen}


def by_id(source: IuXray) -> dict[str, Study]:
    return {study.study_id: study for study in source.studies()}


def mesh_of(study: Study) -> list[tuple[str, str, str | None, str | None, str | None]]:
    reading = study.reading_by("iu_xray mesh")
    assert reading is not None
    assert reading.author.kind == "human"
    return [(f.name, f.status, f.side, f.zone, f.severity) for f in reading.findings]


@pytest.mark.parametrize("layout", ["openi", "kaggle"])
def test_the_same_studies_come_from_open_i_and_from_kaggle(tmp_path: Path, layout: str) -> None:
    source = IuXray(WRITERS[layout](tmp_path))
    studies = by_id(source)
    assert source.layout == layout
    assert source.missing == ()
    assert [(s.study_id, len(s.views)) for s in studies.values()] == [("CXR1", 2), ("CXR2", 1), ("CXR7", 3)]
    first = studies["CXR1"]
    assert (first.patient_id, first.indication, first.split) == ("CXR1", "Cough.", None)
    report = first.readings[0].report
    assert first.readings[0].author.name == "iu_xray radiologist"
    assert (report.findings, report.impression, report.comparison) == (
        "Clear lungs. No XXXX.",
        "Normal chest.",
        "",
    )
    assert report.sentences == ("Clear lungs.", "No XXXX.", "Normal chest.")
    assert load_pixels(first.views[0]).shape == (48, 64)


def test_numbers_and_masks_of_the_text_stay(tmp_path: Path) -> None:
    report = by_id(IuXray(write_openi(tmp_path)))["CXR2"].readings[0].report
    assert (report.findings, report.indication) == ("Small left effusion of 1.2 cm.", "XXXX year old.")


def test_mesh_terms_are_a_second_author_that_says_only_what_is_there(tmp_path: Path) -> None:
    studies = by_id(IuXray(write_kaggle(tmp_path)))
    assert mesh_of(studies["CXR2"]) == [
        ("Pleural Effusion", "present", "left", None, None),
        ("Lung Opacity", "present", "right", "base", "mild"),
    ]
    reading = studies["CXR2"].reading_by("iu_xray mesh")
    assert reading is not None
    assert reading.provenance["mesh"][-1] == "Scoliosis"
    assert [name for name, study in studies.items() if is_normal(study)] == ["CXR1"]


@pytest.mark.parametrize(
    ("term", "name"),
    [
        ("normal", "No Finding"),
        ("Subcutaneous Emphysema", None),
        ("Bullous Emphysema/left", "Emphysema"),
        ("Thickening/bronchi", None),
        ("Thickening/pleura/apex/bilateral", "Pleural Thickening"),
        ("Cardiac Shadow/enlarged/mild", "Cardiomegaly"),
        ("Cardiac Shadow/obscured", None),
        ("Technical Quality of Image Unsatisfactory ", None),
        ("Catheters, Indwelling/right", "Support Devices"),
    ],
)
def test_a_term_names_a_finding_only_where_it_means_one(term: str, name: str | None) -> None:
    finding = mesh_finding(term)
    assert (finding.name if finding else None) == name


def test_positions_come_from_the_projections_and_a_frontal_film_is_neither_pa_nor_ap(tmp_path: Path) -> None:
    views = by_id(IuXray(write_kaggle(tmp_path)))["CXR7"].views
    assert [view.position for view in views] == ["unknown", "LATERAL", "unknown"]


def test_projections_beside_the_xml_give_it_positions(tmp_path: Path) -> None:
    write_openi(tmp_path)
    assert {v.position for s in IuXray(tmp_path).studies() for v in s.views} == {"unknown"}
    write_kaggle(tmp_path)
    studies = by_id(IuXray(tmp_path, layout="openi"))
    assert [view.position for view in studies["CXR1"].views] == ["unknown", "LATERAL"]


def test_r2gens_file_has_two_views_and_its_own_split(tmp_path: Path) -> None:
    source = IuXray(write_r2gen(tmp_path))
    study = source.studies("train")[0]
    assert source.splits == ("train", "test")
    assert (study.study_id, study.patient_id, len(study.views)) == ("CXR1_1_IM-0001", "CXR1", 2)
    assert study.views[1].locator == str(tmp_path / "images" / "CXR1_1_IM-0001" / "1.png")
    assert [reading.author.name for reading in study.readings] == ["iu_xray radiologist"]
    assert [s.study_id for s in source.studies("test")] == ["CXR2_IM-0652"]


def test_r2gens_file_alone_may_be_named(tmp_path: Path) -> None:
    write_r2gen(tmp_path)
    (tmp_path / "annotation.json").rename(tmp_path / "iu.json")
    assert len(load_studies(f"iu_xray:{tmp_path / 'iu.json'}/train")) == 1


def test_tables_beside_r2gens_file_complete_its_reports(tmp_path: Path) -> None:
    write_kaggle(write_r2gen(tmp_path))
    study = IuXray(tmp_path, layout="r2gen").studies("train")[0]
    assert study.readings[0].report.impression == "Normal chest."
    assert is_normal(study)


def test_r2gens_file_beside_the_tables_gives_them_its_split(tmp_path: Path) -> None:
    write_kaggle(write_r2gen(tmp_path))
    splits = {s.study_id: s.split for s in IuXray(tmp_path, layout="kaggle").studies()}
    assert splits == {"CXR1": "train", "CXR2": "test", "CXR7": None}


def test_of_several_layouts_the_one_whose_images_are_there_is_read(tmp_path: Path) -> None:
    write_openi(tmp_path)
    (tmp_path / "annotation.json").write_text(json.dumps(samples()))
    assert IuXray(tmp_path).layout == "openi"
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    write_images(tmp_path / "images", ["CXR1_1_IM-0001/0.png"])
    source = IuXray(tmp_path)
    assert source.layout == "r2gen"
    assert "layout r2gen; openi there too (force with layout=)" in source.inventory().notes


def test_an_image_is_the_same_under_every_editions_name() -> None:
    names = ("CXR1_1_IM-0001-3001.png", "1_IM-0001-3001.dcm.png", "a/1_IM-0001-3001.dcm", "CXR1_IM-0001-3001.jpg")
    assert {picture_key(name) for name in names} == {"1_IM-0001-3001"}
    assert picture_key("CXR1_1_IM-0001/0.png") != picture_key("CXR2_1_IM-0001/0.png")
    assert picture_key("11_1_IM-0001-3001.png") != picture_key("1_IM-0001-3001.png")


def test_absent_images_are_listed_and_their_studies_kept_where_any_will_do(tmp_path: Path) -> None:
    write_kaggle(tmp_path)
    folder = tmp_path / "images" / "images_normalized"
    for name in ("1_IM-0001-4001", "2_IM-0652-1001"):
        (folder / f"{name}.dcm.png").unlink()
    (folder / "1_IM-0001-3001_lungs.png").touch()
    source = open_source(f"iu_xray:{tmp_path}")
    gone = [str(folder / "1_IM-0001-4001.dcm.png"), str(folder / "2_IM-0652-1001.dcm.png")]
    assert list(source.missing) == gone
    assert [(s.study_id, len(s.views)) for s in source.studies()] == [("CXR1", 1), ("CXR7", 3)]
    anyway = load_studies(f"iu_xray:{tmp_path}?images=any")
    assert [(s.study_id, len(s.views)) for s in anyway] == [("CXR1", 2), ("CXR2", 1), ("CXR7", 3)]
    assert anyway[1].views[0].locator == gone[1]
    assert "1 image files that no table names are not read, such as 1_IM-0001-3001_lungs.png" in "\n".join(
        source.inventory().notes
    )


def test_the_inventory_counts_reports_images_and_views(tmp_path: Path) -> None:
    held = IuXray(write_openi(tmp_path)).inventory()
    assert (held.reports, held.images) == (4, 6)
    assert held.counts["reports with findings"] == 3
    assert held.counts["with findings and two images or more"] == 1
    assert held.counts["with 3 images"] == 1
    assert held.counts["normal by MeSH"] == 1
    assert "1 reports name no image; they are no studies" in held.notes


def test_the_archive_of_reports_is_read_without_unpacking(tmp_path: Path) -> None:
    write_archive(tmp_path / "NLMCXR_reports.tgz")
    source = open_source(f"iu_xray:{tmp_path}?images=any")
    assert [s.study_id for s in source.studies()] == ["CXR1", "CXR2", "CXR7"]
    assert not list(tmp_path.glob("*.xml"))


def test_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    write_archive(tmp_path / "NLMCXR_reports.tgz")
    write_openi(tmp_path / "other")
    assert open_source(f"iu_xray:{tmp_path},pictures={tmp_path / 'other' / 'NLMCXR_png'}").missing == ()


def replace(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("layout", "file", "change", "message"),
    [
        (
            "kaggle",
            "indiana_reports.csv",
            replace("uid,", "uuid,"),
            "header: no column 'uid'; the nearest is 'uuid'",
        ),
        ("kaggle", "indiana_reports.csv", replace("\n2,", "\n1,"), r"row 3 \(1\): uid 1 is already in row 2"),
        (
            "kaggle",
            "indiana_reports.csv",
            replace("\n2,", "\nx,"),
            r"row 3 \(x\): uid 'x'; expected a whole number",
        ),
        (
            "kaggle",
            "indiana_projections.csv",
            replace("Frontal", "Front"),
            r"row 2 \(1\): projection 'Front'; expected",
        ),
        ("kaggle", "indiana_projections.csv", replace("1_IM-0001-3001", "1_IM-0001-4001"), "already in row 2"),
        (
            "kaggle",
            "indiana_projections.csv",
            replace("\n2,", "\n3,"),
            "uid '3' has no row in indiana_reports.csv",
        ),
        ("kaggle", "indiana_projections.csv", replace(",Lateral", ""), "2 cells under 3 columns"),
        ("kaggle", "indiana_projections.csv", replace("Frontal", "\udcff"), "is not UTF-8"),
        ("openi", "ecgen-radiology/2.xml", replace('id="CXR2"', 'id="CXR1"'), "two XML files have the uId CXR1"),
        ("r2gen", "annotation.json", replace('"id": "CXR2_IM-0652"', '"id": "x2"'), "sample 'x2'; expected ids"),
    ],
)
def test_a_table_that_departs_from_its_layout_is_refused_in_one_line(
    tmp_path: Path, layout: str, file: str, change: Callable[[str], str], message: str
) -> None:
    path = WRITERS[layout](tmp_path) / file
    path.write_bytes(change(path.read_text()).encode(errors="surrogateescape"))
    with pytest.raises(DatasetError, match=message) as caught:
        IuXray(tmp_path).studies()
    assert "\n" not in str(caught.value)


def test_an_entity_is_never_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><eCitation><uId id="CXR1"/>&a;</eCitation>'
    with pytest.raises(DatasetError, match="document type"):
        parse_report(bomb, "a.xml")
    with pytest.raises(DatasetError, match="not UTF-8"):
        parse_report(bomb.decode().encode("utf-16"), "a.xml")


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("</eCitation>", ""), "is not XML .* cut off"),
        (replace("Small", "\udcff"), "is not UTF-8"),
        (replace('<uId id="CXR2"/>', ""), "without a uId"),
        (replace("<eCitation>", "<!DOCTYPE x><eCitation>"), "a document type"),
        (lambda _: "", "is not XML"),
    ],
)
def test_a_file_that_is_no_report_is_listed_and_the_others_are_read(
    tmp_path: Path, change: Callable[[str], str], message: str, archived: bool
) -> None:
    path = write_openi(tmp_path) / "ecgen-radiology" / "2.xml"
    path.write_bytes(change(path.read_text()).encode(errors="surrogateescape"))
    if archived:
        with tarfile.open(tmp_path / "NLMCXR_reports.tgz", "w:gz") as archive:
            archive.add(path.parent, "ecgen-radiology")
        shutil.rmtree(path.parent)
    source, told = IuXray(tmp_path), list[str]()
    assert [study.study_id for study in source.stream(on_missing=told.append)] == ["CXR1", "CXR7"]
    assert len(told) == 1
    assert re.search(f"2.xml: .*{message}", told[0])
    assert source.missing == tuple(told)


def test_an_enormous_report_and_what_is_no_file_are_not_read(tmp_path: Path) -> None:
    folder = write_openi(tmp_path) / "ecgen-radiology"
    with (folder / "2.xml").open("ab") as file:
        file.truncate(LARGEST + 1)
    os.mkfifo(folder / "8.xml")
    (folder / "9.xml").mkdir()
    source = IuXray(tmp_path)
    assert set(by_id(source)) == {"CXR1", "CXR7"}
    assert [line.partition(": ")[2][:12] for line in source.missing] == [
        "is above 1 M",
        "is a folder,",
        "is a folder,",
    ]


def test_a_cut_off_archive_is_named(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "NLMCXR_reports.tgz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r"NLMCXR_reports.tgz: the archive is damaged or cut off"):
        IuXray(tmp_path).studies()


def test_a_folder_without_any_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no XML reports .* no indiana_reports.csv and no annotation.json"):
        IuXray(tmp_path)
    with pytest.raises(DatasetError, match="is not a folder"):
        IuXray(tmp_path / "nowhere")
    write_r2gen(tmp_path)
    with pytest.raises(DatasetError, match="layout 'kaggle' is not there; found r2gen"):
        open_source(f"iu_xray:{tmp_path},layout=kaggle")
    with pytest.raises(UnknownNameError, match="did you mean 'r2gen'"):
        open_source(f"iu_xray:{tmp_path},layout=r2gn")
    with pytest.raises(RequestError, match="has no option 'layuot'"):
        open_source(f"iu_xray:{tmp_path},layuot=kaggle")


def test_one_table_without_the_other_names_it(tmp_path: Path) -> None:
    (write_kaggle(tmp_path) / "indiana_projections.csv").unlink()
    with pytest.raises(DatasetError, match=r"holds no indiana_projections.csv"):
        IuXray(tmp_path).studies()


def test_one_table_of_the_pair_still_helps_another_layout(tmp_path: Path) -> None:
    write_kaggle(write_r2gen(tmp_path / "a"))
    (tmp_path / "a" / "indiana_projections.csv").unlink()
    source = IuXray(tmp_path / "a")
    assert (source.layouts, is_normal(source.studies("train")[0])) == (("r2gen",), True)
    write_kaggle(write_openi(tmp_path / "b"))
    (tmp_path / "b" / "indiana_reports.csv").unlink()
    study = by_id(IuXray(tmp_path / "b"))["CXR1"]
    assert [view.position for view in study.views] == ["unknown", "LATERAL"]


def test_a_stream_tells_what_its_split_lacks(tmp_path: Path) -> None:
    source = IuXray(write_r2gen(tmp_path))
    gone = tmp_path / "images" / "CXR2_IM-0652" / "0.png"
    gone.unlink()
    told: list[str] = []
    assert len(list(source.stream("train", on_missing=told.append))) == 1
    assert told == []
    assert [len(s.views) for s in source.stream("test", on_missing=told.append)] == [1]
    assert told == [str(gone)]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.data.tables.named.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"contrastcxr\[xrv\]"):
        open_source("iu_xray:torchxrayvision")


def test_the_package_holds_every_report_and_no_image() -> None:
    try:
        source = IuXray("torchxrayvision")
    except MissingExtraError:
        pytest.skip("torchxrayvision is not installed")
    held = source.inventory()
    assert (held.reports, held.images, len(source.missing)) == (3955, 7470, 7470)
    assert held.counts["with findings and two images or more"] == 2955
    assert source.studies() == []


@pytest.mark.data
def test_the_real_sample_is_read_from_its_tables_with_r2gens_split(shared_data: Path) -> None:
    source = IuXray(shared_data / "iu_xray")
    assert source.layout == "kaggle"
    splits = Counter(report.split for report in source.reports)
    assert splits == {"train": 2069, "validation": 296, "test": 590, None: 896}
    assert len(source.missing) == 7466 - 6
    normal = [r for r in source.reports if r.split == "train" and r.mesh == ("normal",)]
    assert len(normal) == 682
    assert {s.study_id: len(s.views) for s in source.studies()} == {"CXR25": 1, "CXR54": 2, "CXR1000": 3}


@pytest.mark.data
def test_on_the_real_sample_both_tables_hold_the_same_findings(shared_data: Path) -> None:
    kaggle, r2gen = (IuXray(shared_data / "iu_xray", layout=layout) for layout in LAYOUTS[1:])
    findings = {report.uid: report.findings for report in kaggle.reports}
    assert len(r2gen.reports) == 2955
    assert all(report.findings.strip() == findings[report.uid] for report in r2gen.reports)
