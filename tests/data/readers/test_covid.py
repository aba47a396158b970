from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from mini_covid import COLUMNS, ROWS, write_covid, write_masks
from published_files import write_table

from contrastcxr.api import open_source
from contrastcxr.data.readers.covid import Covid, lungs_of
from contrastcxr.errors import DatasetError

IMAGE = "images/a.jpeg"


def test_a_frontal_and_a_lateral_of_one_day_are_one_study(tmp_path: Path) -> None:
    first, later, normal, unknown = Covid(write_covid(tmp_path)).studies()
    assert [view.position for view in first.views] == ["PA", "LATERAL"]
    assert (first.study_id, first.patient_id, first.age, first.sex) == ("a", "2", 65, "M")
    assert (first.acquired, later.acquired, unknown.acquired) == (date(2020, 1, 22), None, date(2020, 3, 9))
    assert (first.prior, later.prior, later.views[0].position) == (None, "a", "AP")
    assert (normal.views[0].position, unknown.views[0].position) == ("PA", "unknown")


def test_findings_name_every_level_in_old_and_new_words(tmp_path: Path) -> None:
    first, later, normal, unknown = Covid(write_covid(tmp_path)).studies()
    assert first.readings[0].present() == {"Pneumonia", "Viral Pneumonia", "COVID-19"}
    assert later.readings[0].present() == first.readings[0].present() | {"Acute Respiratory Distress Syndrome"}
    assert normal.readings[0].present() == {"No Finding"}
    assert unknown.readings[0].present() == {"Pneumonia", "Bacterial Pneumonia"}


def test_licence_source_and_outcome_of_each_image_can_be_reached(tmp_path: Path) -> None:
    first, later, *_ = Covid(write_covid(tmp_path)).studies()
    images = first.readings[0].provenance["images"]
    assert [image["file"] for image in images] == ["a.jpeg", "a-lat.jpeg"]
    assert images[0]["license"] == "CC BY 4.0"
    assert (images[0]["survival"], images[0]["other_notes"]) == ("Y", "Credit A")
    assert later.readings[0].provenance["images"][0]["intubated"] == "Y"


def test_clinical_notes_are_a_reading_of_their_own_and_no_indication(tmp_path: Path) -> None:
    first, later, normal, _ = Covid(write_covid(tmp_path)).studies()
    notes = first.reading_by("covid notes")
    assert notes is not None
    assert notes.report.findings == "Infiltrate in the left lung. Fever."
    assert notes.report.sentences == ("Infiltrate in the left lung.", "Fever.")
    assert first.indication == ""
    assert later.reading_by("covid notes") is None
    assert normal.reading_by("covid notes") is None


def test_severity_scores_are_opacity_and_their_numbers_are_kept(tmp_path: Path) -> None:
    first, _, normal, _ = Covid(write_covid(tmp_path)).studies()
    scored, clear = first.reading_by("covid severity raters"), normal.reading_by("covid severity raters")
    assert scored is not None
    assert clear is not None
    assert (scored.findings[0].status, scored.findings[0].severity) == ("present", "severe")
    assert scored.provenance == {"geographic_mean": 6.7, "opacity_mean": 4.0}
    assert (clear.findings[0].status, clear.findings[0].severity) == ("absent", None)


def test_lung_boxes_are_in_pixels_of_the_file_and_null_boxes_mark_none(tmp_path: Path) -> None:
    first, later, *_ = Covid(write_covid(tmp_path)).studies()
    assert lungs_of(first) == {(0, "right"): (5, 10, 25, 40), (0, "left"): (35, 10, 55, 40)}
    assert lungs_of(later) == {}


def test_masks_come_at_the_size_that_is_asked_for(tmp_path: Path) -> None:
    masks = Covid(write_covid(tmp_path), masks=write_masks(tmp_path / "masks.zip")).masks
    assert masks is not None
    assert "a.jpeg" in masks
    assert "b.png" not in masks
    lungs = masks.mask("a.jpeg", size=(64, 48))
    assert lungs is not None
    assert (lungs.shape, lungs.dtype) == ((48, 64), np.bool_)
    assert lungs[:, :31].all()
    assert not lungs[:, 33:].any()
    assert masks.mask("b.png", size=(64, 48)) is None
    (tmp_path / "masks.zip").write_bytes(b"PK cut off")
    with pytest.raises(DatasetError, match="is no whole zip archive of masks"):
        len(Covid(tmp_path / "covid-chestxray-dataset", masks=tmp_path / "masks.zip").masks or ())


