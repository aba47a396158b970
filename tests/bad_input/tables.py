"""Manifests, annotation files, tables of data sets, files of readings and of reports."""

from __future__ import annotations

import json
from typing import Any

from iu_files import samples, write_r2gen
from mini_chexpert import write_chexpert
from mini_coco import box, coco, image

from bad_input.case import CHECK_MANIFEST, LABEL, READ, SOME_FAILED, WRONG_REQUEST, Case, Make
from bad_input.files import binary, changed, json_lines, nothing, picture, same, text
from contrastcxr.errors import listed
from contrastcxr.vocab.labels import CHEXPERT

GOOD = {"study_id": "s1", "image": "chest.png", "findings": "Clear lungs."}
BOX = {"finding": "Nodule", "xyxy": [8, 8, 80, 24]}
IN_1252 = "; it may be Windows-1252, where that is 'é': save it as UTF-8"
WHOLE = {"study_id": "s1", "views": [{"view_id": "v", "locator": "chest.png"}]}


def manifest(*rows: Any) -> Make:
    """A manifest of JSON lines beside a radiograph of 64×48 pixels."""
    return same("studies.jsonl", picture(), json_lines("studies.jsonl", *rows))


def table(*lines: str) -> Make:
    """A manifest of comma-separated values beside a radiograph."""
    return same("studies.csv", picture(), text("studies.csv", *lines))


def whole(**changes: Any) -> Make:
    """A manifest of one whole study."""
    return manifest({**WHOLE, **changes})


def boxed(box: dict[str, Any], *, name: str = "Nodule", **view: Any) -> dict[str, Any]:
    """A whole study with a reading that holds a box."""
    finding = {"name": name, "status": "present", "boxes": [box]}
    reading = {"study_id": "s1", "author": {"kind": "human", "name": "reader"}, "findings": [finding]}
    return {**WHOLE, "views": [{"view_id": "v", "locator": "chest.png", **view}], "readings": [reading]}


def marks(content: Any) -> Make:
    """A folder with a radiograph of 64×48 pixels, and a COCO file of boxes on it."""
    return same(".", picture(), text("marks.json", content if isinstance(content, str) else json.dumps(content)))


def refused(name: str, make: Make, says: str = "", command: str = CHECK_MANIFEST) -> Case:
    """A manifest that `data check` refuses."""
    return Case(name, make, command, SOME_FAILED, says)


