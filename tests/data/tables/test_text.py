"""Files that are packed, or are no tables, whatever their names say."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from contrastcxr.data.tables.text import read_text
from contrastcxr.errors import DatasetError

TEXT = "a;b\n1;Öl\n"


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv").replace("_xml", ".xml"), text)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", gzip.compress(TEXT.encode())),
        ("t.csv.gz", gzip.compress(TEXT.encode())),
        ("t.zip", gzip.compress(TEXT.encode())),
        ("t.csv", zipped(t_csv=TEXT)),
        ("t.zip", zipped(t_csv=TEXT, notes="x")),
        ("t.csv.zip", zipped(data__t_csv=TEXT)),
    ],
)
def test_the_content_says_how_a_table_is_packed(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_text(tmp_path / name) == TEXT


def test_what_a_mac_adds_to_a_zip_is_no_table(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", TEXT)
        archive.writestr("__MACOSX/._t.csv", "\0")
    assert read_text(tmp_path / "t.zip") == TEXT


@pytest.mark.parametrize("name", ["t.csv", "t.json", "t"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (bz2.compress(TEXT.encode()), "is packed with bzip2; unpack it"),
        (lzma.compress(TEXT.encode()), "is packed with xz; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an Excel workbook; save it as CSV"),
        (zipped(xl__workbook_xml="<x/>", more_csv="a"), "is a spreadsheet's workbook; save it as CSV"),
        (zipped(content_xml="<x/>"), "is a spreadsheet's workbook; save it as CSV"),
        (b"PAR1" + bytes(9), "is a Parquet file; name it .parquet"),
        (b"%PDF-1.7", "is a PDF; export the table as CSV"),
        (b"\n<!DOCTYPE html>\n<html>", "is a web page; download the file that it shows instead"),
        (b"\xef\xbb\xbf<HTML lang='en'>", "is a web page; download the file that it shows instead"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a pointer of Git LFS and not"),
    ],
)
def test_what_is_no_table_is_called_by_its_name(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError) as refused:
        read_text(path)
    assert str(refused.value).startswith(f"{path}: {what}")
    assert "Windows-1252" not in str(refused.value)