def test_what_is_left_out_is_counted_and_noted(tmp_path: Path) -> None:
    root = write_covid(tmp_path)
    (root / "images/zz.jpg").write_bytes(b"")
    held = Covid(root).inventory()
    assert held.images == 5
    assert (held.counts["left out: CT Axial"], held.counts["left out: image listed again"]) == (1, 1)
    assert (held.counts["with lung boxes"], held.counts["with severity scores"]) == (1, 2)
    assert {n: c for n, c in held.counts.items() if n.startswith("licence")} == {
        "licence CC BY 4.0": 2,
        "licence CC BY-NC-SA": 1,
        "licence not stated": 1,
        "licence CC BY": 1,
    }
    assert held.notes == (
        "row 8 lists a.jpeg of row 2 again, as patient 9; the first row stays",
        "1 files in images/ that no row names, such as zz.jpg; they are not read",
        "1 rows name 'Novobacter', which is known only as what stands before it",
    )


def test_an_absent_picture_leaves_its_study_and_is_listed(tmp_path: Path) -> None:
    root = write_covid(tmp_path)
    (root / IMAGE).unlink()
    source = Covid(root)
    study = source.studies()[0]
    assert (source.missing, [view.position for view in study.views]) == ((str(root / IMAGE),), ["LATERAL"])
    whole = Covid(root, images="any").studies()[0]
    assert lungs_of(whole)[0, "left"] == (70, 20, 110, 80)
    assert (whole.views[0].width, whole.views[0].height) == (128, 96)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("PA,X-ray", "Oblique,X-ray", "row 2 .2.: view 'Oblique'; expected PA, AP, AP Supine"),
        ("Pneumonia/Viral/COVID-19", "Pnemonia", "'Pnemonia'; did you mean 'Pneumonia'"),
        ("Pneumonia/Viral/COVID-19", '"No Finding, COVID-19"', "No Finding stands alone"),
        ("a.jpeg", "", "no filename; expected the image's name"),
    ],
)
def test_a_wrong_row_is_refused_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        Covid(write_covid(tmp_path, ROWS[0].replace(old, new))).studies()


def test_a_wrong_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no metadata.csv"):
        Covid(tmp_path)
    write_table(tmp_path / "metadata.csv", COLUMNS.replace("finding", "findings"))
    with pytest.raises(DatasetError, match="no column 'finding'; the nearest is 'findings'"):
        Covid(tmp_path).studies()
    (tmp_path / "metadata.csv").write_bytes(f"{COLUMNS}\n{ROWS[0]}".replace("Minh", "M\xefnh").encode("latin-1"))
    with pytest.raises(DatasetError, match=r"metadata.csv line 2: is not UTF-8 text \(byte 0xef at 74\)"):
        Covid(tmp_path).studies()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON; expected the published lung boxes"),
        ("[]", "expected images, categories Right Lung and Left Lung, and annotations"),
        ('{"images": [], "categories": [], "annotations": null}', "is not the published list; expected images"),
        ('{"images": [{"id": 1}], "categories": [{}], "annotations": []}', "is not the published list; expected"),
        ('{"images": [[]], "categories": [], "annotations": []}', "is not the published list; expected images"),
        (
            json.dumps(
                {
                    "categories": [{"id": 1, "name": "Left Lung"}],
                    "images": [{"id": 1, "file_name": "a.jpeg", "width": 20, "height": 20}],
                    "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 1, 30, 5]}],
                }
            ),
            r"annotation 7 \(a.jpeg\): box \[1, 1, 30, 5\]; expected x, y, width, height inside 20×20",
        ),
    ],
)
def test_wrong_lung_boxes_are_refused(tmp_path: Path, content: str, message: str) -> None:
    root = write_covid(tmp_path)
    (root / "annotations/imageannotation_ai_lung_bounding_boxes.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        Covid(root).studies()


def test_a_score_beyond_its_scale_is_refused(tmp_path: Path) -> None:
    root = write_covid(tmp_path)
    write_table(
        root / "annotations/covid-severity-scores.csv", "filename,geographic_mean,opacity_mean", "a.jpeg,9,4"
    )
    with pytest.raises(DatasetError, match=r"row 2 \(a.jpeg\): scores 9 and 4; expected 0 to 8 and 0 to 6"):
        Covid(root).studies()


@pytest.mark.data
def test_the_real_sample_is_read_completely(shared_data: Path) -> None:
    source = open_source(f"covid:{shared_data / 'covid_chestxray'}")
    studies = source.studies()
    held = source.inventory()
    assert (held.images, source.missing, held.counts["left out: image listed again"]) == (281, (), 2)
    assert sum(len(study.views) for study in studies) == 281
    assert all(view.width and view.height for study in studies for view in study.views)
    assert sum(c for name, c in held.counts.items() if name.startswith("licence")) == 281
    assert all("license" in image for s in studies for image in s.readings[0].provenance["images"])