MANIFESTS = (
    refused(
        "no manifest there",
        nothing("studies.jsonl"),
        "{bad}: cannot be read (No such file or directory); check the path and permissions",
    ),
    refused(
        "an empty manifest",
        binary("studies.jsonl", b""),
        "{bad}: holds no study; expected one a row; check that it was written whole",
    ),
    refused(
        "an empty manifest, read",
        binary("studies.jsonl", b""),
        "{bad}: holds no study; expected one a row; check that it was written whole",
        command=READ,
    ),
    refused(
        "an empty table",
        binary("studies.csv", b""),
        "{bad}: is empty; a header row was expected; export the table again",
    ),
    refused(
        "a table with a header alone",
        table("study_id,image"),
        "{bad}: holds no study; expected one a row; check that it was written whole",
    ),
    refused(
        "a manifest of no known kind",
        text("studies.yaml", "study_id: s1"),
        (
            "{bad}: expected a manifest that ends in .jsonl or .csv or .parquet or .json or .ndjson or .tsv; "
            "rename or convert it"
        ),
    ),
    refused(
        "a line that is not JSON",
        same("studies.jsonl", picture(), text("studies.jsonl", json.dumps(GOOD), "{study")),
        "{bad} line 2: is not JSON; expected one object a line; correct the line",
    ),
    refused(
        "a line that is a list",
        manifest([1, 2]),
        "{bad} line 1: is a JSON list; expected one object a line; correct it",
    ),
    refused(
        "JSON that is nested too deep",
        text("studies.jsonl", "[" * 100_000),
        "{bad} line 1: is not JSON; expected one object a line; correct the line",
    ),
    refused(
        "an unknown column",
        manifest({**GOOD, "fndings": "clear"}),
        "{bad} line 1: unknown column 'fndings'; did you mean 'findings'?",
    ),
    refused(
        "an unknown column of a table",
        table("study_id,image,pateint_id", "s1,chest.png,p"),
        "{bad} header: unknown column 'pateint_id'; did you mean 'patient_id'?",
    ),
    refused(
        "a column twice",
        table("study_id,image,image", "s1,chest.png,chest.png"),
        "{bad} header: column 'image' appears twice; remove one",
    ),
    refused(
        "more cells than columns",
        table("study_id,image", "s1,chest.png,again"),
        "{bad} row 2 (s1): 3 cells under 2 columns; quote cells that hold a comma",
    ),
    refused(
        "an id twice",
        manifest(GOOD, GOOD),
        "{bad} line 2: study_id 's1' is already in studies.jsonl line 1; ids must differ; rename one",
    ),
    refused(
        "no id",
        manifest({"image": "chest.png"}),
        "{bad} line 1: no study_id; every study needs an id of its own; add one",
    ),
    refused(
        "no image",
        manifest({"study_id": "s1"}),
        "{bad} line 1: no image; expected a path under 'image' or 'images'; add one",
    ),
    refused(
        "image and images",
        manifest({**GOOD, "images": ["chest.png"]}),
        "{bad} line 1: both 'image' and 'images'; expected one of them; remove the other",
    ),
    refused(
        "two positions of one image",
        manifest({**GOOD, "positions": ["PA", "AP"]}),
        "{bad} line 1: 2 positions of 1 images; give one for each image",
    ),
    refused(
        "a position that is none",
        manifest({**GOOD, "position": "PAA"}),
        (
            "{bad} line 1: views.0.position: Input should be 'PA', 'AP', 'LATERAL' or 'unknown', found "
            "'PAA'; correct it"
        ),
    ),
    refused(
        "an age of 400",
        manifest({**GOOD, "age": 400}),
        "{bad} line 1: age: Input should be less than or equal to 130, found '400'; correct it",
    ),
    refused(
        "a sex that is none",
        manifest({**GOOD, "sex": "X"}),
        "{bad} line 1: sex: Input should be 'F' or 'M', found 'X'; correct it",
    ),
    refused(
        "a date that is none",
        manifest({**GOOD, "acquired": "31.12.2024"}),
        (
            "{bad} line 1: acquired: Input should be a valid date or datetime, invalid character in year, "
            "found '31.12.2024'; correct it"
        ),
    ),
    refused(
        "a spacing of nothing",
        manifest({**GOOD, "spacing": 0}),
        (
            "{bad} line 1: spacing '0'; expected mm per pixel: of rows and columns, or one number for both; "
            "the same for every image, above 0; correct the cell"
        ),
    ),
    refused(
        "an unknown finding",
        manifest({**GOOD, "labels": ["Pneumothroax"]}),
        "{bad} line 1: unknown finding 'Pneumothroax'; did you mean 'Pneumothorax'?",
    ),
    refused(
        "a status outside the four",
        manifest({**GOOD, "labels": {"Edema": "maybe"}}),
        "{bad} line 1: status 'maybe' of Edema; expected one of present, absent, uncertain, unmentioned",
    ),
    refused(
        "a status outside the four, in a table",
        table("study_id,image,labels", "s1,chest.png,Edema=1"),
        "{bad} row 2: status '1' of Edema; expected one of present, absent, uncertain, unmentioned",
    ),
    refused(
        "an unknown word about a finding",
        manifest({**GOOD, "labels": {"Edema": {"status": "present", "lobe": "upper"}}}),
        ("{bad} line 1: 'lobe' of Edema; expected some of status, side, zone, severity, size_mm, probability"),
    ),
    refused(
        "a severity that is none",
        manifest({**GOOD, "labels": {"Edema": {"severity": "huge"}}}),
        (
            "{bad} line 1: readings.0.findings.0.severity: Input should be 'minimal', 'mild', 'moderate' or "
            "'severe', found 'huge'; correct it"
        ),
    ),
    refused(
        "a box outside its image",
        manifest({**GOOD, "boxes": [BOX]}),
        (
            "{bad} line 1: box [8.0, 8.0, 80.0, 24.0] of Nodule leaves its image of 64×48 pixels; expected "
            "[x1, y1, x2, y2] inside it; correct the box"
        ),
    ),
    refused(
        "a box of an unknown finding",
        manifest({**GOOD, "boxes": [{**BOX, "finding": "Nodul", "xyxy": [1, 1, 9, 9]}]}),
        "{bad} line 1: unknown finding 'Nodul'; did you mean 'Nodule'?",
    ),
    refused(
        "a box of an unknown finding in a reading",
        manifest(boxed({"xyxy": [1, 1, 9, 9]}, name="Nodul")),
        "{bad} line 1: a box of an unknown finding 'Nodul'; did you mean 'Nodule'?",
    ),
    refused(
        "a box that is no number",
        manifest(boxed({"xyxy": [1, 1, float("nan"), 9]})),
        "{bad} line 1: readings.0.findings.0.boxes.0.xyxy: box (1.0, 1.0, nan, 9.0); a box is [x1, y1, x2, y2] "
        "with 0 <= x1 < x2 and 0 <= y1 < y2; correct it",
    ),
    refused(
        "a box on an image of another size than its row says",
        manifest(boxed({"xyxy": [1, 1, 200, 200]}, width=640, height=480)),
        "{bad} line 1: a box on an image of 64×48 pixels whose row says 640×480; expected boxes in pixels of the "
        "image that is there; correct the size and the boxes, or the image",
    ),
    refused(
        "a box of no width",
        manifest({**GOOD, "boxes": [{**BOX, "xyxy": [8, 8, 8, 24]}]}),
        (
            "{bad} line 1: readings.0.findings.0.boxes.0.xyxy: box (8.0, 8.0, 8.0, 24.0); a box is [x1, y1, "
            "x2, y2] with 0 <= x1 < x2 and 0 <= y1 < y2; correct it"
        ),
    ),
    refused(
        "a box in an image that is not there",
        manifest({**GOOD, "boxes": [{**BOX, "xyxy": [1, 1, 9, 9], "view": 1}]}),
        "{bad} line 1: a box in view 1 of 1; views count from 0; correct it",
    ),
    refused(
        "boxes that are none",
        manifest({**GOOD, "boxes": "left lower zone"}),
        (
            '{bad} line 1: boxes; expected JSON list of {"finding", "xyxy", "view"}; xyxy in pixels of the '
            "image, view from 0; correct the cell"
        ),
    ),
    refused(
        "report and findings",
        manifest({**GOOD, "report": "Clear."}),
        "{bad} line 1: both 'report' and 'findings'; expected the whole report or sections",
    ),
    refused(
        "a reading without an author",
        manifest({**GOOD, "readings": [{"report": {"findings": "Clear."}}]}),
        (
            "{bad} line 1: readings; expected JSON list of what others said, each a whole reading with its "
            "author; correct the cell"
        ),
    ),
    refused(
        "a whole study without a view",
        whole(views=[]),
        "{bad} line 1: views: Tuple should have at least 1 item after validation, not 0; correct it",
    ),
    refused(
        "a whole study with an unknown field",
        whole(readings=[{"study_id": "s1", "author": "someone"}]),
        (
            "{bad} line 1: readings.0.author: Input should be a valid dictionary or instance of Author, "
            "found 'someone'; correct it"
        ),
    ),
    refused(
        "a status outside the four, in a whole study",
        whole(
            readings=[
                {
                    "study_id": "s1",
                    "author": {"kind": "human", "name": "a"},
                    "findings": [{"name": "Edema", "status": "1.0"}],
                }
            ]
        ),
        (
            "{bad} line 1: readings.0.findings.0.status: Input should be 'present', 'absent', 'uncertain' or "
            "'unmentioned', found '1.0'; correct it"
        ),
    ),
    refused(
        "bytes that are not UTF-8",
        same("studies.csv", picture(), binary("studies.csv", b"study_id,image\ns\xe9,chest.png\n")),
        "{bad} line 2: is not UTF-8 text (byte 0xe9 at 1)" + IN_1252,
    ),
    refused(
        "bytes that are not UTF-8, in JSON lines",
        binary("studies.jsonl", b'{"study_id": "s\xe9"}\n'),
        "{bad} line 1: is not UTF-8 text (byte 0xe9 at 15)" + IN_1252,
    ),
    refused(
        "a file that is no Parquet",
        binary("studies.parquet", b"PAR1 and no more"),
        "{bad}: is no whole Parquet file (ArrowInvalid); expected studies; write it again",
    ),
    refused(
        "an image that is not there",
        manifest(GOOD, {**GOOD, "study_id": "s2", "image": "gone.png"}),
        "{folder}/gone.png",
    ),
    refused(
        "no image there at all",
        manifest({**GOOD, "image": "gone.png"}),
        "{bad}: holds no study whose images are there; check the paths in it",
    ),
    refused(
        "an image that is not there, read",
        manifest({**GOOD, "image": "gone.png"}),
        "{bad}: the image {folder}/gone.png is not there; check the path in the manifest",
        command=READ,
    ),
    refused(
        "a line that is not JSON, read",
        text("studies.jsonl", "{study"),
        "{bad} line 1: is not JSON; expected one object a line; correct the line",
        command=READ,
    ),
    refused(
        "a boxed image that is no picture",
        same("studies.jsonl", text("chest.png", "none"), json_lines("studies.jsonl", {**GOOD, "boxes": [BOX]})),
        (
            "{bad} line 1: {folder}/chest.png: is not a PNG, JPEG or DICOM file, whatever its name says; "
            "convert it first"
        ),
    ),
)

