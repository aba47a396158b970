from __future__ import annotations

import os
from pathlib import Path

from published_files import save_picture

from contrastcxr.data.presence import PictureFolder, files_in, is_there, without_views
from contrastcxr.form import Author, Box, Evidence, Finding, Map, Negative, Reading, Study, View


def test_boxes_and_maps_follow_the_views_that_are_left() -> None:
    boxes = tuple(Box(view=i, xyxy=(i, 0, i + 1, 1)) for i in range(3))
    maps = tuple(Map(view=i, rows=((1.0,),), extent=(0, 0, 1, 1)) for i in range(3))
    normals = tuple(Negative(view=i, image_id=f"normal{i}", similarity=0.5) for i in range(3))
    reading = Reading(
        study_id="s",
        author=Author(kind="human", name="a"),
        findings=(Finding(name="Mass", status="present", boxes=boxes), Finding(name="Edema", status="absent")),
        evidence=Evidence(contrast=maps, difference=maps, negatives=normals, attention=(maps, maps[:1])),
    )
    views = tuple(View(view_id=str(i), locator=f"{i}.png") for i in range(3))
    study = Study(study_id="s", views=views, readings=(reading,))
    left = without_views(study, (0,))
    assert left is not None
    assert [view.view_id for view in left.views] == ["1", "2"]
    found = left.readings[0]
    assert [(box.view, box.xyxy[0]) for box in found.findings[0].boxes] == [(0, 1), (1, 2)]
    assert [m.view for m in found.evidence.contrast] == [m.view for m in found.evidence.difference] == [0, 1]
    assert [(each.view, each.image_id) for each in found.evidence.negatives] == [(0, "normal1"), (1, "normal2")]
    assert [[m.view for m in row] for row in found.evidence.attention] == [[0, 1], []]
    assert without_views(study, ()) is study
    assert without_views(study, range(3)) is None


def test_a_view_is_there_unless_its_file_is_absent(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png")
    assert is_there(View(view_id="a", locator=str(tmp_path / "a.png")))
    assert is_there(View(view_id="p", locator="phantom:standard/train/0?seed=0"))
    assert not is_there(View(view_id="b", locator=str(tmp_path / "b.png")))
    assert not is_there(View(view_id="folder", locator=str(tmp_path)))


def test_pictures_are_found_by_stem_in_the_order_of_endings(tmp_path: Path) -> None:
    for name in ("a.b.PNG", "c.jpg", "c.dcm", "notes.txt", "bare"):
        (tmp_path / name).touch()
    folder = PictureFolder(tmp_path, (".dcm", ".png", ".jpg"))
    assert folder.stems == ("a.b", "c")
    assert folder.find("a.b") == (f"{tmp_path}/a.b.PNG", True)
    assert folder.find("c") == (f"{tmp_path}/c.dcm", True)
    assert folder.find("d") == (f"{tmp_path}/d.dcm", False)
    assert PictureFolder(tmp_path / "none", (".png",)).find("a") == (f"{tmp_path}/none/a.png", False)


def test_folders_pipes_and_links_to_nothing_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "file.png").touch()
    (tmp_path / "link.png").symlink_to("file.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nothing.png").symlink_to("absent.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert PictureFolder(tmp_path, (".png",)).stems == ("file", "link")
    assert sorted(files_in(tmp_path)) == ["file.png", "link.png"]
    assert files_in(tmp_path / "none") == []
