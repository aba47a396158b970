from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.data.pixels import load_pixels, original
from contrastcxr.data.readers.manifest import Manifest
from contrastcxr.data.sources import parse_data
from contrastcxr.data.transforms import Preprocess, resize_affine
from contrastcxr.errors import ImageError, OutputError
from contrastcxr.features.pictures import whole_picture
from contrastcxr.form import View
from contrastcxr.store import picture_cache, preparing
from contrastcxr.store.picture_cache import find_pictures
from contrastcxr.store.preparing import PreparedSource, ShardPlan, prepare_source, prepared_folder
from contrastcxr.store.study_lines import StudyLines

SIDE = 32
ROWS = 2
"""Pictures of a shard in these tests."""


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_cache, "SHARD_BYTES", ROWS * SIDE * SIDE)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Five studies with six pictures, of which two studies share one."""
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 255, (60 + i, 50), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    lines = [
        {
            "study_id": f"s{i}",
            "patient_id": f"p{i // 2}",
            "images": [f"{i}.png"] + (["0.png"] if i == 3 else []),
            "positions": ["PA"] + (["AP"] if i == 3 else []),
            "split": "train" if i < 3 else "test",
            "findings": "Lungs are clear.  No effusion." if i else "",
            "labels": {"Edema": "absent"},
        }
        for i in range(5)
    ]
    path = tmp_path / "studies.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def prepare(manifest: Path, root: Path, **options: int) -> PreparedSource:
    return prepare_source(parse_data(f"manifest:{manifest}"), root=root, side=SIDE, **options)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_prepared_picture_is_the_resized_original_with_its_affine(manifest: Path, tmp_path: Path) -> None:
    prepare(manifest, tmp_path / "cache")
    views = [view for study in Manifest(manifest).studies() for view in study.views]
    cache = find_pictures(tmp_path / "cache", views, side=SIDE)
    assert cache is not None
    transform = Preprocess(size=SIDE, mean=(0, 0, 0), std=(1, 1, 1))
    for view in views:
        read = cache(view)
        image, affine = whole_picture(transform, read.pixels, shape=read.shape)
        expected, own = whole_picture(transform, load_pixels(view))
        assert read.pixels.shape == (SIDE, SIDE)
        assert abs(image - expected).max() <= 0.5 / 255 + 1e-6
        np.testing.assert_array_equal(affine, own)


def test_a_picture_of_two_studies_is_kept_once(manifest: Path, tmp_path: Path) -> None:
    made = prepare(manifest, tmp_path)
    assert (made.studies, made.pictures, made.made) == (5, 5, 3)


@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_processes_leaves_the_same_bytes(manifest: Path, tmp_path: Path, workers: int) -> None:
    prepare(manifest, tmp_path / "alone")
    prepare(manifest, tmp_path / "together", workers=workers)
    assert files(tmp_path / "alone") == files(tmp_path / "together")


def test_a_second_call_makes_nothing_again(manifest: Path, tmp_path: Path) -> None:
    prepare(manifest, tmp_path / "cache")
    before = files(tmp_path / "cache")
    assert prepare(manifest, tmp_path / "cache").made == 0
    assert files(tmp_path / "cache") == before


def test_a_changed_picture_is_made_again_and_the_others_are_not(manifest: Path, tmp_path: Path) -> None:
    prepare(manifest, tmp_path / "cache")
    os.utime(manifest.parent / "4.png", ns=(1, 1))
    assert prepare(manifest, tmp_path / "cache").made == 1


def test_shards_beyond_a_source_that_shrank_are_removed(manifest: Path, tmp_path: Path) -> None:
    before = prepare(manifest, tmp_path / "cache")
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:2]))
    prepare(manifest, tmp_path / "cache")
    left = sorted(p.name for p in picture_cache.pictures_folder(before.folder, SIDE).iterdir())
    assert left == ["00000.json", "00000.npy"]


def test_pictures_that_cannot_be_read_are_listed_and_the_rest_is_made(manifest: Path, tmp_path: Path) -> None:
    (manifest.parent / "1.png").write_bytes(b"no picture")
    made = prepare(manifest, tmp_path / "cache")
    assert len(made.unreadable) == 1
    assert "1.png" in made.unreadable[0]
    listed = [json.loads(line) for line in (made.folder / preparing.UNREADABLE).read_text().splitlines()]
    assert listed == [{"study_id": "s1", "message": made.unreadable[0]}]
    assert prepare(manifest, tmp_path / "cache").unreadable == made.unreadable
    views = [study.views[0] for study in Manifest(manifest).studies()]
    cache = find_pictures(tmp_path / "cache", views, side=SIDE)
    assert cache is not None
    with pytest.raises(ImageError, match=r"1\.png"):
        cache(views[1])
    assert cache(views[2]).shape == (62, 50)


class Killing(ShardPlan):
    """A plan one of whose shards ends the process that makes it, always or the first time."""

    shard, once = 1, True

    def make(self, shard: int) -> int:
        ended = self.folder / "ended"
        if shard == self.shard and not (self.once and ended.exists()):
            ended.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().make(shard)


def test_a_process_that_is_killed_costs_nothing(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(manifest, tmp_path / "alone")
    monkeypatch.setattr(preparing, "ShardPlan", Killing)
    made = prepare(manifest, tmp_path / "killed", workers=1)
    (picture_cache.pictures_folder(made.folder, SIDE) / "ended").unlink()
    assert files(tmp_path / "killed") == files(tmp_path / "alone")


def test_a_shard_that_always_ends_its_process_is_named_once_the_others_are_made(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "ShardPlan", Killing)
    monkeypatch.setattr(Killing, "once", False)
    with pytest.raises(OutputError, match="a worker process ended"):
        prepare(manifest, tmp_path / "cache", workers=1)
    (folder,) = (path.parent for path in (tmp_path / "cache").rglob("ended"))
    assert sorted(path.name for path in folder.glob("*.npy")) == ["00000.npy", "00002.npy"]


def test_the_size_is_said_first_and_refused_where_the_disk_lacks_the_room(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="contrastcxr")
    prepare_source(parse_data(f"manifest:{manifest}"), root=tmp_path / "cache", side=SIDE)
    assert caplog.messages[1].startswith("pictures: 5 to make, 32×32, 0 MB in")
    monkeypatch.setattr(preparing, "free_bytes", lambda _: 4000)
    with pytest.raises(OutputError, match=r"0 MB free; free some space, .* --cache, or a smaller --size"):
        prepare(manifest, tmp_path / "other")
    assert not list((tmp_path / "other").rglob("0*.npy"))


def test_the_tables_hold_studies_reports_words_and_counts(manifest: Path, tmp_path: Path) -> None:
    folder = prepare(manifest, tmp_path / "cache").folder
    stored = StudyLines.stored(folder / "studies.jsonl")
    assert list(stored) == Manifest(manifest).studies()
    assert Manifest(folder / "studies.jsonl").studies("test") == list(stored[3:])
    reports = [json.loads(line) for line in (folder / "reports.jsonl").read_text().splitlines()]
    assert len(reports) == 4
    assert reports[0]["findings"] == "Lungs are clear. No effusion."
    words = json.loads((folder / "vocabulary.json").read_text())
    assert {name.partition("/")[2]: counted["lungs"] for name, counted in words.items()} == {"train": 2, "test": 2}
    counts = json.loads((folder / "counts.json").read_text())
    assert counts["train"]["studies"] == {"all": 3}
    assert counts["train"]["patients"] == 2
    assert counts["test"]["views"] == {"AP": 1, "PA": 2}


def test_tables_alone_read_no_picture(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(preparing, "load_pixels")
    made = prepare_source(parse_data(f"manifest:{manifest}"), root=tmp_path / "cache", pictures=False)
    assert (made.studies, made.made) == (5, 0)
    assert not list(made.folder.glob("pictures-*"))


def test_only_pictures_that_are_large_enough_and_all_there_serve(manifest: Path, tmp_path: Path) -> None:
    prepare(manifest, tmp_path / "cache")
    views = [study.views[0] for study in Manifest(manifest).studies()]
    stranger = View(view_id="x", locator=str(manifest.parent / "x.png"))
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(manifest.parent / "x.png")
    assert find_pictures(tmp_path / "cache", views, side=SIDE + 1) is None
    assert find_pictures(tmp_path / "cache", [*views, stranger], side=SIDE) is None
    assert find_pictures(tmp_path / "nothing", views, side=SIDE) is None
    found = find_pictures(tmp_path / "cache", views, side=SIDE - 8)
    assert found is not None
    assert found.side == SIDE
    np.testing.assert_array_equal(found(stranger).pixels, original(stranger).pixels)


def test_several_sources_serve_together_and_the_smallest_side_is_taken(manifest: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        prepare_source(
            parse_data(f"manifest:{manifest}?limit={3 if split == 'train' else 5}"), root=tmp_path / "c", side=SIDE
        )
    prepare_source(parse_data(f"manifest:{manifest}"), root=tmp_path / "c", side=2 * SIDE)
    views = [study.views[0] for study in Manifest(manifest).studies()]
    found = find_pictures(tmp_path / "c", views, side=SIDE)
    assert found is not None
    assert (found.side, len(found.folders)) == (SIDE, 2)


def test_each_root_split_and_parameter_has_its_own_folder(tmp_path: Path) -> None:
    texts = (
        "nih14:/a",
        "nih14:/b",
        "nih14:/a/test",
        "nih14:/a?limit=3",
        "phantom:easy/train",
        "phantom:easy/test",
    )
    assert len({prepared_folder(parse_data(text), root=tmp_path) for text in texts}) == len(texts)


def test_the_affine_of_a_square_is_that_of_the_original() -> None:
    transform = Preprocess(size=16)
    _, affine = whole_picture(transform, np.zeros((SIDE, SIDE), np.float32), shape=(100, 80))
    np.testing.assert_array_equal(affine, resize_affine((100, 80), 16))


KILL = """
import os, signal, sys
from pathlib import Path
from contrastcxr.data.sources import parse_data
from contrastcxr.store import picture_cache
from contrastcxr.store.preparing import prepare_source

manifest, root, side, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
picture_cache.SHARD_BYTES = rows * side * side
rename = Path.replace
left = 0

def counted(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(self, target)

Path.replace = counted
for at in range(12):
    child = os.fork()
    if child == 0:
        left = at
        prepare_source(parse_data("manifest:" + manifest), root=root / str(at), side=side)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_run_killed_before_any_of_its_renames_is_completed_to_the_same_bytes(
    manifest: Path, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILL, str(manifest), str(tmp_path / "killed"), str(SIDE), str(ROWS)],
        capture_output=True,
        text=True,
        check=True,
    )
    statuses = ran.stdout.split()
    assert statuses.count("-9") == 12, ran.stderr  # 5 tables, 3 arrays with their indices, and the list
    prepare(manifest, tmp_path / "whole")
    expected = files(tmp_path / "whole")
    for at in range(12):
        killed = tmp_path / "killed" / str(at)
        assert files(killed) != expected
        assert any(".part" in name for name in files(killed))
        prepare(manifest, killed)
        assert files(killed) == expected
