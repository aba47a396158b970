"""Every source reads its tables alike after another program has saved them, whatever it made of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from iu_files import write_kaggle, write_r2gen
from mimic_files import write_mimic
from mini_chexpert import write_chexpert
from mini_covid import write_covid
from mini_rsna import write_rsna
from mini_vindr import write_vindr

from contrastcxr.data.readers.chexpert import CheXpert
from contrastcxr.data.readers.covid import Covid
from contrastcxr.data.readers.iu_xray import IuXray
from contrastcxr.data.readers.mimic_cxr import MimicCxr, MimicRoots
from contrastcxr.data.readers.nih14 import Nih14
from contrastcxr.data.readers.rsna import Rsna
from contrastcxr.data.readers.vindr import VinDr
from contrastcxr.data.source import Source


def with_folder(write: Callable[[Path], object]) -> Callable[[Path], Path]:
    """Write into a folder and return it."""
    return lambda folder: (write(folder), folder)[1]


READERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Source]]] = {
    "chexpert": (write_chexpert, CheXpert),
    "covid": (write_covid, Covid),
    "rsna": (write_rsna, Rsna),
    "vindr": (write_vindr, VinDr),
    "iu_kaggle": (with_folder(write_kaggle), lambda root: IuXray(root, images="any")),
    "iu_r2gen": (with_folder(write_r2gen), lambda root: IuXray(root, images="any")),
    "mimic_cxr": (with_folder(write_mimic), lambda root: MimicCxr(MimicRoots(root), images="any")),
}
Rows = list[list[str]]


def decimal(cell: str) -> str:
    return cell.replace(".", ",") if re.fullmatch(r"-?\d+\.\d*[1-9]", cell) else cell


def saved(rows: Rows, separator: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


def excel_in_europe(rows: Rows) -> bytes:
    """Semicolons, decimal commas, a mark, and empty columns and rows at the end."""
    text = saved([[*map(decimal, row), "", ""] for row in rows], ";")
    return f"\ufeff{text};;\r\n".encode()


def unicode_text(rows: Rows) -> bytes:
    """Tabs in UTF-16."""
    return saved(rows, "\t").encode("utf-16")


def told(rows: Rows) -> bytes:
    """A first line that says what separates, and old line ends."""
    return ("sep=;\n" + saved(rows, ";")).replace("\r\n", "\r").encode()


def renamed(rows: Rows) -> bytes:
    """Names of columns in capitals and with spaces."""
    return saved([[name.upper().replace("_", " ") for name in rows[0]], *rows[1:]], ",").encode()


def backslashes(rows: Rows) -> bytes:
    """Paths as Windows writes them."""
    paths = [[c.replace("/", "\\") if re.search(r"/.*\.(jpg|png)$", c) else c for c in row] for row in rows[1:]]
    return saved([rows[0], *paths], "|").encode()


def save_again(folder: Path, dialect: Callable[[Rows], bytes]) -> None:
    """Write every table below a folder anew; lines of comments go."""
    for path in sorted((*folder.rglob("*.csv"), *folder.rglob("*.csv.gz"))):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = (line for line in data.decode().splitlines(keepends=True) if not line.startswith("#"))
        table = dialect([row for row in csv.reader(lines) if row])
        path.write_bytes(gzip.compress(table) if path.suffix == ".gz" else table)
    for path in folder.rglob("*.json"):
        path.write_bytes(json.dumps(json.loads(path.read_text()), indent=1, ensure_ascii=False).encode("utf-16"))


DIALECTS = (excel_in_europe, unicode_text, told, renamed, backslashes)


# The columns of VinDr's labels are names of classes, a vocabulary.
@pytest.mark.parametrize(
    ("name", "dialect"),
    [pair for pair in product(READERS, DIALECTS) if pair != ("vindr", renamed)],
)
def test_studies_are_the_same_in_every_dialect(
    name: str, dialect: Callable[[Rows], bytes], tmp_path: Path
) -> None:
    write, read = READERS[name]
    root = write(tmp_path)
    before = read(root).studies()
    save_again(root, dialect)
    assert read(root).studies() == before
    assert before


@pytest.mark.parametrize("dialect", [excel_in_europe, unicode_text, told, backslashes])
def test_nih_is_the_same_in_every_dialect(nih: Path, dialect: Callable[[Rows], bytes]) -> None:
    before = Nih14(nih).studies()
    save_again(nih, dialect)
    for path in nih.glob("*_list.txt"):
        path.write_bytes(path.read_text().replace("\n", "\r\n").encode("utf-16"))
    assert Nih14(nih).studies() == before


@pytest.mark.parametrize(
    ("written", "split"), [("Train", "train"), ("VAL", "validation"), ("Valid", "validation"), ("TEST", "test")]
)
def test_annotations_name_splits_in_any_case(tmp_path: Path, written: str, split: str) -> None:
    write_r2gen(tmp_path)
    path = tmp_path / "annotation.json"
    held = json.loads(path.read_text())
    samples = [{**sample, "split": written.lower()} for sample in held["test" if split == "test" else "train"]]
    path.write_text(json.dumps({written: samples}))
    assert IuXray(tmp_path).splits == (split,)


def test_mimic_s_splits_are_known_in_any_case(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    path = tmp_path / "mimic-cxr-2.0.0-split.csv.gz"
    before = MimicCxr(MimicRoots(tmp_path), images="any").studies()
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace("train", "Train").replace("validate", "VAL").encode()))
    assert MimicCxr(MimicRoots(tmp_path), images="any").studies() == before


def test_vindr_s_readers_are_known_by_other_spellings(tmp_path: Path) -> None:
    root = write_vindr(tmp_path)
    before = VinDr(root).studies()
    for path in root.rglob("*.csv"):
        path.write_text(path.read_text().replace("image_id,rad_id", "Image ID,rad_ID"))
    assert VinDr(root).studies() == before
