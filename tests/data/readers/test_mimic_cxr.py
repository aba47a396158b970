from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from iu_files import samples as iu_samples
from mimic_files import ROWS, TEXTS, folder, write_mimic, write_split

from contrastcxr.api import check_data, load_studies, open_source
from contrastcxr.data.authors import is_normal
from contrastcxr.data.readers.mimic_cxr import MimicCxr, MimicRoots
from contrastcxr.errors import DatasetError, RequestError, UnknownNameError
from contrastcxr.features.targets import finding_targets
from contrastcxr.form import Study


@pytest.fixture
def mimic(tmp_path: Path) -> str:
    """The data name of a miniature JPG edition whose texts have a root of their own."""
    write_mimic(tmp_path / "jpg", texts=tmp_path / "txt")
    return f"mimic_cxr:{tmp_path / 'jpg'},reports={tmp_path / 'txt'}"


def by_id(name: str) -> dict[str, Study]:
    return {study.study_id: study for study in load_studies(name)}


def said(study: Study, author: str) -> dict[str, str]:
    reading = study.reading_by(author)
    return {f.name: f.status for f in reading.findings} if reading else {}


def test_a_study_has_its_views_time_patient_and_sections(mimic: str) -> None:
    study = by_id(mimic)["50000001"]
    assert (study.patient_id, study.acquired, study.split) == ("10000032", date(2180, 5, 6), "train")
    assert [(v.view_id, v.position) for v in study.views] == [("aaaa1111", "PA"), ("aaaa2222", "LATERAL")]
    assert study.indication == "___ F with cough//r/o pneumonia"
    reading = study.reading_by("mimic_cxr radiologist")
    assert reading is study.readings[0]
    assert reading.report.findings.endswith("Small left pleural effusion. The heart is normal.")
    assert (reading.report.impression, reading.report.comparison) == ("Small left pleural effusion.", "")


def test_the_official_split_is_kept_under_our_names(mimic: str) -> None:
    assert open_source(mimic).splits == ("train", "validation", "test")
    assert [s.study_id for s in load_studies(f"{mimic}/validation")] == ["50000004"]
    assert [s.split for s in load_studies(f"{mimic}/test")] == ["test"]


def test_the_prior_study_is_the_last_one_before_on_the_clock(mimic: str) -> None:
    priors = {name: study.prior for name, study in by_id(mimic).items()}
    assert priors == {
        "50000001": None,
        "50000002": "50000001",
        "50000003": "50000002",
        "50000004": None,
        "50000005": None,
    }


def test_two_studies_of_one_moment_do_not_precede_each_other(mimic: str, tmp_path: Path) -> None:
    edit(tmp_path / "jpg" / "mimic-cxr-2.0.0-metadata.csv.gz", "165500.312", "90500")
    studies = by_id(mimic)
    assert (studies["50000002"].prior, studies["50000003"].prior) == ("50000001", "50000001")


def test_positions_come_from_the_stated_view_then_from_the_view_code(mimic: str) -> None:
    positions = {v.view_id: v.position for s in by_id(mimic).values() for v in s.views}
    assert positions == {
        "aaaa1111": "PA",
        "aaaa2222": "LATERAL",
        "bbbb1111": "AP",
        "cccc1111": "AP",
        "dddd1111": "LATERAL",
        "eeee1111": "unknown",
    }


def test_both_labelers_are_rule_authors_whose_blanks_stay_unsaid(mimic: str) -> None:
    studies = by_id(mimic)
    first = studies["50000001"]
    assert said(first, "mimic_cxr chexpert") == {
        "Consolidation": "absent",
        "Pneumonia": "uncertain",
        "Pleural Effusion": "present",
    }
    assert said(first, "mimic_cxr negbio") == said(first, "mimic_cxr chexpert")
    assert said(studies["50000002"], "mimic_cxr negbio") == {}
    assert [r.author.kind for r in first.readings] == ["human", "rule", "rule"]
    assert [name for name, study in studies.items() if is_normal(study)] == ["50000002"]
    values, known = finding_targets(first, ("Consolidation", "Pneumonia", "Pleural Effusion", "Edema"))
    assert values.tolist() == [0, 0, 1, 0]
    assert known.tolist() == [True, False, True, False]


