"""Writes the page of options from the classes that read a configuration.

python scripts/options_page.py [docs/options.md]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from contrastcxr.catalogue import describe
from contrastcxr.config.manual import Part, parts
from contrastcxr.files import atomic_write

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"
HEAD = """# Options

Every option of a configuration, part by part. `python scripts/options_page.py` makes this page from the classes
that read a configuration, and a test keeps the two equal. `contrastcxr models NAME` prints the same of one part,
such as `transformer`, `cam` or `train.optimizer`. How the parts work together: [training.md](training.md).

In a file a dotted name is a key inside a part; on the command line it is `--set NAME=VALUE`, the value in YAML.
*none* is `null`. A part that is absent unless it is given goes away again with `null`: `--set contrast=null`.
An unknown option is an error that names the nearest.
"""
ABSENT = {"null": "Absent unless it is given.", "[]": "Empty unless it is given."}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for part in parts() for line in section(part))])


def section(part: Part) -> Iterator[str]:
    """The heading of a part, what it is, and a row for each of its options."""
    yield f"### {part.kind}" if part.kind else f"## {part.place or 'The system'}"
    yield ""
    yield " ".join(said for said in (part.summary, also(part), ABSENT.get(part.default, "")) if said)
    yield ""
    if part.entries:
        yield "| option | default | may be | is |"
        yield "|---|---|---|---|"
        for each in part.entries:
            default = each.default if each.default.startswith("none:") else f"`{each.default}`"
            yield f"| `{each.name}` | {default} | {each.values} | {each.description} |"
        yield ""


def also(part: Part) -> str:
    """The other name that a kind goes by."""
    other = describe(part.kind).also if part.kind else ""
    return f"Also `{other}`." if other else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", default=PAGE)
    with atomic_write(parser.parse_args().page) as file:
        file.write(page())


if __name__ == "__main__":
    main()