CHECK_IU = "data check iu_xray:{bad}"


def annotation(value: Any) -> Make:
    """A miniature of R2Gen's IU X-ray folder whose annotation is this."""

    def make(folder: Any) -> Any:
        write_r2gen(folder)
        (folder / "annotation.json").write_text(value if isinstance(value, str) else json.dumps(value))
        return folder

    return make


def sampled(**changes: Any) -> Make:
    """The same with one training sample changed; None takes a key away."""
    held = samples()
    first = {**held["train"][0], **changes}
    return annotation({**held, "train": [{k: v for k, v in first.items() if v is not None}]})


ANNOTATIONS = (
    refused(
        "an annotation cut off",
        annotation('{"train": [{"id": "CXR1'),
        (
            "{bad}/annotation.json line 1: is not JSON (Unterminated string starting at); the file may be "
            "cut off; download it again"
        ),
        command=CHECK_IU,
    ),
    refused(
        "an annotation that is a number",
        annotation(7),
        (
            "{bad}/annotation.json: expected an object with the lists train, val, test, found a number; "
            "check the file"
        ),
        command=CHECK_IU,
    ),
    refused(
        "an annotation of one report",
        annotation({"id": "CXR1", "report": "Clear."}),
        (
            "{bad}/annotation.json: expected an object with the lists train, val, test, found an object; "
            "check the file"
        ),
        command=CHECK_IU,
    ),
    refused(
        "an annotation without a sample",
        annotation({"train": [], "val": [], "test": []}),
        "{bad}/annotation.json: holds no sample; expected lists train, val, test; download the file again",
        command=CHECK_IU,
    ),
    refused(
        "an annotation with a list of another name",
        annotation({**samples(), "holdout": []}),
        "{bad}/annotation.json: list 'holdout'; expected train, val, test; rename or remove it",
        command=CHECK_IU,
    ),
    refused(
        "an annotation with a split that is text",
        annotation({**samples(), "val": "none"}),
        "{bad}/annotation.json: 'val' is text; expected a list of samples; check the file",
        command=CHECK_IU,
    ),
    refused(
        "an annotation that is a list without splits",
        annotation([{"id": "CXR1", "report": "Clear."}]),
        (
            "{bad}/annotation.json sample 1: split null; expected train, val, test; a list without splits is "
            "not an annotation file"
        ),
        command=CHECK_IU,
    ),
    refused(
        "a sample without an id",
        sampled(id=None),
        "{bad}/annotation.json train sample 1: id is nothing; expected text; correct the sample",
        command=CHECK_IU,
    ),
    refused(
        "a sample without a report",
        sampled(report=None),
        (
            "{bad}/annotation.json train sample 1 (CXR1_1_IM-0001): report is nothing; expected text; "
            "correct the sample"
        ),
        command=CHECK_IU,
    ),
    refused(
        "a sample without images",
        sampled(image_path=[]),
        (
            "{bad}/annotation.json train sample 1 (CXR1_1_IM-0001): image_path is an empty list; expected a "
            "list with at least one path; correct the sample"
        ),
        command=CHECK_IU,
    ),
    refused(
        "a sample of another split than its list",
        sampled(split="test"),
        (
            "{bad}/annotation.json train sample 1 (CXR1_1_IM-0001): split 'test' inside the list for train; "
            "expected the same; correct the sample"
        ),
        command=CHECK_IU,
    ),
    refused(
        "an id in two lists",
        sampled(id="CXR2_IM-0652"),
        (
            "{bad}/annotation.json test sample 1 (CXR2_IM-0652): the id is already in train sample 1; ids "
            "must differ; keep one"
        ),
        command=CHECK_IU,
    ),
    refused(
        "an annotation that is nested too deep",
        annotation("[" * 100_000),
        "{bad}/annotation.json: is nested too deep; expected lists train, val, test; check the file",
        command=CHECK_IU,
    ),
    refused(
        "no IU X-ray in the folder",
        same(".", text("notes.txt", "none")),
        (
            "{bad}: holds no XML reports (ecgen-radiology/), no indiana_reports.csv and no annotation.json; "
            "give the folder with one of these"
        ),
        command=CHECK_IU,
    ),
)


