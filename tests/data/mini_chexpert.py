"""A miniature of CheXpert-v1.0-small: three training studies of two patients, one validation, one test study."""

from __future__ import annotations

from pathlib import Path

from published_files import save_picture, write_table

from contrastcxr.vocab.labels import CHEXPERT

HEADER = ",".join(("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT))


def labels(**values: str) -> str:
    """The fourteen label cells, empty but for those named (blanks of names as underscores)."""
    cells = {name.replace("_", " "): value for name, value in values.items()}
    return ",".join(cells.get(name, "") for name in CHEXPERT)


SICK = labels(Cardiomegaly="1.0", Edema="-1.0", Pneumothorax="0.0")
HEALTHY = labels(No_Finding="1.0")
TRAIN = (
    f"CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,{SICK}",
    f"CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg,Female,68,Lateral,,{SICK}",
    f"CheXpert-v1.0-small/train/patient00001/study2/view1_frontal.jpg,Female,69,Frontal,PA,{HEALTHY}",
    f"CheXpert-v1.0-small/train/patient00002/study1/view1_frontal.jpg,Unknown,0,Frontal,LL,{labels()}",
)
CERTAIN = ",".join("1.0" if name == "Edema" else "0.0" for name in CHEXPERT)
VALID = (f"CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,{CERTAIN}",)
TEST_HEADER = ",".join(("Path", *CHEXPERT))
TEST = (f"test/patient64741/study1/view1_frontal.jpg,{CERTAIN}",)


def write_chexpert(folder: Path) -> Path:
    """Write the small release and return its folder."""
    root = folder / "CheXpert-v1.0-small"
    for rows in (TRAIN, VALID, TEST):
        for row in rows:
            save_picture(root / row.split(",")[0].removeprefix("CheXpert-v1.0-small/"))
    write_table(root / "train.csv", HEADER, *TRAIN)
    write_table(root / "valid.csv", HEADER, *VALID)
    write_table(root / "test_labels.csv", TEST_HEADER, *TEST)
    return root
