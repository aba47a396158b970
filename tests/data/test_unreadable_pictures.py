"""One picture that cannot be read costs its view, in every source that opens pictures to list its studies."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from iu_files import write_kaggle
from mimic_files import write_mimic
from mini_chexpert import write_chexpert
from mini_covid import write_covid
from mini_rsna import write_rsna
from mini_vindr import write_vindr
from PIL import Image
from published_files import save_picture

from contrastcxr.api import check_data, load_studies, prepare_data, write_manifest
from contrastcxr.data.readers.nih14 import Nih14


def _webp() -> bytes:
    file = BytesIO()
    Image.fromarray(np.arange(64 * 48, dtype=np.uint8).reshape(48, 64)).save(file, "WEBP")
    return file.getvalue()


BAD = {"webp": _webp(), "empty": b"", "words": b"<html>404 not found</html>", "cut": b"\x89PNG\r\n\x1a\n\0\0"}


def _manifest(folder: Path) -> Path:
    rows = []
    for name in ("a", "b"):
        save_picture(folder / f"{name}.png")
        boxes = [{"finding": "Mass", "xyxy": [1, 1, 9, 9]}]
        rows.append(json.dumps({"study_id": name, "image": f"{name}.png", "boxes": boxes}))
    path = folder / "m.jsonl"
    path.write_text("\n".join(rows))
    return path


SOURCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "covid": (write_covid, "images/c.jpg"),
    "rsna": (write_rsna, "stage_2_train_images/a1.dcm"),
    "vindr": (write_vindr, "train/aaa.dicom"),
    "manifest": (_manifest, "../a.png"),
}


def _paths(data: str) -> set[str]:
    return {str(view.locator) for study in load_studies(data) for view in study.views}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
@pytest.mark.parametrize("source", SOURCES)
def test_a_bad_picture_is_listed_by_its_path_and_the_others_are_read(
    source: str, content: bytes, tmp_path: Path
) -> None:
    write, name = SOURCES[source]
    root = write(tmp_path)
    before = _paths(f"{source}:{root}")
    bad = next(path for path in before if Path(path).name == Path(name).name)
    missing = check_data(f"{source}:{root}")["missing"]
    Path(bad).write_bytes(content)
    assert _paths(f"{source}:{root}") == before - {bad}
    checked = check_data(f"{source}:{root}")
    assert checked["missing"] == missing + 1
    assert [line for line in checked["first missing"] if f"{bad}: " in line]


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_bad_picture_of_nih14_is_listed_and_the_others_are_read(content: bytes, nih: Path) -> None:
    bad = next(nih.rglob("00000001_000.png"))
    before = check_data(f"nih14:{nih}")
    bad.write_bytes(content)
    checked = check_data(f"nih14:{nih}")
    assert (checked["studies"], checked["missing"]) == (before["studies"] - 1, before["missing"] + 1)
    assert checked["first missing"][-1].startswith(f"{bad}: ")
    assert len(Nih14(nih).studies("train_val")) == 3


def test_what_is_left_out_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = _manifest(tmp_path)
    (tmp_path / "a.png").unlink()
    with caplog.at_level(logging.WARNING, "contrastcxr"):
        load_studies(f"manifest:{root}")
        load_studies(f"manifest:{root}")
    said = [record.message for record in caplog.records if "left out" in record.message]
    assert said == [
        f"manifest:{root}: missing or unreadable, and left out: {tmp_path}/a.png; data check lists them"
    ]


def test_a_manifest_and_a_cache_are_made_of_the_others(tmp_path: Path) -> None:
    root = write_covid(tmp_path)
    count = len(load_studies(f"covid:{root}"))
    (root / "images/c.jpg").write_bytes(BAD["webp"])
    written, missing = write_manifest(f"covid:{root}", tmp_path / "all.jsonl")
    assert written == count - 1
    assert [line for line in missing if line.startswith(f"{root}/images/c.jpg: ")]
    made = prepare_data(f"covid:{root}", cache=tmp_path / "cache", size=32)
    assert (made.studies, made.unreadable) == (count - 1, ())
    assert [line for line in made.missing if line.startswith(f"{root}/images/c.jpg: ")]


FURTHER: dict[str, Callable[[Path], Path | None]] = {
    **{name: write for name, (write, _) in SOURCES.items()},
    "chexpert": write_chexpert,
    "mimic_cxr": write_mimic,
    "iu_xray": write_kaggle,
}


def _is_a_folder(path: Path) -> None:
    path.mkdir()


def _is_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def _leads_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("change", [_is_a_folder, _is_a_pipe, _leads_to_itself])
@pytest.mark.parametrize("source", FURTHER)
def test_what_is_no_file_is_an_absent_picture(source: str, change: Callable[[Path], None], tmp_path: Path) -> None:
    root = FURTHER[source](tmp_path) or tmp_path
    data = f"{source}:{root}"
    before = _paths(data)
    bad = Path(min(path for path in before if "test" not in path.removeprefix(str(tmp_path))))
    bad.unlink()
    change(bad)
    assert _paths(data) == before - {str(bad)}
    assert any(str(bad) in line for line in check_data(data, listed=None)["first missing"])


@pytest.mark.parametrize("change", [_is_a_folder, _is_a_pipe, _leads_to_itself])
def test_what_is_no_file_is_an_absent_picture_of_nih14(change: Callable[[Path], None], nih: Path) -> None:
    bad = next(nih.rglob("00000001_000.png"))
    bad.unlink()
    change(bad)
    assert len(Nih14(nih).studies()) == 5
    assert check_data(f"nih14:{nih}")["missing"] == 1