def test_the_findings_subset_keeps_reports_with_a_findings_section(mimic: str) -> None:
    assert len(by_id(mimic)) == 5
    assert list(by_id(f"{mimic},subset=findings")) == ["50000001", "50000003", "50000005"]


def test_the_unit_image_makes_a_study_of_each_image(mimic: str) -> None:
    studies = by_id(f"{mimic},unit=image/train")
    assert list(studies) == ["aaaa1111", "aaaa2222", "bbbb1111", "cccc1111"]
    assert {len(s.views) for s in studies.values()} == {1}
    assert {r.study_id for r in studies["aaaa2222"].readings} == {"aaaa2222"}
    assert {s.prior for s in studies.values()} == {None}


def test_the_dicom_edition_reads_the_same_texts_and_borrows_tables(tmp_path: Path) -> None:
    root = write_mimic(tmp_path / "dcm", suffix=".dcm")
    name = f"mimic_cxr:{root},reports={root}"
    study = by_id(name)["50000001"]
    assert [v.locator for v in study.views] == [
        str(folder(root, "10000032", "50000001") / f"{image}.dcm") for image in ("aaaa1111", "aaaa2222")
    ]
    assert (study.split, study.prior, study.views[0].position) == (None, None, "unknown")
    assert "positions, dates and prior studies are not known" in "\n".join(open_source(name).inventory().notes)
    write_mimic(tmp_path / "jpg")
    completed = by_id(f"{name},tables={tmp_path / 'jpg'}")["50000001"]
    assert (completed.split, completed.views[0].position) == ("train", "PA")
    assert completed.views == tuple(
        v.model_copy(update={"position": p}) for v, p in zip(study.views, ("PA", "LATERAL"), strict=True)
    )


def test_texts_are_read_from_the_zip_archive_too(mimic: str, tmp_path: Path) -> None:
    archive = tmp_path / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for subject, study, *_ in ROWS[1:]:
            file.writestr(f"files/p{subject[:2]}/p{subject}/s{study}.txt", TEXTS[study])
    zipped = f"mimic_cxr:{tmp_path / 'jpg'},reports={archive}"
    assert by_id(zipped) == by_id(mimic)
    assert open_source(zipped).inventory().reports == 5


def test_without_texts_the_labels_are_there_alone(tmp_path: Path) -> None:
    root = write_mimic(tmp_path)
    source = open_source(f"mimic_cxr:{root}")
    assert source.inventory().reports is None
    assert "add reports=/path" in source.inventory().notes[0]
    assert [r.author.name for r in source.studies()[0].readings] == ["mimic_cxr chexpert", "mimic_cxr negbio"]
    with pytest.raises(RequestError, match=r"subset=findings .* needs the texts; add reports=/path"):
        open_source(f"mimic_cxr:{root},subset=findings")


def test_absent_images_and_texts_are_listed(mimic: str, tmp_path: Path) -> None:
    image = folder(tmp_path / "jpg", "10000032", "50000001") / "aaaa1111.jpg"
    text = folder(tmp_path / "txt", "11000011", "50000004").with_suffix(".txt")
    image.unlink()
    text.unlink()
    source = open_source(mimic)
    assert source.missing == (str(image), str(text))
    assert source.inventory().reports == 4
    assert "1 studies have no text and are left out" in source.inventory().notes
    studies = {s.study_id: s for s in source.studies()}
    assert [v.view_id for v in studies["50000001"].views] == ["aaaa2222"]
    assert "50000004" not in studies
    told: list[str] = []
    assert [s.study_id for s in source.stream("train", on_missing=told.append)][1:] == ["50000002", "50000003"]
    assert told == [str(image)]
    anyway = by_id(f"{mimic}?images=any")["50000001"]
    assert anyway.views[0].locator == str(image)


