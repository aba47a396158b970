"""`contrastcxr read`, as a person types it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import contrastcxr
from contrastcxr.cli.read import summary
from contrastcxr.data import images
from contrastcxr.errors import InputError, OutputError
from contrastcxr.reading.reader import Reader
from contrastcxr.reading.session import ReadingSession, WrittenReading
from contrastcxr.write import html
from contrastcxr.write.as_json import from_json
from hand_made import hand_made_reading, hand_made_study, localized
from tiny_system import smooth

NAMES = ("Doe^Jane", "Doe", "Jane", "PID-4711", "19570312")


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def write_dicom(path: Path) -> Path:
    """One DX object of a patient whose name must not get out."""
    pixels = (smooth(np.random.default_rng(5), 96, 80) * 4095).astype(np.uint16)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["image"])
    made = Dataset()
    made.file_meta = meta
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    made.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    made.PatientName, made.PatientID, made.PatientBirthDate = NAMES[0], NAMES[3], NAMES[4]
    made.Modality, made.ViewPosition, made.BodyPartExamined = "DX", "PA", "CHEST"
    made.PatientOrientation = ["L", "F"]
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def test_a_folder_becomes_pages_data_and_an_index(
    command: Any, model: Path, pictures: Path, tmp_path: Path
) -> None:
    ran = command("read", pictures, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 0
    assert files(tmp_path / "out") == ["first.html", "first.json", "index.html", "second.html", "second.json"]
    assert "index.html" in ran.out
    assert "first" in ran.out
    assert from_json((tmp_path / "out" / "first.json").read_text(encoding="utf-8")).study_id == "first"


def test_one_format_writes_only_that(command: Any, model: Path, pictures: Path, tmp_path: Path) -> None:
    ran = command("read", pictures / "first.png", "--model", model, "--out", tmp_path / "out", "--format", "json")
    assert ran.status == 0
    assert files(tmp_path / "out") == ["first.json"]


def test_the_search_of_a_model_can_be_set_and_nothing_else_of_it(
    command: Any, model: Path, pictures: Path, tmp_path: Path
) -> None:
    asked = ("read", pictures / "first.png", "--model", model, "--out", tmp_path / "out", "--format", "json")
    assert command(*asked, "--set", "generate.method=votes", "--set", "generate.samples=3").status == 0
    reading = from_json((tmp_path / "out" / "first.json").read_text(encoding="utf-8"))
    assert (reading.provenance["search"]["method"], reading.provenance["search"]["samples"]) == ("votes", 3)
    refused = command(*asked, "--set", "train.epochs=3")
    assert refused.status == 2
    assert "only the search can be set" in refused.err
    given = tmp_path / "out" / "first.json"
    scored = command("evaluate", "--readings", given, "--data", "phantom:smoke", "--set", "generate.method=votes")
    assert scored.status == 2
    assert "readings are not searched for" in scored.err


def test_json_and_quiet_say_no_more_than_asked(command: Any, model: Path, pictures: Path, tmp_path: Path) -> None:
    arguments = ("read", pictures, "--model", model, "--out", tmp_path / "out", "--format", "json")
    document = json.loads(command(*arguments, "--json").out)
    assert [r["study_id"] for r in document["readings"]] == ["first", "second"]
    assert document["failures"] == []
    assert command("--json", *arguments).out == command(*arguments, "--json").out
    silent = command(*arguments, "--quiet")
    assert (silent.status, silent.out, silent.err) == (0, "", "")


def test_two_runs_write_the_same_bytes(command: Any, model: Path, pictures: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        command("read", pictures, "--model", model, "--out", tmp_path / name, "--quiet")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    for name in files(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_bad_inputs_are_listed_and_the_others_read(
    command: Any, model: Path, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "cut.png").write_bytes((pictures / "first.png").read_bytes()[:90])
    (pictures / "words.jpg").write_text("not a picture")
    ran = command("read", pictures, tmp_path / "absent.png", "--model", model, "--out", tmp_path / "out")
    assert ran.status == 1
    assert {"first.json", "second.json"} <= set(files(tmp_path / "out"))
    failed = [line for line in ran.err.splitlines() if line.startswith("failed: ")]
    assert sorted(next(n for n in ("cut.png", "words.jpg", "absent.png") if n in line) for line in failed) == [
        "absent.png",
        "cut.png",
        "words.jpg",
    ]
    assert "Traceback" not in ran.err


def test_paths_of_what_failed_stand_on_the_terminal_and_in_what_is_passed_on_only_if_ids_are_kept(
    command: Any, model: Path, pictures: Path, tmp_path: Path
) -> None:
    bad = pictures / "Doe^John.dcm"
    bad.write_bytes(b"words")
    for keep in (False, True):
        options = ("--model", model, "--out", tmp_path / f"out{keep}", *(["--keep-ids"] if keep else []))
        ran = command("read", pictures, *options)
        assert f"failed: {bad}: " in ran.err
        assert (str(bad) in (tmp_path / f"out{keep}" / "index.html").read_text(encoding="utf-8")) is keep
        (failure,) = json.loads(command("--json", "read", pictures, *options).out)["failures"]
        assert (failure["where"] == str(bad)) is keep
        assert ("Doe" in failure["message"]) is keep


def test_a_library_that_fails_at_one_file_costs_that_file(
    command: Any, model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = images.read_image

    def failing(path: Path) -> np.ndarray:
        if path.name == "first.png":
            raise AssertionError("a library's own")
        return whole(path)

    monkeypatch.setattr("contrastcxr.data.pixels.read_image", failing)
    ran = command("read", pictures, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 1
    assert f"failed: {pictures / 'first.png'}: cannot be read (AssertionError at line" in ran.err
    assert "second.json" in files(tmp_path / "out")


def test_no_name_of_a_patient_gets_out(command: Any, model: Path, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "in" / "image.dcm")
    ran = command("-v", "read", path, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 0
    said = ran.out + ran.err + " ".join(files(tmp_path / "out"))
    said += "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "out").iterdir())
    uid = generate_uid(entropy_srcs=["study"])
    assert not [name for name in (*NAMES, uid) if name in said]


def test_identifiers_are_kept_on_request(command: Any, model: Path, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "in" / "image.dcm")
    command("read", path, "--model", model, "--out", tmp_path / "out", "--keep-ids", "--format", "json")
    assert files(tmp_path / "out") == [f"{generate_uid(entropy_srcs=['study'])}.json"]


def test_a_full_disk_fails_each_study_and_leaves_nothing(
    command: Any, model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = command("read", pictures, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 1
    assert files(tmp_path / "out") == []
    assert ran.err.count("No space left on device") == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "fantom"), "unknown model"),
        (("--format", "htlm"), "did you mean 'html'"),
        (("--device", "quantum"), "device 'quantum'"),
        (("--dtype", "float31"), "did you mean 'float32'"),
        (("--pool-root", "nih15:/x"), "did you mean 'nih14'"),
    ],
)
def test_a_wrong_request_is_one_line_and_status_2(
    command: Any, model: Path, pictures: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    rest = () if "--model" in arguments else ("--model", model)
    ran = command("read", pictures, "--out", tmp_path / "out", *rest, *arguments)
    assert ran.status == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert files(tmp_path / "out") == []


def test_verbose_shows_where_an_error_came_from(command: Any, pictures: Path) -> None:
    assert "Traceback" in command("read", pictures, "--model", "fantom", "-v").err
    assert "Traceback" not in command("read", pictures, "--model", "fantom").err


def test_an_interruption_is_clean(
    command: Any, model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ReadingSession, "_write", interrupt)
    ran = command("read", pictures, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 130
    assert "Traceback" not in ran.err
    assert files(tmp_path / "out") == []


def test_a_gpu_whose_memory_is_full_is_no_fault_of_a_picture(
    command: Any, model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Reader, "read_batch", fill)
    ran = command("read", pictures, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 1
    assert ran.err.splitlines()[-1].startswith("error: the memory of the GPU does not hold")
    assert "cannot be read" not in ran.err
    assert "Traceback" not in ran.err


def test_the_call_returns_readings_and_writes_nothing_unasked(
    model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    readings = contrastcxr.read(pictures, model=model)
    assert [r.study_id for r in readings] == ["first", "second"]
    assert files(tmp_path) == ["in"]


def test_the_call_raises_at_a_bad_input_unless_told_to_go_on(model: Path, pictures: Path, tmp_path: Path) -> None:
    failures: list[Any] = []
    listen: Callable[[Any], None] = failures.append
    several = [pictures / "first.png", tmp_path / "absent.png"]
    with pytest.raises(InputError, match=r"absent\.png"):
        contrastcxr.read(several, model=model)
    readings = contrastcxr.read(several, model=model, on_failure=listen)
    assert [r.study_id for r in readings] == ["first"]
    assert "absent.png" in failures[0].message


def test_a_view_that_cannot_be_read_is_said_on_the_reading(model: Path, pictures: Path) -> None:
    (pictures / "cut.png").write_bytes((pictures / "first.png").read_bytes()[:90])
    lines = [{"study_id": "s", "images": ["first.png", "cut.png"]}]
    (pictures / "studies.jsonl").write_text("\n".join(map(json.dumps, lines)))
    failures: list[Any] = []
    (reading,) = contrastcxr.read(pictures / "studies.jsonl", model=model, on_failure=failures.append)
    assert len(failures) == 1
    assert any("could not be read" in flag.message for flag in reading.flags)


@pytest.mark.parametrize("verb", ["read", "evaluate"])
def test_a_pickle_is_refused_and_the_flag_is_named(
    verb: str, command: Any, pictures: Path, tmp_path: Path
) -> None:
    state = tmp_path / "last.ckpt"
    state.write_bytes(b"cos\nsystem\n(S'touch gone'\ntR.")
    asked = (pictures,) if verb == "read" else (state, "--data", "phantom:smoke", "--limit", 1)
    ran = command(verb, *asked, *(("--model", state) if verb == "read" else ()), "--out", tmp_path / "out")
    assert ran.status == 2
    assert "--allow-pickle" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_model_without_words_is_not_said_to_have_written_an_empty_report() -> None:
    study = hand_made_study(np.zeros((30, 40), dtype=np.float32))
    reading = hand_made_reading(study)
    rows = [WrittenReading(each, "PA", {}) for each in (localized(reading, wordless=True), reading)]
    said = summary(rows, None)
    assert "(writes none)" in said
    assert "(empty)" not in said


def test_what_a_folder_holds_beside_pictures_is_counted(
    command: Any, model: Path, pictures: Path, tmp_path: Path
) -> None:
    arguments = ("read", pictures, "--model", model, "--out", tmp_path / "out", "--format", "json")
    assert "passed over" not in command(*arguments).err
    for name in ("notes.txt", "list.txt", ".hidden", "DICOMDIR"):
        (pictures / name).write_text("words")
    ran = command(*arguments)
    assert ran.status == 0
    assert "passed over: 2 .txt, 1 hidden, 1 DICOMDIR" in ran.err.splitlines()
    assert command(*arguments, "--quiet").err == ""
    document = json.loads(command(*arguments, "--json").out)
    assert document["passed over"] == {".txt": 2, "hidden": 1, "DICOMDIR": 1}
    assert len(document["readings"]) == 2


def test_two_patients_of_one_study_are_two_readings_that_say_so(command: Any, model: Path, tmp_path: Path) -> None:
    for patient in ("A", "B"):
        path = write_dicom(tmp_path / "in" / f"{patient}.dcm")
        ds = pydicom.dcmread(path)
        ds.PatientID = patient
        ds.save_as(path)
    arguments = ("read", tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--format", "json")
    ran = command(*arguments, "--keep-ids")
    uid = generate_uid(entropy_srcs=["study"])
    assert (ran.status, files(tmp_path / "out")) == (0, [f"{uid}-1.json", f"{uid}-2.json"])
    assert [line for line in ran.err.splitlines() if line.startswith("warning: ")] == [
        f"warning: {tmp_path}/in/A.dcm and {tmp_path}/in/B.dcm have one StudyInstanceUID and different "
        "PatientIDs; the study is read as those of 2 patients"
    ]
    for path in (tmp_path / "out").iterdir():
        flags = from_json(path.read_text(encoding="utf-8")).flags
        assert any("is also that of another patient (PatientID)" in flag.message for flag in flags)


@pytest.mark.parametrize("keep", [(), ("--keep-ids",)])
def test_names_that_nothing_can_show_end_no_batch(
    command: Any, model: Path, pictures: Path, tmp_path: Path, keep: tuple[str, ...]
) -> None:
    for name in (b"latin\xe9.png", b"\x1b[2J.png", b"two\nlines.png", b"bad\xff.dcm"):
        data = b"words" if name.endswith(b".dcm") else (pictures / "first.png").read_bytes()
        (pictures / os.fsdecode(name)).write_bytes(data)
    arguments = ("read", pictures, "--model", model, "--out", tmp_path / "out", *keep)
    ran = command(*arguments)
    assert ran.status == 1
    assert "1 failed, 5 read" in ran.err
    assert f"failed: {pictures}/bad\\xff.dcm: is not a DICOM image" in ran.err
    assert "\x1b[2J" not in ran.out + ran.err
    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert ("bad\\xff.dcm" in index) == bool(keep)
    (failure,) = json.loads(command(*arguments, "--json").out)["failures"]
    assert ("bad\\xff.dcm" in failure["where"]) == bool(keep)


def test_an_index_that_cannot_be_written_hides_no_failure(
    command: Any, model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("index.html: could not be written (No space left on device)")

    (pictures / "bad.png").write_bytes(b"words")
    monkeypatch.setattr(html, "write_index", full)
    ran = command("read", pictures, "--model", model, "--out", tmp_path / "out")
    assert ran.status == 1
    assert [line for line in ran.err.splitlines() if "failed" in line] == [
        f"failed: {pictures}/bad.png: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first",
        "failed: index.html: could not be written (No space left on device)",
        "2 failed, 2 read",
    ]
    assert "first" in ran.out


@pytest.mark.parametrize("verb", ["read", "label"])
def test_a_file_that_is_locked_is_no_wrong_request(
    command: Any, model: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    reports = tmp_path / "reports.jsonl"
    reports.write_text('{"study_id": "a", "text": "No effusion."}')
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    arguments = {
        "read": ("read", pictures, "--model", model, "--out", tmp_path / "out"),
        "label": ("label", reports),
    }
    assert command(*arguments[verb]).status == 0
