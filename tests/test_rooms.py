"""The house as docs/design/architecture.md describes it: which room stands on which, and what none may do."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "contrastcxr"
ROOMS = (
    "version",
    "errors",
    "options",
    "form",
    "files",
    "vocab",
    "published",
    "text",
    "phantom",
    "data",
    "store",
    "quality",
    "losses",
    "models",
    "decode",
    "metrics",
    "config",
    "assemble",
    "checkpoint",
    "features",
    "write",
    "reading",
    "evaluation",
    "machine",
    "training",
    "reproduce",
    "study",
    "service",
    "catalogue",
    "api",
    "cli",
    "__main__",
)
"""From the ground up: a module imports from its own room and from those named before it."""
FLOOR = {name: floor for floor, name in enumerate(ROOMS)}
DEEPEST = 13
"""Modules in the longest chain of imports that run when a module is loaded; floors on which rooms stand."""

Arrows = Mapping[str, frozenset[str]]


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    return module.split(".")[1]


def imported(node: ast.stmt, importer: str) -> Iterator[str]:
    """The modules of this package that a statement names; of `from a import b`, `a.b` where that is a module."""
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{importer}: relative import; the house imports by full name"
        module = node.module or ""
        if module.split(".")[0] == "contrastcxr":
            yield from {f"{module}.{a.name}" if f"{module}.{a.name}" in FILES else module for a in node.names}
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "contrastcxr")


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def statements(tree: ast.AST, *, when_loaded: bool) -> Iterator[ast.stmt]:
    """Every statement of a module, or those that run when it is loaded."""
    for node in ast.iter_child_nodes(tree):
        if when_loaded and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types(node)):
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from statements(node, when_loaded=when_loaded)


@cache
def arrows(*, when_loaded: bool = False) -> Arrows:
    """Module -> the modules of this package that it imports: anywhere in its text, or when it is loaded."""
    found = {}
    for name, path in FILES.items():
        nodes = statements(ast.parse(path.read_text(encoding="utf-8")), when_loaded=when_loaded)
        found[name] = frozenset(other for node in nodes for other in imported(node, name)) - {name}
    return found


MODULES = [name for name in FILES if name != "contrastcxr"]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_its_own_room_and_those_below(module: str) -> None:
    others = {name for name in arrows()[module] if name != "contrastcxr"}
    above = sorted(name for name in others if FLOOR[room(name)] > FLOOR[room(module)])
    assert not above, f"{module} stands below {above} and imports from there"


def test_nobody_inside_imports_the_face_of_the_package() -> None:
    assert not [module for module, others in arrows().items() if "contrastcxr" in others]


def folders() -> list[str]:
    return sorted(dotted(path) for path in FILES.values() if path.name == "__init__.py")


def inside(folder: str, module: str) -> str | None:
    """The member of a folder that a module is or is in; the folder's own `__init__` is a member too."""
    if module == folder:
        return "__init__"
    return module[len(folder) + 1 :].split(".")[0] if module.startswith(f"{folder}.") else None


@pytest.mark.parametrize("folder", folders())
def test_no_arrow_inside_a_folder_runs_back_up(folder: str) -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, others in arrows().items():
        one = inside(folder, module)
        if one is not None:
            graph[one] |= {
                other for name in others if (other := inside(folder, name)) is not None and other != one
            }
    assert not (found := circle(graph)), f"{folder}: {' -> '.join(found)}"


def test_imports_make_no_circle() -> None:
    assert not (found := circle(arrows())), " -> ".join(found)


def circle(graph: Mapping[str, frozenset[str] | set[str]]) -> tuple[str, ...]:
    """A way from some member back to itself; empty when there is none."""
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> tuple[str, ...]:
        if name in trail:
            return (*trail[trail.index(name) :], name)
        if name in done:
            return ()
        for other in sorted(graph.get(name, ())):
            if found := walk(other, (*trail, name)):
                return found
        done.add(name)
        return ()

    return next((found for name in graph if (found := walk(name, ()))), ())