def chexpert(edit: tuple[bytes, bytes]) -> Make:
    """A miniature of CheXpert whose training table is edited."""

    def make(folder: Any) -> Any:
        root = write_chexpert(folder)
        changed(lambda _: root / "train.csv", lambda data: data.replace(*edit, 1))(folder)
        return root

    return make


DATA_SETS = (
    refused(
        "a CheXpert label outside its four",
        chexpert((b",1.0,", b",2.0,")),
        (
            "{bad}/train.csv row 3 (CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg): other "
            "labels than row 2 of the same study; labels are a study's; correct one"
        ),
        command="data check chexpert:{bad}",
    ),
    refused(
        "a CheXpert column of another name",
        chexpert((b"Edema", b"Oedema")),
        "{bad}/train.csv header: no column 'Edema'; the nearest is 'Oedema'; export the table again",
        command="data check chexpert:{bad}",
    ),
    refused(
        "a folder without NIH's tables",
        same(".", picture()),
        ("{bad}: holds no Data_Entry_2017_v2020.csv or Data_Entry_2017.csv; download it from the data set's page"),
        command="data check nih14:{bad}",
    ),
    refused(
        "a folder without MIMIC's tables",
        same(".", picture()),
        (
            "{bad}: holds no mimic-cxr-2.0.0-metadata.csv.gz and no cxr-record-list.csv.gz; put one there, "
            "or name its folder with tables=/path"
        ),
        command="data check mimic_cxr:{bad}",
    ),
)

