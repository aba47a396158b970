"""A miniature of the COVID-19 image collection's repository, annotations included."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from published_files import save_picture, write_table

COLUMNS = (
    "patientid,offset,sex,age,finding,survival,intubated,view,modality,date,location,folder,filename,doi,url,license,"
    "clinical_notes,other_notes,"
)
ROWS = (
    '2,0,M,65,Pneumonia/Viral/COVID-19,Y,N,PA,X-ray,"January 22, 2020",Ho Chi Minh City,images,a.jpeg,10.1/x,'
    'https://example.org/1,CC BY 4.0,"Infiltrate in the left lung. Fever.",Credit A,',
    '2,0,M,65,Pneumonia/Viral/COVID-19,Y,N,L,X-ray,"January 22, 2020",Ho Chi Minh City,images,a-lat.jpeg,10.1/x,'
    'https://example.org/1,CC BY 4.0,"Infiltrate in the left lung. Fever.",Credit A,',
    '2,5,M,65,"COVID-19, ARDS",Y,Y,AP Supine,X-ray,2020,,images,b.png,,https://example.org/1,CC BY-NC-SA,,,',
    "3,?,F,,No Finding,?,,PA,X-ray,,,images,c.jpg,,https://example.org/2,,?,,",
    "3,,F,,Pneumonia/Bacterial/Novobacter,,,?,X-ray,03/09/20,,images,d.jpg,,,CC BY,,,",
    "4,1,F,30,todo,,,Axial,CT,2020,,volumes,e.nii.gz,,,CC BY,,,",
    "9,0,M,65,Pneumonia/Viral/COVID-19,Y,N,PA,X-ray,2020,,images,a.jpeg,,,CC BY 4.0,,,",
)
PICTURES = {"a.jpeg": (64, 48), "a-lat.jpeg": (64, 48), "b.png": (60, 40), "c.jpg": (48, 48), "d.jpg": (48, 48)}
LUNGS = {
    "categories": [{"id": 1, "name": "Right Lung"}, {"id": 2, "name": "Left Lung"}],
    "images": [
        {"id": 1, "file_name": "a.jpeg", "width": 128, "height": 96},
        {"id": 2, "file_name": "a-lat.jpeg", "width": 128, "height": 96},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 40, 60]},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [70, 20, 40, 60]},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [None, None, None, None]},
    ],
}


def write_covid(folder: Path, *rows: str) -> Path:
    """Write the repository with these rows, or all, and return its folder."""
    root = folder / "covid-chestxray-dataset"
    for name, (width, height) in PICTURES.items():
        save_picture(root / "images" / name, height=height, width=width)
    write_table(root / "metadata.csv", COLUMNS, *(rows or ROWS))
    write_table(
        root / "annotations/covid-severity-scores.csv",
        "## Mean of 3 expert raters",
        "filename,geographic_mean,opacity_mean",
        "a.jpeg,6.7,4.0",
        "c.jpg,0.0,0.0",
    )
    (root / "annotations/imageannotation_ai_lung_bounding_boxes.json").write_text(json.dumps(LUNGS))
    return root


def write_masks(path: Path) -> Path:
    """Write a zip of masks, twice as large as the pictures, with the left half white."""
    mask = np.zeros((96, 128), np.uint8)
    mask[:, :64] = 255
    with zipfile.ZipFile(path, "w") as archive, archive.open("semantic_masks/a.JPEG", "w") as file:
        Image.fromarray(mask).save(file, format="PNG")
    return path