def test_a_tree_without_images_gives_texts_alone(mimic: str, tmp_path: Path) -> None:
    for path in (tmp_path / "jpg").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"none of 6 images is there, .* ask for \?images=any"):
        load_studies(mimic)
    assert len(load_studies(f"{mimic}?images=any")) == 5


def test_only_what_is_asked_for_is_opened(mimic: str, tmp_path: Path) -> None:
    folder(tmp_path / "txt", "12000012", "50000005").with_suffix(".txt").write_bytes(b"\xff")
    assert [s.study_id for s in open_source(mimic).stream("validation")] == ["50000004"]
    with pytest.raises(DatasetError, match=r"s50000005.txt: byte 0 is not UTF-8"):
        load_studies(f"{mimic}/test")


@pytest.mark.parametrize("content", [b"\xff", b"x" * ((1 << 20) + 1)], ids=["no text", "enormous"])
def test_a_text_that_cannot_be_read_costs_its_study(mimic: str, tmp_path: Path, content: bytes) -> None:
    bad = folder(tmp_path / "txt", "12000012", "50000005").with_suffix(".txt")
    before = set(by_id(mimic))
    missing = check_data(mimic)["missing"]
    bad.write_bytes(content)
    assert set(by_id(mimic)) == before - {"50000005"}
    checked = check_data(mimic)
    assert checked["missing"] == missing + 1
    assert checked["first missing"][-1].startswith(f"{bad}: ")


def test_r2gens_annotation_says_which_images_and_texts_are_read(mimic: str, tmp_path: Path) -> None:
    name = f"{mimic},annotation={write_annotation(tmp_path / 'annotation.json')}"
    studies = by_id(name)
    assert {n: (s.split, s.prior, len(s.views)) for n, s in studies.items()} == {
        "50000001": ("train", None, 2),
        "50000003": ("train", "50000001", 1),
        "50000004": ("validation", None, 1),
    }
    assert studies["50000001"].readings[0].report.findings == "No consolidation."
    assert studies["50000001"].views[1].position == "LATERAL"
    assert said(studies["50000001"], "mimic_cxr chexpert")["Pleural Effusion"] == "present"
    assert len(by_id(f"{name},unit=image")) == 4
    assert open_source(name).splits == ("train", "validation")


def test_the_annotation_alone_reads_the_images_of_r2gens_folder(tmp_path: Path) -> None:
    path = write_annotation(tmp_path / "annotation.json")
    (tmp_path / "r2gen").mkdir()
    (write_mimic(tmp_path / "jpg") / "files").rename(tmp_path / "r2gen" / "images")
    name = f"mimic_cxr:{tmp_path / 'r2gen'},annotation={path}"
    assert open_source(name).missing == ()
    assert {s.views[0].position for s in load_studies(name)} == {"unknown"}
    assert "R2Gen annotation of MIMIC-CXR, 1 images a sample" in open_source(name).inventory().notes[0]


def write_annotation(path: Path) -> Path:
    """R2Gen's file: one sample an image."""
    chosen = [row for row in ROWS if row[1] in ("50000001", "50000003", "50000004")]
    lists: dict[str, list[dict[str, object]]] = {"train": [], "val": [], "test": []}
    for subject, study, dicom, *_, split in chosen:
        name = {"train": "train", "validate": "val"}[split]
        sample = {"id": dicom, "study_id": int(study), "subject_id": int(subject), "report": "No consolidation ."}
        image = f"p{subject[:2]}/p{subject}/s{study}/{dicom}.jpg"
        lists[name].append({**sample, "image_path": [image], "split": name})
    path.write_text(json.dumps(lists))
    return path


def test_an_annotation_of_other_data_or_with_a_study_in_two_splits_is_refused(mimic: str, tmp_path: Path) -> None:
    path = tmp_path / "annotation.json"
    path.write_text(json.dumps(iu_samples()))
    with pytest.raises(DatasetError, match=r"train sample 1 .*no study_id and subject_id; expected R2Gen's"):
        load_studies(f"{mimic},annotation={path}")
    lists = json.loads(write_annotation(path).read_text())
    lists["val"].append({**lists["train"].pop(1), "split": "val"})
    path.write_text(json.dumps(lists))
    with pytest.raises(DatasetError, match="study 50000001 is in train and validation; expected one"):
        load_studies(f"{mimic},annotation={path}")