STUDIES = (picture(), json_lines("studies.jsonl", GOOD, {**GOOD, "study_id": "s2"}))
EVALUATE = (
    "evaluate --readings {bad} --data manifest:{folder}/studies.jsonl --split all --no-baselines --out {out}"
)
SAID = {"study_id": "s1", "text": "Clear lungs."}


def readings(*documents: Any) -> Make:
    """A file of readings beside a manifest of the studies s1 and s2."""
    return same("readings.jsonl", *STUDIES, json_lines("readings.jsonl", *documents))


def readings_text(*lines: str) -> Make:
    """The same from lines as they are."""
    return same("readings.jsonl", *STUDIES, text("readings.jsonl", *lines))


READINGS = (
    Case(
        "no readings there",
        same("absent.jsonl", *STUDIES),
        EVALUATE,
        WRONG_REQUEST,
        "{bad}: cannot be read (No such file or directory); check the path and permissions",
    ),
    Case(
        "an empty file of readings",
        readings(),
        EVALUATE,
        WRONG_REQUEST,
        "{bad}: no readings; expected one JSON document a line, or a table, with study_id and text",
    ),
    Case(
        "readings that are not UTF-8",
        same("r.jsonl", *STUDIES, binary("r.jsonl", b'{"study_id": "\xe9"}')),
        EVALUATE,
        SOME_FAILED,
        "{bad} line 1: is not UTF-8 text (byte 0xe9 at 14)" + IN_1252,
    ),
    Case(
        "a reading that is not JSON",
        readings_text(json.dumps(SAID), "s2 clear"),
        EVALUATE,
        SOME_FAILED,
        "{bad} line 2: is not JSON; expected one object a line; correct the line",
    ),
    Case(
        "a reading nested too deep",
        readings_text("[" * 100_000),
        EVALUATE,
        SOME_FAILED,
        "{bad} line 1: is not JSON; expected one object a line; correct the line",
    ),
    Case(
        "a reading without text",
        readings({"study_id": "s1"}),
        EVALUATE,
        SOME_FAILED,
        '{bad} line 1: expected {"study_id": …, "text": …} or a reading of schema contrastcxr.reading/1',
    ),
    Case(
        "a reading of another schema",
        readings({"schema": "contrastcxr.reading/9", "study_id": "s1"}),
        EVALUATE,
        SOME_FAILED,
        (
            "{bad} line 1: schema: Input should be 'contrastcxr.reading/1', found 'contrastcxr.reading/9'; "
            "expected a reading of schema contrastcxr.reading/1"
        ),
    ),
    Case(
        "a reading with a status outside the four",
        readings(
            {
                "schema": "contrastcxr.reading/1",
                "study_id": "s1",
                "author": {"kind": "model", "name": "m"},
                "findings": [{"name": "Edema", "status": "maybe"}],
            }
        ),
        EVALUATE,
        SOME_FAILED,
        (
            "{bad} line 1: findings.0.status: Input should be 'present', 'absent', 'uncertain' or "
            "'unmentioned', found 'maybe'; expected a reading of schema contrastcxr.reading/1"
        ),
    ),
    Case(
        "readings of other studies",
        readings({**SAID, "study_id": "s7"}, {**SAID, "study_id": "s8"}),
        EVALUATE,
        WRONG_REQUEST,
        (
            "2 of 2 readings are of studies that are not in the data: s7, s8; the data have ids such as s1, s2; "
            "give one reading for each study of the split"
        ),
    ),
    Case(
        "readings of some studies",
        readings(SAID),
        EVALUATE,
        WRONG_REQUEST,
        "1 of 2 studies have no reading: s2; read them too, or score the others with --allow-partial",
    ),
    Case(
        "two readings of one study",
        readings(SAID, SAID, {**SAID, "study_id": "s2"}),
        EVALUATE,
        WRONG_REQUEST,
        "1 study has more than one reading: s1; give one reading for each study of the split",
    ),
    Case(
        "a reading of an unknown finding",
        readings(
            {
                "schema": "contrastcxr.reading/1",
                "study_id": "s1",
                "author": {"kind": "model", "name": "m"},
                "findings": [{"name": "Edma", "status": "present"}],
            }
        ),
        EVALUATE,
        SOME_FAILED,
        "{bad} line 1: unknown finding 'Edma'; did you mean 'Edema'?",
    ),
    Case(
        "empty readings",
        readings({**SAID, "text": ""}, {**SAID, "study_id": "s2", "text": " "}),
        EVALUATE,
        WRONG_REQUEST,
        "{bad}: the text of every reading is empty; expected reports; check how it was written",
    ),
)

