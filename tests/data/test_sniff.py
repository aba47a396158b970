from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from radiograph_files import data_set, meta_information, radiograph, ramp, written

from contrastcxr.data.sniff import sniff
from contrastcxr.errors import ImageError

MADE = radiograph(ramp(top=4095), 12)
DIRECTORY = bytes(128) + b"DICM\x02\0\x02\0UI\x14\x001.2.840.10008.1.3.10\0"
DICOM = {
    "whole": written(MADE),
    "implicit": data_set(MADE, ImplicitVRLittleEndian),
    "explicit": data_set(MADE, ExplicitVRLittleEndian),
    "big endian": data_set(MADE, ExplicitVRBigEndian),
    "meta information alone": meta_information(JPEGBaseline8Bit),
    "a group length, implicit": b"\x08\0\0\0\x04\0\0\0\x10\0\0\0",
    "a directory without meta information": b"\x04\0\x30\x11CS\x04\0DISC",
}
OTHER = {
    "text": b"Subject: radiograph",
    "text that begins with a control": b"\x08 back",
    "zeros": bytes(600),
    "a count of 8": b"\x08\0\0\0\x10\0\0\0",
    "ones": b"\xff" * 600,
    "a zip": b"PK\x03\x04" + bytes(200),
    "a big-endian count": b"\0\0\0\x08abcdefgh",
    "UTF-16": "\ufeffA DICOM".encode("utf-16-le"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["IM0001", "a.dcm", "a.txt", "a.dcm.gz"])
@pytest.mark.parametrize("kind", DICOM)
def test_a_dicom_file_is_known_without_preamble_or_suffix_and_packed(
    tmp_path: Path, kind: str, name: str, packed: bool
) -> None:
    (tmp_path / name).write_bytes(gzip.compress(DICOM[kind]) if packed else DICOM[kind])
    assert sniff(tmp_path / name) == "dicom"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", OTHER)
def test_what_is_none_is_believed_with_a_dicom_suffix_alone(tmp_path: Path, kind: str, packed: bool) -> None:
    data = gzip.compress(OTHER[kind]) if packed else OTHER[kind]
    for name, found in {"a": "other", "a.png": "other", "a.dcm": "dicom", "a.gz": "other"}.items():
        (tmp_path / name).write_bytes(data)
        assert sniff(tmp_path / name) == found
    (tmp_path / "a.dicom.gz").write_bytes(data)
    assert sniff(tmp_path / "a.dicom.gz") == ("dicom" if packed else "other")


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "index", "a.dcm"])
def test_a_directory_of_media_is_known_by_its_class(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(DIRECTORY)
    assert sniff(tmp_path / name) == "dicomdir"


def test_a_packed_picture_is_none(tmp_path: Path, png: Callable[..., Path]) -> None:
    (tmp_path / "a.png.gz").write_bytes(gzip.compress(png().read_bytes()))
    assert (sniff(png()), sniff(tmp_path / "a.png.gz")) == ("png", "other")


@pytest.mark.parametrize(
    "head", [b"\x1f\x8b", b"\x1f\x8b\x08", b"\x1f\x8bnothing", gzip.compress(b"", mtime=0)[:12]]
)
def test_a_damaged_gzip_file_is_none(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.gz").write_bytes(head)
    assert sniff(tmp_path / "a.gz") == "other"


@pytest.mark.parametrize("make", [lambda _: None, Path.touch, Path.mkdir, os.mkfifo, lambda p: p.symlink_to(p)])
def test_what_is_no_file_with_bytes_is_an_error(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "a.dcm")
    with pytest.raises(ImageError, match=r"a\.dcm: (no such file|is not a file|is empty)"):
        sniff(tmp_path / "a.dcm")


def test_a_picture_is_known_without_pydicom(png: Callable[..., Path]) -> None:
    code = (
        f"from contrastcxr.data.readers.paths import studies_from_paths as s; print(len(s([{str(png())!r}])[0]))"
    )
    code += "; import sys; print('pydicom' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["1", "False"]


def test_a_file_in_a_locked_folder_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(_: Path, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", locked)
    with pytest.raises(ImageError, match=r"a\.dcm: cannot be opened \(Permission denied\); check its permissions"):
        sniff(tmp_path / "a.dcm")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", None])
def test_a_file_that_begins_with_dicm_needs_no_suffix(tmp_path: Path, syntax: str | None) -> None:
    (tmp_path / "IM1").write_bytes(b"DICM" + meta_information(syntax))
    assert sniff(tmp_path / "IM1") == "dicom"


@pytest.mark.parametrize("text", [b"DICM is no DICOM", b"DICM", b"DICM\n" * 40])
def test_the_word_alone_is_no_dicom(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "IM1").write_bytes(text[:128])
    assert sniff(tmp_path / "IM1") == "other"
