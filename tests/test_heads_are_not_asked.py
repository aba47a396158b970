"""Nothing outside models/ and config/ asks which head, contrast or encoder it has: a part states what follows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.models.encoders import ENCODERS
from contrastcxr.models.heads import HEADS
from contrastcxr.options import Registered

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "contrastcxr"
MAY_ASK = ("models", "config")
PARTS = {"decoder", "localizer", "finding_head", "identifier", "head", "contrast", "pool", "projection", "encoder"}
NAMES = {"kind", "name"}
"""What a part is called by."""
REGISTRIES: list[dict[str, Registered]] = [*map(dict, HEADS.values()), dict(SYSTEM_LOSSES)]
KINDS = {
    *ENCODERS,
    *(name for registry in REGISTRIES for name in registry),
    *(entry.also for registry in REGISTRIES for entry in registry.values() if entry.also),
}
ALLOWED = {("reproduce/estimate.py", "lists the kinds cam, nic, transformer")}
"""Seconds that rows of these names took, printed as a guess; a row of another name has one too."""


def classes() -> set[str]:
    """Every class of heads, contrast and encoders, and of their options."""
    files = [f for f in PACKAGE.rglob("models/**/*.py") if f.parent.name != "blocks"]
    files += [PACKAGE / "losses" / "options.py"]
    trees = [ast.parse(f.read_text(encoding="utf-8")) for f in files if f.name not in ("features.py", "system.py")]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


CLASSES = classes()


def way(node: ast.AST) -> tuple[str, ...]:
    """The names that lead to a value: of `config["decoder"].kind`, config, decoder and kind."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (*way(node.value), node.attr)
    if isinstance(node, ast.Subscript):
        return (*way(node.value), *texts(node.slice))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and node.args
    ):
        return (*way(node.func.value), *texts(node.args[0]))
    return ()


def texts(node: ast.AST) -> tuple[str, ...]:
    """The string that a literal is, or those that a literal collection holds."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return tuple(text for each in node.elts for text in texts(each))
    if isinstance(node, ast.Dict):
        return tuple(text for key in node.keys if key is not None for text in texts(key))
    return ()


def asks_class(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return
    if node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
        named = {way(each)[-1] for each in ast.walk(node.args[1]) if way(each)}
        yield from (f"{node.func.id} of {name}" for name in sorted(named & CLASSES))


def asks_type(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Compare):
        return
    sides = [node.left, *node.comparators]
    if any(isinstance(s, ast.Call) and isinstance(s.func, ast.Name) and s.func.id == "type" for s in sides):
        named = {way(each)[-1] for side in sides for each in ast.walk(side) if way(each)}
        yield from (f"type is {name}" for name in sorted(named & CLASSES))


def asks_name(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        literals = {text for side in sides for text in texts(side)}
    elif isinstance(node, ast.Match):
        sides = [node.subject]
        literals = {text for case in node.cases for each in ast.walk(case.pattern) for text in texts(each)}
    else:
        return
    for names in map(way, sides):
        if names and names[-1] in NAMES:
            of_a_part = len(names) > 1 and names[-2] in PARTS
            if literals if of_a_part else literals & KINDS:
                yield f"{'.'.join(names)} against {', '.join(sorted(literals))}"


def asks_attribute(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or len(node.args) < 2:
        return
    names = way(node.args[0])
    of_a_part = names[-1:] and (
        names[-1] in PARTS or (names[-2:-1] and names[-2] in PARTS) or names[-1] == "options"
    )
    if node.func.id in ("getattr", "hasattr") and of_a_part:
        yield from (f"{node.func.id} of {'.'.join(names)} for {text}" for text in texts(node.args[1]))


def lists_kinds(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
        found = texts(node)
        if len(found) > 1 and set(found) <= KINDS:
            yield f"lists the kinds {', '.join(sorted(found))}"


CHECKS = (asks_class, asks_type, asks_name, asks_attribute, lists_kinds)


def asked(code: str) -> list[str]:
    """What a module asks of parts by class or name."""
    return [said for node in ast.walk(ast.parse(code)) for check in CHECKS for said in check(node)]


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(system.decoder, CvseDecoder)",
        "isinstance(head, (str, CamLocalizer))",
        "isinstance(config.decoder, options.TransformerOptions | None)",
        "isinstance(system.contrast, ContrastiveAttention)",
        "issubclass(entry.options, DecoderOptions)",
        "type(system.localizer) is CamLocalizer",
        "config.decoder.kind == 'nic'",
        "'cam' != config.localizer.kind",
        "config.decoder.kind in ('transformer', 'r2gen')",
        "self.system.pool.kind == 'zeros'",
        "config.encoder.name == 'resnet50'",
        "config['decoder']['kind'] == 'hlstm'",
        "values.get('decoder').get('kind') == 'anything'",
        "kind == 'cvse'",
        "match config.decoder.kind:\n    case 'nic': pass",
        "getattr(config.decoder, 'sentences', None)",
        "getattr(entry.options, 'own_words', False)",
        "hasattr(system.localizer, 'cut')",
        "PLANNING = ['hlstm', 'hlstm_dual']",
        "{'up_down', 'att2in'}",
        "{'nic': 1, 'transformer': 2}[kind]",
    ],
)
def test_asking_is_noticed(code: str) -> None:
    assert asked(code), code


@pytest.mark.parametrize(
    "code",
    [
        "None if config.decoder is None else config.decoder.kind",
        "isinstance(values, Mapping)",
        "ours.decoder.kind == theirs.decoder.kind",
        "reading.author.kind == 'model'",
        "layout == 'r2gen'",
        "getattr(config, slot)",
        "('openi', 'kaggle', 'r2gen')",
        "{'projection': {'kind': 'r2gen'}, 'decoder': {'kind': 'r2gen', 'layers': 3}}",
        "f'unknown decoder.kind nic; choose {kind}'",
    ],
)
def test_what_is_no_question_passes(code: str) -> None:
    assert asked(code) == []


FILES = [f for f in sorted(PACKAGE.rglob("*.py")) if f.relative_to(PACKAGE).parts[0] not in MAY_ASK]


def test_the_rooms_that_may_not_ask_are_read() -> None:
    rooms = {f.relative_to(PACKAGE).parts[0] for f in FILES}
    assert {"training", "reading", "evaluation", "write", "reproduce", "checkpoint", "assemble.py"} <= rooms
    assert {"CvseDecoder", "CamLocalizer", "FindingHead", "DecoderOptions", "ContrastiveAttention"} <= CLASSES


@pytest.mark.parametrize("path", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_no_module_asks(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    found = {said for said in asked(path.read_text(encoding="utf-8")) if (name, said) not in ALLOWED}
    assert not found, f"{name} {'; '.join(sorted(found))}: let the part state what follows from its kind"