def edit(path: Path, old: str, new: str) -> None:
    text = gzip.decompress(path.read_bytes()).decode()
    assert old in text
    path.write_bytes(gzip.compress(text.replace(old, new, 1).encode(errors="surrogateescape")))


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("metadata", "dicom_id,", "dicom,", "header: no column 'dicom_id'; the nearest is 'dicom'"),
        ("metadata", "aaaa2222,", "aaaa1111,", "image aaaa1111 of study 50000001 is listed twice"),
        ("metadata", "10000032,50000001", "1x,50000001", r"row 2 \(aaaa1111\): subject_id '1x'; expected a whole"),
        ("metadata", "10000032,50000001", "10000033,50000001", r"row 3 .*patients 10000033 and 10000032"),
        ("metadata", "21800506", "21801306", r"row 2 .*StudyDate '21801306'.*expected 21800506"),
        ("metadata", ",Erect\n", ",Erect,x\n", "13 cells under 12 columns"),
        ("metadata", "Erect", "\udcff", r"line 2: is not UTF-8 text \(byte 0xff"),
        ("split", ",train\n", ",trian\n", "split 'trian'; expected train, validate, test"),
        ("split", ",train\n", ",test\n", "study 50000001 is in test and train"),
        ("chexpert", "-1.0", "-2.0", "Pneumonia '-2.0'; expected 1, 0, -1 or blank"),
        ("chexpert", "Pneumonia", "Pneumonias", "no column 'Pneumonia'; the nearest is 'Pneumonias'"),
        ("negbio", "\n", "\n1,50000001,,,,,,,,,,,,,,\n", "study 50000001 is listed twice"),
    ],
)
def test_a_table_that_departs_from_its_layout_is_refused_in_one_line(
    mimic: str, tmp_path: Path, table: str, old: str, new: str, message: str
) -> None:
    path = tmp_path / "jpg" / f"mimic-cxr-2.0.0-{table}.csv.gz"
    edit(path, old, new)
    with pytest.raises(DatasetError, match=message) as caught:
        load_studies(mimic)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [lambda b: b[: len(b) // 2], lambda b: b"PK" + b[2:]])
def test_a_damaged_table_is_named(mimic: str, tmp_path: Path, cut: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "jpg" / "mimic-cxr-2.0.0-metadata.csv.gz"
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(
        DatasetError, match=r"metadata.csv.gz: the archive is damaged or cut off.*download it again"
    ):
        load_studies(mimic)


def test_wrong_roots_and_options_say_what_was_expected(mimic: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder; give the folder that holds files/p10"):
        open_source(f"mimic_cxr:{tmp_path / 'nowhere'}")
    with pytest.raises(DatasetError, match=r"holds no mimic-cxr-2.0.0-metadata.csv.gz and no cxr-record-list"):
        open_source(f"mimic_cxr:{tmp_path}")
    with pytest.raises(DatasetError, match="give the folder or zip archive"):
        open_source(f"mimic_cxr:{tmp_path / 'jpg'},reports={tmp_path / 'nowhere'}")
    with pytest.raises(UnknownNameError, match="unknown subset of mimic_cxr 'finding'; did you mean 'findings'"):
        open_source(f"{mimic},subset=finding")
    with pytest.raises(UnknownNameError, match="did you mean 'validation'"):
        MimicCxr(MimicRoots(tmp_path / "jpg")).studies("validate")
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"bad.zip: is not a whole zip archive"):
        open_source(f"mimic_cxr:{tmp_path / 'jpg'},reports={tmp_path / 'bad.zip'}")


def test_a_folder_without_the_split_table_has_no_splits(mimic: str, tmp_path: Path) -> None:
    (tmp_path / "jpg" / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    assert open_source(mimic).splits == ()
    with pytest.raises(RequestError, match="has no splits"):
        load_studies(f"{mimic}/train")
    write_split(tmp_path / "jpg")
    assert len(load_studies(f"{mimic}/train")) == 3