REPORTS = (
    Case(
        "no report there",
        nothing("report.txt"),
        LABEL,
        SOME_FAILED,
        "{bad}: cannot be read (No such file or directory); check the path and permissions",
    ),
    Case(
        "an empty report",
        binary("report.txt", b""),
        LABEL,
        SOME_FAILED,
        "{bad}: the report of study 'report' is empty; nothing to label",
    ),
    Case(
        "a report that is not UTF-8",
        binary("report.txt", b"Caf\xe9"),
        LABEL,
        SOME_FAILED,
        "{bad}: is not UTF-8 text (byte 0xe9 at 3)" + IN_1252,
    ),
    Case(
        "a report that is not JSON",
        text("reports.jsonl", "clear"),
        LABEL,
        SOME_FAILED,
        "{bad} line 1: is not JSON; expected one object a line; correct the line",
    ),
    Case(
        "a report without text",
        json_lines("reports.jsonl", {"study_id": "s1"}),
        LABEL,
        SOME_FAILED,
        "{bad} line 1: lacks text (found study_id); expected study_id and text",
    ),
    Case(
        "a report of text that is a number",
        json_lines("reports.jsonl", {"study_id": "s1", "text": 5}),
        LABEL,
        SOME_FAILED,
        "{bad} line 1: text is 5; expected a text; correct it",
    ),
    Case(
        "a report twice",
        json_lines("reports.jsonl", SAID, SAID),
        LABEL,
        SOME_FAILED,
        "{bad} line 2: study 's1' comes a second time; the first report counts",
    ),
    Case(
        "reports under other columns",
        text("reports.csv", "id,report", "s1,Clear."),
        LABEL,
        SOME_FAILED,
        (
            "{bad}: has no column study_id and no text (found id, report); rename them, or say --id-column and "
            "--text-column"
        ),
    ),
    Case(
        "an unknown finding column",
        text("reports.csv", "study_id,text,Edma", "s1,Edema.,1"),
        LABEL + " --check",
        SOME_FAILED,
        "{bad}: column 'Edma' is no finding; did you mean 'Edema'?",
    ),
    Case(
        "no finding column",
        text("reports.csv", "study_id,text", "s1,Edema."),
        LABEL + " --check",
        SOME_FAILED,
        "{bad}: has no column of a finding to check with; known: " + listed(CHEXPERT),
    ),
    Case(
        "a label outside the four states",
        text("reports.csv", "study_id,text,Edema", "s1,Edema.,2"),
        LABEL + " --check",
        SOME_FAILED,
        ("{bad} row 2: Edema is '2'; expected present, absent, uncertain or unmentioned (1, 0, -1 or blank)"),
    ),
    Case(
        "an unknown form of reports",
        text("reports.csv", "id,report"),
        LABEL + " --input-format yaml",
        WRONG_REQUEST,
        "unknown input format 'yaml'; expected one of jsonl, csv, text",
    ),
    Case(
        "an unknown labeler",
        text("report.txt", "Clear."),
        LABEL + " --labeler chexpert",
        WRONG_REQUEST,
        "unknown labeler 'chexpert'; known: rules, chexbert",
    ),
)

