"""The Python that the documents show runs as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.localizers import LOCALIZERS
from contrastcxr.phantom.export import write_studies
from load_script import load_script

ROOT = Path(__file__).resolve().parents[1]
FIRST_SCREEN = 40
"""Lines of a page that a person sees without scrolling, more or less."""


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the examples read: `chest.dcm` and `folder/of/studies`."""
    drawn = write_studies(tmp_path / "drawn", studies=1, level="smoke", format="dicom")
    shutil.copy(drawn[0], tmp_path / "chest.dcm")
    shutil.move(tmp_path / "drawn", tmp_path / "folder" / "of" / "studies")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("page", "number", "pages"), [("README.md", 0, 2), ("docs/reading.md", 0, 1), ("docs/phantoms.md", 0, 0)]
)
def test_the_python_of_a_page_runs_as_written(page: str, number: int, pages: int, here: Path) -> None:
    exec(compile(blocks(page)[number], page, "exec"), {})
    assert len(list(here.glob("readings/*.json"))) == pages


def test_the_first_screen_of_the_readme_has_what_it_promises() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()[:FIRST_SCREEN]
    screen = "\n".join(lines)
    assert "](docs/images/reading.png)" in screen
    assert "make demo" in screen
    assert "make test" in screen
    assert "| decoder |" in screen
    assert len(blocks("README.md")[0].splitlines()) <= 10


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_every_file_a_page_points_at_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    named = re.findall(r"`((?:src|tests|scripts|configs|benchmarks|results|docs)/[\w./-]+\.\w+)`", text)
    places = [(ROOT / page).parent / link for link in links] + [ROOT / name for name in named]
    missing = [str(place) for place in places if not re.search("NAME|ROW", str(place)) and not place.exists()]
    assert not missing, f"{page} names what is not there: {missing}"


def test_the_page_of_options_is_what_the_classes_say() -> None:
    script = load_script("options_page")
    made = script.page()
    assert (ROOT / "docs" / "options.md").read_text() == made, "run python scripts/options_page.py"
    assert all(f"\n### {kind}\n" in made for kind in (*DECODERS, *LOCALIZERS))
