"""A miniature of NIH ChestX-ray14 in its published layout, RSNA's boxes too: six images of four patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from radiograph_files import ramp

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


def write_nih(folder: Path) -> Path:
    """Write images of 64×64 in `images_001/images` and `images_002/images`, and the tables; return the folder."""
    rows = [
        ("00000001_000.png", "Cardiomegaly|Emphysema", 1, "57", "M", "PA"),
        ("00000001_001.png", "No Finding", 1, "058Y", "M", "AP"),
        ("00000002_000.png", "No Finding", 2, "33", "F", "PA"),
        ("00000003_000.png", "Effusion|Pleural_Thickening", 3, "414", "F", "PA"),
        ("00000004_000.png", "Pneumonia", 4, "20", "F", "AP"),
        ("00000004_001.png", "No Finding", 4, "20", "F", "AP"),
    ]
    for i, row in enumerate(rows):
        images = folder / f"images_00{1 + i % 2}" / "images"
        images.mkdir(parents=True, exist_ok=True)
        picture = np.roll(ramp(64, 64).astype(np.uint8), i, axis=0)
        Image.fromarray(picture).save(images / row[0])
    lines = [f"{n},{labels},0,{p},{age},{sex},{view},2048,2048,0.1,0.2" for n, labels, p, age, sex, view in rows]
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    names = [row[0] for row in rows]
    (folder / "train_val_list.txt").write_text("\n".join(names[:4]))
    (folder / "test_list.txt").write_text("\n".join(names[4:]) + "\n")
    (folder / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
        "00000004_000.png,Pneumonia,512,256,256,512,,,\n"
        "00000004_000.png,Infiltrate,0,0,1024.5,100,,,\n"
        "00000004_000.png,Pneumonia,0,0,64,64,,,\n"
        "00000099_000.png,Mass,0,0,64,64,,,\n"
    )
    (folder / "rsna_pneumonia.csv").write_text(
        "Image Index,rsna_class,x,y,w,h\n"
        "00000002_000.png,No Lung Opacity / Not Normal,,,,\n"
        "00000001_001.png,Normal,,,,\n"
        "00000004_000.png,Lung Opacity,100,200,300,400\n"
        "00000004_000.png,Lung Opacity,500,200,300,400\n"
    )
    return folder