BOX_FILES = (
    refused(
        "a COCO file cut off",
        marks('{"images": ['),
        (
            "{bad}/marks.json: is not JSON; expected an object with the lists images, annotations and categories; "
            "download it again"
        ),
        command="data check {bad},coco={bad}/marks.json",
    ),
    refused(
        "a COCO file of results",
        marks([box(1, 1, [1, 2, 3, 4], score=0.5)]),
        (
            "{bad}/marks.json: holds a list; expected an object with the lists images, annotations and categories "
            "(COCO's results are a list, and name no picture); give a file of annotations"
        ),
        command="data check {bad},coco={bad}/marks.json",
    ),
    refused(
        "a COCO file with a misspelt category",
        marks(coco([image(1, "chest.png")], [box(1, 7, [1, 2, 3, 4])], [{"id": 7, "name": "Pneumothroax"}])),
        (
            "{bad}/marks.json categories entry 1: unknown finding 'Pneumothroax'; did you mean 'Pneumothorax'?; "
            "annotations entry 1 has a box of it; rename the category, or leave it out with its boxes"
        ),
        command="data check {bad},coco={bad}/marks.json",
    ),
    refused(
        "a COCO box that leaves its picture",
        marks(coco([image(1, "chest.png")], [box(1, 1, [60, 2, 30, 4])])),
        (
            "{bad}/marks.json annotations entry 1 (chest.png): bbox [60, 2, 30, 4]; expected [x, y, width, "
            "height] inside the picture of 64×48 pixels; correct the box, or the size of the picture"
        ),
        command="data check {bad},coco={bad}/marks.json",
    ),
)

TABLES = (*MANIFESTS, *ANNOTATIONS, *DATA_SETS, *BOX_FILES, *READINGS, *REPORTS)
