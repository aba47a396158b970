"""A miniature of the RSNA challenge, stage 2: three labelled DICOM files of two NIH patients, one unlabelled."""

from __future__ import annotations

import json
from pathlib import Path

from published_files import write_table
from radiograph_files import radiograph, ramp

LABELS = ("a1,,,,,0", "a2,264.0,152.0,213.0,379.0,1", "a2,562,152,256,453,1", "a3,,,,,0")
CLASSES = (
    "a1,No Lung Opacity / Not Normal",
    "a2,Lung Opacity",
    "a2,Lung Opacity",
    "a3,Normal",
)
MAPPING = (
    {"subset_img_id": "a1", "img_id": "00000007_000.png", "orig_labels": ["Effusion", "Mass"]},
    {"subset_img_id": "a2", "img_id": "00000007_001.png", "orig_labels": ["Pneumonia"]},
    {"subset_img_id": "a3", "img_id": "00000008_000.png", "orig_labels": ["No Finding"]},
)
HEADER = "patientId,x,y,width,height,Target"


def write_rsna(folder: Path) -> Path:
    """Write the layout of Kaggle with the published match, and return its folder."""
    root = folder / "rsna"
    for name, position in (("train/a1", "PA"), ("train/a2", "AP"), ("train/a3", "PA"), ("test/b1", "AP")):
        split, image = name.split("/")
        path = root / f"stage_2_{split}_images" / f"{image}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = radiograph(ramp(1024, 1024, top=4095), 12)
        picture.ViewPosition = position
        picture.save_as(path, enforce_file_format=True)
    write_table(root / "stage_2_train_labels.csv", HEADER, *LABELS)
    write_table(root / "stage_2_detailed_class_info.csv", "patientId,class", *CLASSES)
    write_table(root / "stage_2_sample_submission.csv", "patientId,PredictionString", "b1,0.5 0 0 100 100")
    (root / "pneumonia-challenge-dataset-mappings_2018.json").write_text(json.dumps(MAPPING))
    return root