def test_a_circle_would_be_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ("a", "b", "c", "a")
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == ()


def test_the_longest_chain_of_imports_is_short() -> None:
    graph = arrows(when_loaded=True)

    @cache
    def chain(module: str) -> tuple[str, ...]:
        below = max((chain(other) for other in graph[module] if other in graph), key=len, default=())
        return (module, *below)

    longest = max((chain(module) for module in MODULES), key=len)
    assert len(longest) <= DEEPEST, f"{len(longest)} modules deep:\n" + "\n".join(longest)


def test_the_rooms_stand_on_few_floors() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, others in arrows().items():
        if module != "contrastcxr":
            graph[room(module)] |= {room(name) for name in others if name != "contrastcxr"} - {room(module)}

    @cache
    def floor(name: str) -> int:
        return 1 + max(map(floor, graph[name]), default=0)

    inside = {name: floor(name) for name in graph if name != "__main__"}
    assert max(inside.values()) <= DEEPEST, inside


def test_evaluation_never_imports_training() -> None:
    graph = arrows()

    def reached(module: str, seen: set[str]) -> set[str]:
        for other in graph.get(module, frozenset()) - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    evaluation = [module for module in MODULES if room(module) == "evaluation"]
    assert evaluation
    trained = {
        name for module in evaluation for name in reached(module, set()) if name.split(".")[1:2] == ["training"]
    }
    assert not trained


def test_phantoms_are_used_through_their_face() -> None:
    users = {
        module: sorted(name for name in others if name.startswith("contrastcxr.phantom."))
        for module, others in arrows().items()
        if room(f"{module}.") != "phantom"
    }
    assert not {module: names for module, names in users.items() if names}


def public_classes() -> dict[str, list[str]]:
    found = defaultdict(list)
    for module, path in FILES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(module)
    return found


def test_no_public_class_has_the_name_of_another() -> None:
    assert not {name: modules for name, modules in public_classes().items() if len(modules) > 1}


def swaps_a_class(node: ast.AST) -> bool:
    """Whether a node gives something another class, or puts something else in the place of a module."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "setattr" and "__class__" in ast.unparse(node)
    targets = node.targets if isinstance(node, ast.Assign) else []
    written = [ast.unparse(target) for target in targets]
    return any(text.endswith(".__class__") or text.startswith("sys.modules[") for text in written)


def test_no_class_of_a_module_is_swapped() -> None:
    swapped = {n for n, path in FILES.items() if any(map(swaps_a_class, ast.walk(ast.parse(path.read_text()))))}
    assert not swapped
    assert swaps_a_class(ast.parse("sys.modules[__name__].__class__ = Face").body[0])


@pytest.mark.parametrize("face", ["contrastcxr", "contrastcxr.phantom", "contrastcxr.checkpoint"])
def test_a_face_loads_later_what_it_shows_to_type_checkers(face: str) -> None:
    """The lazy names of a face are those that its `TYPE_CHECKING` block imports, from the same modules."""
    module = import_module(face)
    later = {
        (name, found if found.startswith("contrastcxr.") else f"{face}.{found}")
        for found, names in module._MODULES.items()
        for name in (names.split() if isinstance(names, str) else names)
    }
    tree = ast.parse(FILES[face].read_text(encoding="utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and is_for_types(node)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    assert later == {(alias.name, node.module) for node in imports for alias in node.names}


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert not [name for name in MODULES if name.split(".")[-1] in {"utils", "util", "helpers", "common", "misc"}]


LONGEST = 60
"""Lines of a function, its docstring not counted."""


def lines_of(function: ast.FunctionDef) -> int:
    first = function.body[0]
    spoken = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    skipped = (first.end_lineno or 0) - first.lineno + 1 if spoken else 0
    return (function.end_lineno or 0) - function.lineno + 1 - skipped


def test_no_function_is_long() -> None:
    long = {
        f"{module}.{node.name}": lines_of(node)
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and lines_of(node) > LONGEST
    }
    assert not long
