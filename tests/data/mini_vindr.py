"""A miniature of VinDr-CXR as PhysioNet publishes it: two training images, one test image, as DICOM files."""

from __future__ import annotations

from pathlib import Path

from published_files import write_table
from radiograph_files import radiograph, ramp

BOX_HEADER = "image_id,rad_id,class_name,x_min,y_min,x_max,y_max"
LOCAL = ("Aortic enlargement", "Cardiomegaly", "Clavicle fracture", "Nodule/Mass", "Rib fracture")
LABEL_HEADER = ",".join(("image_id", "rad_id", *LOCAL, "COPD", "Other diseases", "No finding"))
TEST_LABEL_HEADER = ",".join(("image_id", *LOCAL, "COPD", "Other disease", "No finding"))
BOXES = (
    "aaa,R10,Cardiomegaly,4.0,8.5,40,30",
    "aaa,R9,Cardiomegaly,5,9,41,31",
    "aaa,R9,Nodule/Mass,1,1,6,6",
    "aaa,R9,Nodule/Mass,10,10,16,16",
    "aaa,R9,Rib fracture,20,2,30,8",
    "aaa,R8,No finding,,,,",
    "bbb,R1,No finding,,,,",
    "bbb,R2,No finding,,,,",
    "bbb,R3,No finding,,,,",
)
LABELS = (
    "aaa,R10,0,1,0,0,0,0,0,0",
    "aaa,R9,0,1,0,1,1,0,0,0",
    "aaa,R8,0,0,0,0,0,0,0,1",
    "bbb,R1,0,0,0,0,0,0,0,1",
    "bbb,R2,0,0,0,0,0,1,0,1.0",
    "bbb,R3,0,0,0,0,0,0,0,1",
)


def write_vindr(folder: Path) -> Path:
    """Write the PhysioNet layout and return its folder."""
    root = folder / "vindr"
    for name in ("train/aaa", "train/bbb", "test/ccc"):
        path = root / f"{name}.dicom"
        path.parent.mkdir(parents=True, exist_ok=True)
        radiograph(ramp(top=4095), 12).save_as(path, enforce_file_format=True)
    write_table(root / "annotations/annotations_train.csv", BOX_HEADER, *BOXES)
    write_table(root / "annotations/image_labels_train.csv", LABEL_HEADER, *LABELS)
    write_table(
        root / "annotations/annotations_test.csv",
        "image_id,class_name,x_min,y_min,x_max,y_max",
        "ccc,Aortic enlargement,2,3,20,30",
    )
    write_table(root / "annotations/image_labels_test.csv", TEST_LABEL_HEADER, "ccc,1,0,0,0,0,0,0,0")
    return root
