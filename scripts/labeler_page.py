"""Writes the measured figures of the labeler into its page, between their markers.

python scripts/labeler_page.py results/labeler.json docs/labeler.md
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from contrastcxr.files import atomic_write

_SUMMARY = (
    ("development half", "half used for the rules"),
    ("other half", "other half"),
    ("whole", "whole"),
    ("indexed", "whole, without the reports that were not indexed"),
)


def table(document: dict[str, Any]) -> str:
    """Per finding: the half that was kept apart, and the whole with uncertain as negative and as positive."""
    iu = document["iu_xray"]
    lines = [
        "| finding | other half: indexed | precision | recall | F1 | whole: indexed | precision | recall | F1 "
        "| F1, uncertain positive |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in iu["whole"]["present"]["findings"]:
        apart, whole = (iu[part]["present"]["findings"][name] for part in ("other half", "whole"))
        positive = iu["whole"]["present or uncertain"]["findings"][name]
        cells = [*_cells(apart), *_cells(whole), f"{positive['f1']:.3f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(document: dict[str, Any]) -> str:
    """Over the 13 findings but No Finding, part by part."""
    lines = [
        "| over the 13 findings | reports | micro precision | micro recall | micro F1 | macro F1 "
        "| micro F1, uncertain positive | No Finding F1 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for key, name in _SUMMARY:
        part = document["iu_xray"][key]
        plain, positive = part["present"], part["present or uncertain"]
        cells = [f"{plain['micro'][measure]:.3f}" for measure in ("precision", "recall", "f1")]
        cells += [f"{plain['macro_f1']:.3f}", f"{positive['micro']['f1']:.3f}"]
        cells.append(f"{plain['findings']['No Finding']['f1']:.3f}")
        lines.append(f"| {name} | {part['reports']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def phantoms(document: dict[str, Any]) -> str:
    """Per finding on phantom reports, against what was drawn."""
    lines = ["| finding | drawn | called | precision | recall | F1 |", "|---|---:|---:|---:|---:|---:|"]
    for name, row in document["phantoms"]["against what was drawn"].items():
        cells = [f"{row[measure]:.3f}" for measure in ("precision", "recall", "f1")]
        lines.append(f"| {name} | {row['human']} | {row['called']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def attributes(document: dict[str, Any]) -> str:
    """Side and severity of findings that labeler and indexing both call."""
    lines = [
        "| of findings that both call | indexed with one | labeler says the same | opposite side | another "
        "| nothing | says one, indexing none |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for part, title in (("other half", "other half"), ("whole", "whole")):
        for what, counts in document["attributes"][part].items():
            stated = sum(counts[outcome] for outcome in ("equal", "opposite", "other", "labeler silent"))
            equal = f"{counts['equal']} ({counts['equal'] / stated:.1%})"
            opposite = counts["opposite"] if what == "side" else "–"
            cells = [stated, equal, opposite, counts["other"], counts["labeler silent"], counts["indexing silent"]]
            lines.append(f"| {title}, {what} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


BLOCKS = {"table": table, "summary": summary, "attributes": attributes, "phantoms": phantoms}


def written(page: str, document: dict[str, Any]) -> str:
    """The page with its figures between the markers `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""
    for name, make in BLOCKS.items():
        block = f"<!-- {name}:begin -->\n{make(document)}\n<!-- {name}:end -->"
        page, found = re.subn(
            rf"<!-- {name}:begin -->.*?<!-- {name}:end -->", lambda _, b=block: b, page, flags=re.S
        )
        if found != 1:
            raise SystemExit(f"the page has {found} places for '{name}'; it needs one, between its markers")
    return page


def _cells(row: dict[str, Any]) -> list[str]:
    return [str(row["human"]), *(f"{row[measure]:.3f}" for measure in ("precision", "recall", "f1"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    document = json.loads(arguments.results.read_text(encoding="utf-8"))
    page = written(arguments.page.read_text(encoding="utf-8"), document)
    with atomic_write(arguments.page) as file:
        file.write(page)


if __name__ == "__main__":
    main()
