from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from contrastcxr.data.tables.named import find_table, read_table
from contrastcxr.errors import DatasetError

TEXT = 'a,b\n# a comment\n1,"x,\ny"\n,\n2,z\n'


def gzipped(path: Path, text: str = TEXT) -> Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return path


def test_plain_gzipped_and_zipped_tables_read_alike(tmp_path: Path) -> None:
    plain = tmp_path / "t.csv"
    plain.write_text(TEXT)
    for path in (plain, gzipped(tmp_path / "t.csv.gz"), zipped(tmp_path / "t.zip", "t.csv", "licence.txt")):
        table = read_table(path, ("b",), comment="#")
        assert [(row.number, table.cell(row, "a"), table.cell(row, "b")) for row in table.rows] == [
            (4, "1", "x,\ny"),
            (6, "2", "z"),
        ]
        assert table.cell(table.rows[0], "c") == ""


def test_the_first_table_of_the_first_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    second = gzipped(tmp_path / "two" / "t.csv.gz")
    assert find_table([tmp_path, tmp_path / "two"], ("t.csv",)) == second
    assert find_table([tmp_path], ("t.csv",)) is None


def test_a_damaged_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    cut = gzipped(tmp_path / "cut.csv.gz")
    cut.write_bytes(cut.read_bytes()[:-9])
    fake = tmp_path / "fake.csv.gz"
    fake.write_text(TEXT)
    broken = zipped(tmp_path / "broken.zip", "t.csv")
    broken.write_bytes(broken.read_bytes()[:-30])
    for path in (cut, fake, broken):
        with pytest.raises(DatasetError, match=f"{path.name}: the archive is damaged or cut off") as refused:
            read_table(path, (), comment="#")
        assert "\n" not in str(refused.value)


def test_a_zip_holds_exactly_one_table(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds 2 .csv files; expected one"):
        read_table(zipped(tmp_path / "t.zip", "a.csv", "b.csv"), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; a header row was expected"),
        ("a,a\n", "header: column 'a' appears twice"),
        ("a,bb\n", "header: no column 'b'; the nearest is 'bb'"),
        ("x\n", "header: no column 'a'; found x"),
        ("a,b\n1\n", r"row 2 \(1\): 1 cells under 2 columns"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_table(path, ("a", "b") if text else ())
