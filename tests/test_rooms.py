"""A module imports only from the rooms above its own (docs/design/architecture.md), and nothing goes round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "contrastcxr"
ROOMS = (
    ("errors", "form", "files", "published"),
    ("vocab",),
    ("text",),
    ("phantom",),
    ("data",),
    ("models",),
    ("decode",),
    ("losses",),
    ("metrics",),
    ("config",),
    ("assemble",),
    ("checkpoint",),
    ("read",),
    ("write",),
    ("train",),
    ("evaluate",),
    ("reproduce",),
    ("service",),
    ("cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def room(dotted: str) -> str:
    return dotted.split(".")[1]


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def submodule(module: str, name: str) -> str:
    """`module.name` where that is a module of its own, else `module`, which defines the name."""
    inner = PACKAGE.parent / module.replace(".", "/") / name
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").exists() else module


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; the house imports by full name"
            module = node.module or ""
            if module == "contrastcxr":
                yield from (f"contrastcxr.{alias.name}" for alias in node.names if alias.name != "__version__")
            elif module.startswith("contrastcxr."):
                yield from {submodule(module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("contrastcxr."))


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_a_module_imports_only_from_its_own_room_and_those_above(path: Path) -> None:
    own = LEVEL[room(dotted(path))]
    below = [name for name in imports(path) if LEVEL[room(name)] > own]
    assert not below, f"{dotted(path)} imports from rooms below it: {below}"


def test_imports_make_no_cycle() -> None:
    graph = {dotted(p): set(imports(p)) for p in modules()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' -> '.join((*trail[trail.index(name) :], name))}"
        if name in done or name not in graph:
            return
        for other in graph[name]:
            if other != name:
                walk(other, (*trail, name))
        done.add(name)

    for name in graph:
        walk(name, ())


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert not [p for p in modules() if p.stem in {"utils", "util", "helpers", "common", "misc"}]
