"""The one reader of tables: separators, encodings, names of columns, and what a spreadsheet leaves behind."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from contrastcxr.data.tables.files import TableRow, number
from contrastcxr.data.tables.named import read_table
from contrastcxr.data.tables.rows import known_names, open_rows, plain_id, separator_of
from contrastcxr.data.tables.streamed import stream_table
from contrastcxr.errors import DatasetError

ROWS = [("1", "x, y"), ("2", "ö; z")]
COMMAS = 'a,b\n1,"x, y"\n2,ö; z\n'
SEMICOLONS = 'a;b\n1;x, y\n2;"ö; z"\n'
TABS = "a\tb\n1\tx, y\n2\tö; z\n"


@pytest.mark.parametrize(
    "content",
    [
        COMMAS.encode(),
        SEMICOLONS.encode(),
        TABS.encode(),
        COMMAS.replace(",", "|").replace("x| y", "x, y").encode(),
        b"\xef\xbb\xbf" + SEMICOLONS.replace("\n", "\r\n").encode(),
        COMMAS.replace("\n", "\r").encode(),
        SEMICOLONS.encode("utf-16"),
        b"\xfe\xff" + TABS.encode("utf-16-be"),
        COMMAS.encode("utf-16-le"),
        TABS.encode("utf-16-be"),
        SEMICOLONS.encode("utf-32"),
        b"\0\0\xfe\xff" + TABS.encode("utf-32-be"),
        b"\xff\xfe\0\0" + COMMAS.replace("\n", "\r\n").encode("utf-32-le"),
        f"sep=;\r\n{SEMICOLONS}".encode(),
        f'\ufeff"sep=\t"\n{TABS}'.encode(),
        f"SEP=,\n\n{COMMAS}".encode(),
        f"\n ;;\n{SEMICOLONS}".encode(),
        b'a;b;;\n1;"x, y";;\n;;;\n2;"\xc3\xb6; z";;\n;;;\n',
        b'a,b\n1,"x, y",\n , \n2,\xc3\xb6; z,,\n',
        '"A";"\xa0b "\n1;x, y\n2;"ö; z"\n'.encode(),
    ],
)
def test_a_table_reads_alike_whatever_wrote_it(tmp_path: Path, content: bytes) -> None:
    for name, data in (("t.csv", content), ("t.csv.gz", gzip.compress(content))):
        path = tmp_path / name
        path.write_bytes(data)
        table = read_table(path, ("a", "b"))
        assert [(table.cell(row, "a"), table.cell(row, "b")) for row in table.rows] == ROWS
        assert [line.cells for line in stream_table(path, ("b",), ("c", "a"))] == [(b, "", a) for a, b in ROWS]


@pytest.mark.parametrize(
    ("line", "known", "separator"),
    [
        ("a,b", (), ","),
        ("only", (), ","),
        ("a|b", (), "|"),
        ("a,b|c", (), ","),
        ("study_id;text;age, in years", ("study_id", "text"), ";"),
        ("study_id,text,a;b;c;d", ("study_id", "text"), ","),
        ('"a;b;c",d', (), ","),
        ("Image[Width,Height]\tSpacing[x,y]\tLabel", (), ","),
        ("Study ID\tText, whole\tother, too", ("study_id",), "\t"),
    ],
)
def test_the_header_says_what_separates(line: str, known: tuple[str, ...], separator: str) -> None:
    assert separator_of(line, known, "t.csv header") == separator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b;c\n", r"t.csv header: its names are separated by ',' and by ';'; expected one separator"),
        ("a;b\tc\n", r"t.csv header: its names are separated by ';' and by a tab; expected one separator"),
        ("a,b,c\n1;2;3\n", r"t.csv row 2 .*: its cells are separated by ';', those of the header by ','"),
        ("a;b;c\n1,2,3\n", r"t.csv row 2 .*: its cells are separated by ',', those of the header by ';'"),
        (
            "a,b,c\n1,2,3\n1\t2\t3\n",
            r"t.csv row 3 .*: its cells are separated by a tab, those of the header by ','",
        ),
        ("a,b,c\n1,2\n", r"row 2 \(1\): 2 cells under 3 columns; expected one for each; correct the row"),
        ("a,b,c\n1,2,3,4\n", r"row 2 \(1\): 4 cells under 3 columns; quote cells that hold a comma$"),
        ("a,b,c\n1,'2','3,4'\n", r"row 2 \(1\): 4 cells .*; quote cells that hold a comma with \", not '$"),
        (
            'a,b,c\n1,2,"3 \\"x\\", 4"\n',
            r'4 cells under 3 columns; double the quotes inside a cell: "" instead of',
        ),
        (
            'a,b,c\n1,2,"3\n4,5,6\n',
            r"row 3 \(1\): a quote opens its last cell and is not closed, so that the rest",
        ),
        ('a;b;c\n1;2;3\n4;"5;6', r"row 3 \(4\): a quote opens its last cell and is not closed"),
        ('a,b,"c\n1,2,3\n', r"header: a quote opens its last cell and is not closed"),
        ("a;b;c\n1;2;3;4\n", r"row 2 \(1\): 4 cells under 3 columns; quote cells that hold a semicolon"),
        ("A,B,C,a,A\n1,2,3,4,5\n", r"header: column 'A' appears twice; expected once; remove one"),
        (f"{'A' * 99},{'A' * 99},b,c\n", f"header: column '{'A' * 80}' appears twice; expected once; remove one"),
        ("A a,a_a,b,c\n", r"header: the columns 'A a' and 'a_a' are both read as 'AA'; expected one; rename one"),
        ("\n;;\n", "t.csv: is empty; a header row was expected"),
        (
            "sep=;\na,b,c\n1,2,3\n",
            "t.csv: its first line says ';', and its names are separated by ','; expected one",
        ),
        ("sep=,\na\tb\tc\n", "t.csv: its first line says ',', and its names are separated by a tab; expected one"),
        ('"sep=\t"\n\n"a"|"b"|"c"\n', r"t.csv: its first line says a tab, and its names are separated by '\|'"),
        ("a,b\0,c\n1,2,3\n", "t.csv header: holds zero bytes, which no text does; save it as UTF-8"),
        ("a,b,c\0\n1,2,3\n", "t.csv header: holds zero bytes, which no text does; save it as UTF-8"),
        ("\0\0\0a\0\0\0,\0\0\0b\n", "t.csv header: holds zero bytes, which no text does; save it as UTF-8"),
    ],
)
def test_what_is_ambiguous_is_refused_with_its_cause(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    optional = ("AA",) if "a_a" in text else ()
    with pytest.raises(DatasetError, match=message) as refused:
        read_table(path, ("b", "c"), ("a", *optional))
    assert "did you mean" not in str(refused.value)
    assert "nearest" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a;b\n1;café\n".encode("cp1252"), "line 2: is not UTF-8 text (byte 0xe9 at 5); it may be Windows-1252"),
        ("a;b\n1;x\n2;“y”\n".encode("cp1252"), "line 3: is not UTF-8 text (byte 0x93 at 2)"),
        ("ä\tb\n".encode("latin-1"), "line 1: is not UTF-8 text (byte 0xe4 at 0); it may be Windows-1252, where"),
        (b"a,b\n1,\x81\n", "line 2: is not UTF-8 text (byte 0x81 at 2); save it as UTF-8"),
        ("a;b\n1;x\n".encode("utf-16")[:-1], "is not UTF-8 text, and no whole UTF-16 either; save it as UTF-8"),
    ],
)
def test_bytes_that_are_not_utf8_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    for read in (lambda: read_table(path, ()), lambda: list(stream_table(path, ()))):
        with pytest.raises(DatasetError) as refused:
            read()
        assert message in str(refused.value)
        assert str(refused.value).startswith(f"{path}")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("names", "known", "expected"),
    [
        (("Study_ID", "TEXT"), ("study_id", "text"), ("study_id", "text")),
        (("study id", "x"), ("study_id",), ("study_id", "x")),
        (("StudyID", "study_id"), ("study_id",), ("StudyID", "study_id")),
        (("study-id ", ""), ("study_id",), ("study_id", "")),
        (("clinical notes", "view"), ("clinical_notes", "url"), ("clinical_notes", "view")),
    ],
)
def test_names_of_columns_differ_in_case_and_spaces(
    names: tuple[str, ...], known: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert known_names(names, known) == expected


@pytest.mark.parametrize(
    ("text", "decimal_comma", "expected"),
    [
        ("12,5", True, 12.5),
        ("-0,143", True, -0.143),
        ("691,123", True, 691.123),
        ("12.5", True, 12.5),
        ("12", True, 12.0),
        ("1.234,5", True, None),
        ("1,234,567", True, None),
        ("12,5", False, None),
        ("1,234", False, None),
        ("inf", True, None),
        ("", True, None),
    ],
)
def test_a_comma_is_a_point_where_it_separates_nothing(
    text: str, decimal_comma: bool, expected: float | None
) -> None:
    assert number(text, decimal_comma=decimal_comma) == expected


def test_a_quoted_decimal_comma_of_a_comma_separated_table_is_refused(tmp_path: Path) -> None:
    for text in ('a,x\nk,"12,5"\n', "a;x\nk;1.234,5\n"):
        (tmp_path / "t.csv").write_text(text)
        table = read_table(tmp_path / "t.csv", ("a", "x"))
        with pytest.raises(DatasetError, match=r"row 2 \(k\): x '.*'; expected a number with a dot"):
            table.number(table.rows[0], "x")
    (tmp_path / "t.csv").write_text("a\tx\nk\t12,5\n")
    table = read_table(tmp_path / "t.csv", ("a", "x"))
    assert table.number(table.rows[0], "x") == 12.5


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("004", "004"),
        ('="004"', "004"),
        ("'004", "004"),
        (" 50414267 ", "50414267"),
        ("'s Gravenhage", "'s Gravenhage"),
        ("=A1", "=A1"),
        ("4.0", "4.0"),
    ],
)
def test_an_id_keeps_its_digits(cell: str, expected: str) -> None:
    assert plain_id(cell) == expected


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("sep=;\na;b,c\n", ("a", "b,c")),
        ("sep=,\na;b,c\n", ("a;b", "c")),
        ("sep=\t\na|b;c\td,a\n", ("a|b;c", "d,a")),
        ("sep=;\nabc\n", ("abc",)),
    ],
)
def test_a_first_line_that_says_what_separates_decides(tmp_path: Path, text: str, header: tuple[str, ...]) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with open_rows(path, ("a", "b", "c")) as table:
        assert table.header == header


def test_rows_are_numbered_by_the_line_at_which_they_end(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('sep=;\n# note\na;b\n1;"x\ny"\n;\n2;z\n')
    with open_rows(path, ("a",), comment="#") as table:
        assert table.header == ("a", "b")
        assert list(table) == [(5, ["1", "x\ny"]), (7, ["2", "z"])]


@pytest.mark.parametrize("cell", ["x" * 5_000, "x\n" * 2_500, "é" * 5_000])
def test_a_long_cell_is_shortened_and_the_remedy_stays(cell: str) -> None:
    with pytest.raises(DatasetError) as refused:
        TableRow(Path("t.csv"), 2, ("a", cell)).number_at(1, "width")
    said = str(refused.value)
    assert said.startswith("t.csv row 2 (a): width 'x") or said.startswith("t.csv row 2 (a): width 'é")
    assert said.endswith("'; expected a number; correct the cell")
    assert len(said) < 850
    assert "\n" not in said


def test_a_long_first_cell_is_not_printed_whole() -> None:
    said = str(TableRow(Path("t.csv"), 2, ("x" * 500,)).error("wrong"))
    assert len(said) < 120


@pytest.mark.parametrize(
    ("header", "row"),
    [("Unnamed: 0,a,b", "7,1,2"), (",a,b", "7,1,2"), ("a,Unnamed: 1,b", "1,7,2"), ("a,b,Unnamed: 17", "1,2,")],
)
def test_a_column_that_pandas_gave_a_name_has_none(tmp_path: Path, header: str, row: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{row}\n")
    assert [line.cells for line in stream_table(path, ("a", "b"))] == [("1", "2")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_a_cell_over_several_lines_at_the_end_is_whole(tmp_path: Path, end: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'a,b\n1,"2\n\n3"{end}', newline="")
    assert [row.cells for row in read_table(path, ("a", "b")).rows] == [("1", "2\n\n3")]
    assert [line.cells for line in stream_table(path, ("a", "b"))] == [("1", "2\n\n3")]
