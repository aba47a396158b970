"""A miniature MIMIC-CXR in its published layout: tables, images and texts, all made up."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from radiograph_files import ramp

LABELS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)

# subject, study, dicom, view position, code meaning, date, time, split
ROWS = (
    ("10000032", "50000001", "aaaa1111", "PA", "postero-anterior", "21800506", "213014.531", "train"),
    ("10000032", "50000001", "aaaa2222", "LATERAL", "lateral", "21800506", "213014.531", "train"),
    ("10000032", "50000002", "bbbb1111", "", "antero-posterior", "21800626", "90500", "train"),
    ("10000032", "50000003", "cccc1111", "AP", "antero-posterior", "21800626", "165500.312", "train"),
    ("11000011", "50000004", "dddd1111", "LL", "", "21900101", "1", "validate"),
    ("12000012", "50000005", "eeee1111", "", "", "", "", "test"),
)

TEXTS = {
    "50000001": """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with cough  // r/o pneumonia

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  None.

 FINDINGS:

 There is no focal consolidation. Small left pleural effusion.  The heart is
 normal.

 IMPRESSION:

 Small left pleural effusion.
""",
    "50000002": """                                 FINAL REPORT
 HISTORY:  Fall.

 IMPRESSION:  No acute cardiopulmonary process.
""",
    "50000003": """                                 FINAL REPORT
 CHEST RADIOGRAPH PERFORMED ON ___

 COMPARISON:  Prior exam from ___.

 CLINICAL HISTORY:  Dyspnea.

 FINDINGS:  The lungs are clear.  There is no effusion or pneumothorax.
""",
    "50000004": """                                 FINAL REPORT
 AP CHEST, 5:03 A.M., ___

 HISTORY:  Sepsis.

 IMPRESSION:  AP chest compared to ___:

 Mild pulmonary edema has worsened.
""",
    "50000005": """                                 FINAL REPORT
 FINDINGS:  Moderate cardiomegaly.
""",
}

CHEXPERT = (
    ("10000032", "50000001", ",,0.0,,,,,,,1.0,,-1.0,,"),
    ("10000032", "50000002", ",,,,,,,,1.0,,,,,"),
    ("11000011", "50000004", ",,,1.0,,,,,,,,,,"),
)


def write_mimic(root: Path, *, suffix: str = ".jpg", texts: Path | None = None) -> Path:
    """Write tables and images below `root`, texts below `texts` (else `root` too), and return the root."""
    for subject, study, dicom, *_ in ROWS:
        path = folder(root, subject, study) / f"{dicom}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".jpg":
            Image.fromarray(ramp().astype("uint8")).save(path)
        else:
            path.write_bytes(b"DICOM")
        text = folder(texts or root, subject, study).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(TEXTS[study])
    if suffix == ".jpg":
        write_gz(root / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA, [metadata_row(*row[:7]) for row in ROWS])
        write_split(root)
        write_labels(root)
    else:
        paths = [f"{s},{t},{d},files/p{s[:2]}/p{s}/s{t}/{d}.dcm" for s, t, d, *_ in ROWS]
        write_gz(root / "cxr-record-list.csv.gz", "subject_id,study_id,dicom_id,path", paths)
        studies = sorted({f"{s},{t},files/p{s[:2]}/p{s}/s{t}.txt" for s, t, *_ in ROWS})
        write_gz(root / "cxr-study-list.csv.gz", "subject_id,study_id,path", studies)
    return root


def write_split(root: Path) -> None:
    """Write the table of the official split."""
    lines = [f"{d},{t},{s},{split}" for s, t, d, *_, split in ROWS]
    write_gz(root / "mimic-cxr-2.0.0-split.csv.gz", "dicom_id,study_id,subject_id,split", lines)


def write_labels(root: Path) -> None:
    """Write the tables of both labelers; NegBio's knows the first study alone."""
    lines = [",".join(row) for row in CHEXPERT]
    write_gz(root / "mimic-cxr-2.0.0-chexpert.csv.gz", f"subject_id,study_id,{LABELS}", lines)
    write_gz(root / "mimic-cxr-2.0.0-negbio.csv.gz", f"subject_id,study_id,{LABELS}", lines[:1])


def metadata_row(subject: str, study: str, dicom: str, view: str, meaning: str, day: str, clock: str) -> str:
    """One row of the metadata."""
    return f"{dicom},{subject},{study},CHEST (PA AND LAT),{view},3056,2544,{day},{clock},CHEST,{meaning},Erect"


def folder(root: Path, subject: str, study: str) -> Path:
    """Where the images of a study lie."""
    return root / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}"


def write_gz(path: Path, header: str, lines: Sequence[str]) -> None:
    """Write a gzipped table."""
    path.write_bytes(gzip.compress("\n".join([header, *lines, ""]).encode()))
