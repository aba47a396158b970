"""Draw docs/images/house.svg: the rooms of the package, each on the floor above all that it imports.

    python scripts/house_picture.py

Rooms are folders and single modules of `src/contrastcxr`; a room with more lines is wider. An arrow is an import
anywhere in a room's text; one that a longer way over other rooms says already is left out. A test compares the
picture with the imports of today (tests/test_house_picture.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "contrastcxr"
PICTURE = ROOT / "docs" / "images" / "house.svg"
WIDTH, ROW, HEIGHT, GAP, LEFT = 1180, 76, 40, 14, 40
FACE = ("__init__", "__main__")

Rooms = Mapping[str, frozenset[str]]


def modules() -> dict[str, Path]:
    """Dotted name below the package -> file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"] = path
    return found


def imported(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "contrastcxr":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("contrastcxr."):
            found.add((node.module or "").split(".")[1])
    return found


@cache
def rooms() -> Rooms:
    """Room -> the other rooms that it imports from; the face of the package is none."""
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        room = name.split(".")[0]
        if room not in FACE:
            found.setdefault(room, set()).update(imported(path))
    return {room: frozenset(others & found.keys()) - {room} for room, others in found.items()}


def lines() -> dict[str, int]:
    """Room -> its lines."""
    found: dict[str, int] = {}
    for name, path in modules().items():
        room = name.split(".")[0]
        found[room] = found.get(room, 0) + len(path.read_text(encoding="utf-8").splitlines())
    return found


def floors(graph: Rooms) -> dict[str, int]:
    """Room -> its floor; the ground is 0."""

    @cache
    def floor(room: str) -> int:
        return 1 + max((floor(other) for other in graph[room]), default=-1)

    return {room: floor(room) for room in graph}


def reached(graph: Rooms, room: str) -> frozenset[str]:
    """All rooms below one, however far."""
    below = graph[room]
    return below.union(*(reached(graph, other) for other in below))


def shown(graph: Rooms) -> list[tuple[str, str]]:
    """The arrows that no longer way says already."""
    return sorted(
        (room, other)
        for room, others in graph.items()
        for other in others
        if not any(other in reached(graph, via) for via in others - {other})
    )


def places(graph: Rooms) -> dict[str, tuple[float, float, float]]:
    """Room -> left, top and width of its box; each floor is centred."""
    size, level = lines(), floors(graph)
    top = max(level.values())
    found = {}
    for floor in range(top + 1):
        row = sorted(room for room in graph if level[room] == floor)
        widths = [max(84.0, min(230.0, size[room] / 22 + 8 * len(room) + 10)) for room in row]
        x = (WIDTH - sum(widths) - GAP * (len(row) - 1)) / 2 + LEFT / 2
        for room, width in zip(row, widths, strict=True):
            found[room] = (round(x, 1), LEFT + (top - floor) * ROW, round(width, 1))
            x += width + GAP
    return found


def draw() -> str:
    """The picture as SVG."""
    graph, size = rooms(), lines()
    at = places(graph)
    bottom = int(max(y for _, y, _ in at.values()) + HEIGHT + LEFT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT} {bottom}" font-family="sans-serif">',
        f'<rect width="{WIDTH + LEFT}" height="{bottom}" fill="#fff"/>',
        "<title>The rooms of contrastcxr: each imports only from those below it</title>",
    ]
    for room, other in shown(graph):
        (x, y, w), (x2, y2, w2) = at[room], at[other]
        start, end = (x + w / 2, y + HEIGHT), (x2 + w2 / 2, y2)
        middle = (start[1] + end[1]) / 2
        parts.append(
            f'<path d="M{start[0]:.1f} {start[1]:.1f} C{start[0]:.1f} {middle:.1f} {end[0]:.1f} {middle:.1f} '
            f'{end[0]:.1f} {end[1]:.1f}" data-arrow="{room} {other}" fill="none" stroke="#8a94a3"/>'
        )
    for room, (x, y, w) in at.items():
        name = f"{room}/" if (PACKAGE / room).is_dir() else f"{room}.py"
        parts.append(f'<rect x="{x}" y="{y}" width="{w}" height="{HEIGHT}" rx="5" fill="#eef3fa" stroke="#345"/>')
        parts.append(
            f'<text x="{x + w / 2:.1f}" y="{y + 17}" font-size="13" text-anchor="middle" fill="#123">{name}</text>'
        )
        parts.append(
            f'<text x="{x + w / 2:.1f}" y="{y + 32}" font-size="10" text-anchor="middle" fill="#567">'
            f"{size[room] / 1000:.1f}k lines</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def arrows_in(picture: str) -> list[str]:
    """The arrows that a picture holds, `room other` each."""
    return sorted(re.findall(r'data-arrow="([^"]+)"', picture))


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()
