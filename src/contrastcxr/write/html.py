"""A reading as one HTML file: no network, no patient name, readable at 390 px and on one A4."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from contrastcxr.files import atomic_write
from contrastcxr.form import Reading, Study
from contrastcxr.version import __version__
from contrastcxr.write.as_page import index_row, page_values
from contrastcxr.write.names import file_stem
from contrastcxr.write.pictures import PictureLoader

NOTICE = "Research use; not a medical device"


class HtmlWriter:
    """Writes `STUDY.html`, and `index.html` when several studies were read."""

    name = "html"

    def __init__(self, pictures: PictureLoader | None = None) -> None:
        self.pictures = pictures or PictureLoader()

    def write(self, reading: Reading, study: Study, folder: Path) -> Path:
        """Write the page of one reading.

        Raises:
            ImageError: a view of the study cannot be read any more.
            OutputError: the file cannot be written.
        """
        path = folder / f"{file_stem(reading.study_id)}.html"
        text = to_html(reading, study, self.pictures)
        with atomic_write(path, "w") as stream:
            stream.write(text)
        return path


def to_html(reading: Reading, study: Study, pictures: PictureLoader | None = None) -> str:
    """Return the page of one reading; equal readings of equal pictures give equal text."""
    return _render("reading.html.j2", page_values(reading, study, pictures or PictureLoader()))


def write_index(
    readings: Sequence[Reading], pages: Sequence[Path], folder: Path, failures: Sequence[tuple[str, str]] = ()
) -> Path:
    """Write `index.html`, which lists the pages of a folder, and what was not read.

    Args:
        readings: in the order of the list.
        pages: the page of each, inside `folder`.
        folder: where the index goes.
        failures: name of each input that was not read, and the line that says why.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = [index_row(r, p.name) for r, p in zip(readings, pages, strict=True)]
    unread = [(name, why.removeprefix(f"{name}: ")) for name, why in failures]
    path = folder / "index.html"
    with atomic_write(path, "w") as stream:
        stream.write(_render("index.html.j2", {"rows": rows, "failures": unread}))
    return path


def _render(template: str, values: dict[str, Any]) -> str:
    # The policy lets the page run our script, by its hash, and nothing else: no request leaves the page.
    script = page_source(__package__, "page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assets = {"css": Markup(page_source(__package__, "page.css")), "script": Markup(script), "policy": policy}
    return page_template(__package__, template).render(values, **assets, notice=NOTICE, version=__version__)


@cache
def page_source(package: str, name: str) -> str:
    """Return the text of a file in a package's folder `page`."""
    return files(package).joinpath("page", name).read_text(encoding="utf-8")


@cache
def page_template(package: str, name: str) -> Template:
    """Return a template in a package's folder `page`; it may include others of them."""
    environment = Environment(
        loader=FunctionLoader(partial(page_source, package)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
