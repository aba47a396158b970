from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrastcxr.checkpoint import save_checkpoint
from contrastcxr.features.aligned_copies import AlignedCopies
from contrastcxr.form import View
from contrastcxr.models.align.pose import pose_matrix, warp
from second_device import second_device
from tiny_aligner import small_aligner, with_pose
from tiny_system import save_tiny, tiny_checkpoint, tiny_config


def test_prepare_says_the_size_first_and_where_it_went(command: Any, pictures: Path, tmp_path: Path) -> None:
    ran = command("data", "prepare", pictures, "--cache", tmp_path / "cache", "--size", 64, "--workers", 1)
    assert ran.status == 0
    assert "2 to make, 64×64, 0 MB in" in ran.err.splitlines()[1]
    folder = Path(ran.out.strip())
    assert folder.parent == tmp_path / "cache" / "prepared"
    assert (folder / "pictures-64" / "00000.npy").is_file()


def test_what_cannot_be_read_is_listed_and_the_status_is_1(command: Any, pictures: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "studies.jsonl"
    rows = [{"study_id": name, "image": f"in/{name}.png"} for name in ("first", "second", "third", "gone")]
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    (pictures / "third.png").write_bytes(b"words")
    ran = command("data", "prepare", f"manifest:{manifest}", "--out", tmp_path / "cache", "--json")
    assert ran.status == 1
    made = json.loads(ran.out)
    assert (made["studies"], made["pictures"], made["made"]) == (3, 3, 1)
    assert "third.png" in made["unreadable"][0]
    assert "gone.png" in made["missing"][0]
    assert "unreadable: " in ran.err
    assert "1 missing" in ran.err


def test_a_disk_without_room_is_refused_in_one_line(
    command: Any, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contrastcxr.store import preparing

    monkeypatch.setattr(preparing, "free_bytes", lambda _: 100)
    ran = command("data", "prepare", pictures, "--cache", tmp_path / "cache")
    assert ran.status == 1
    assert ran.err.splitlines()[-1].startswith("error: ")
    assert "a smaller --size" in ran.err


def test_an_unknown_source_is_a_wrong_request(command: Any, tmp_path: Path) -> None:
    ran = command("data", "prepare", "nih41:/x", "--cache", tmp_path)
    assert ran.status == 2
    assert "did you mean 'nih14'" in ran.err
    assert not list(tmp_path.iterdir())


def test_data_list_says_what_folders_can_be_opened_as(command: Any, tmp_path: Path) -> None:
    (tmp_path / "nih").mkdir()
    (tmp_path / "nih" / "Data_Entry_2017.csv").touch()
    (tmp_path / "plain").mkdir()
    ran = command("data", "list", tmp_path / "nih", tmp_path / "plain")
    assert (ran.status, ran.out.splitlines()[0].split()) == (
        0,
        [str(tmp_path / "nih"), f"nih14:{tmp_path / 'nih'}"],
    )
    assert "no layout of a known source" in ran.out.splitlines()[1]
    ran = command("data", "list", tmp_path / "gone", "--json")
    assert (ran.status, json.loads(ran.out)) == (1, [])
    assert "gone: is not a folder" in ran.err


def test_data_check_of_a_bare_folder_says_what_else_it_is_and_lists_every_missing_image_when_asked(
    command: Any, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "Data_Entry_2017.csv").touch()
    assert f"with them it is nih14:{pictures}" in command("data", "check", pictures).out
    rows = [{"study_id": str(n), "image": f"{pictures}/{n or 'first'}.png"} for n in range(20)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert command("data", "check", f"manifest:{tmp_path / 'm.jsonl'}").out.count("  missing  ") == 10
    assert command("data", "check", f"manifest:{tmp_path / 'm.jsonl'}", "-v").out.count("  missing  ") == 19


def test_data_list_says_options_parameters_terms_and_where(command: Any) -> None:
    rows = {row["name"]: row for row in json.loads(command("data", "list", "--json").out)}
    nih = rows["nih14:<folder>"]
    assert {"splits", "options", "parameters", "licence", "redistributable", "where"} <= set(nih)
    assert nih["where"].startswith("https://")
    assert nih["redistributable"] == "yes"
    assert rows["manifest:<file>"]["redistributable"] == "no"
    assert "?seed=…" in rows["phantom:<level>"]["parameters"]
    assert "where: https://" in command("data", "list").out


def test_aligned_copies_are_kept_apart_with_their_poses(command: Any, pictures: Path, tmp_path: Path) -> None:
    config = tiny_config(align={"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"})
    checkpoint = tiny_checkpoint(config)
    pose = [0.1, 0.0, 0.2, 0.2, 0.1]
    moving = replace(checkpoint, state={**checkpoint.state, "aligner.pose.bias": torch.tensor(pose)})
    save_checkpoint(tmp_path / "aligner.safetensors", moving, dtype="float32")
    asked = ("data", "prepare", pictures, "--cache", tmp_path / "cache", "--size", 64)
    plain = Path(command(*asked).out.strip())
    ran = command(*asked, "--align", tmp_path / "aligner.safetensors")
    assert ran.status == 0
    (folder,) = plain.glob("aligned-64-*")
    assert json.loads((folder / "00000.json").read_text())["poses"] == [pytest.approx(pose)] * 2
    copies, originals = np.load(folder / "00000.npy"), np.load(plain / "pictures-64" / "00000.npy")
    assert copies.shape == originals.shape
    assert not np.array_equal(copies, originals)
    moved = warp(torch.from_numpy(originals[:1] / 255.0)[None], pose_matrix(torch.tensor([pose])))[0, 0]
    assert np.abs(copies[0] / 255.0 - moved.numpy()).max() < 0.02


def test_pictures_that_could_not_be_aligned_are_counted(command: Any, pictures: Path, tmp_path: Path) -> None:
    config = tiny_config(align={"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"})
    checkpoint = tiny_checkpoint(config)
    lost = {**checkpoint.state, "aligner.pose.bias": torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0])}  # scale e
    save_checkpoint(tmp_path / "aligner.safetensors", replace(checkpoint, state=lost), dtype="float32")
    asked = ("data", "prepare", pictures, "--cache", tmp_path / "cache", "--size", 64)
    ran = command(*asked, "--align", tmp_path / "aligner.safetensors")
    assert ran.status == 0
    assert "2 of 2 pictures are not aligned, since their poses leave the bounds" in ran.err


def test_a_run_without_an_aligner_is_refused(command: Any, pictures: Path, tmp_path: Path) -> None:
    ran = command("data", "prepare", pictures, "--cache", tmp_path / "cache", "--align", save_tiny(tmp_path))
    assert ran.status == 2
    assert "its system aligns nothing; give the run of an aligner" in ran.err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--device", "quantum"), "device 'quantum' cannot be used"),
        (
            ("--device", "meta", "--workers", 2),
            "--device meta with --workers 2: pictures are moved by the process",
        ),
    ],
)
def test_a_device_that_cannot_move_pictures_is_refused_first(
    command: Any, pictures: Path, tmp_path: Path, asked: tuple[object, ...], said: str
) -> None:
    ran = command("data", "prepare", pictures, "--cache", tmp_path / "cache", "--align", tmp_path / "none", *asked)
    assert ran.status == 2
    assert said in ran.err
    assert not (tmp_path / "cache").exists()


def test_an_aligner_on_another_device_moves_pictures_as_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    view = View(view_id="a", pixels=picture, position="PA")
    aligner = with_pose(small_aligner(side=64), (0.1, 0.0, 0.2, 0.2, 0.1))
    moved, pose = AlignedCopies(aligner)(picture, view)
    with second_device(monkeypatch) as there:
        again, found = AlignedCopies(aligner.to(there))(picture, view)
    assert np.array_equal(moved, again)
    assert pose == found
