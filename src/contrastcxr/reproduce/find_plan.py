"""Plans that ship with the project, by paper and table, and those of files: found, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from contrastcxr.config import read_with_parents
from contrastcxr.errors import ConfigError, RequestError, UnknownNameError, listed
from contrastcxr.published import TABLES
from contrastcxr.reproduce.plan import PLAIN, Plan, RowSelection

_SYSTEM = re.compile(r"[\w.@+]+")
"""A name of a system: it is a part of file names, and ends where a row's contrast follows after a dash."""
_CHECKOUT = Path(__file__).resolve().parents[3]
PAPERS: Mapping[str, Mapping[str, str]] = {
    "contrastive-attention": {
        "first": "configs/cpu/experiments/first.yaml",
        "decoders": "configs/cpu/experiments/decoders.yaml",
        "recipe": "configs/cpu/experiments/recipe.yaml",
        "table1": "configs/cpu/experiments/table1.yaml",
        "table2": "configs/cpu/experiments/table2.yaml",
        "table4": "configs/cpu/experiments/table4.yaml",
        "table5": "configs/cpu/experiments/table5.yaml",
    },
    "cia-net": {
        "localizers": "configs/cpu/experiments/localizers.yaml",
        "nih": "configs/cpu/experiments/cia-net-nih.yaml",
        **{f"table{k}": f"configs/cpu/experiments/cia-net-table{k}.yaml" for k in range(1, 7)},
    },
    "wcl": {
        "table1": "configs/cpu/experiments/wcl-table1.yaml",
        "table2": "configs/cpu/experiments/wcl-table2.yaml",
        "figure2": "configs/cpu/experiments/wcl-table1.yaml",
        "contrast": "configs/cpu/experiments/wcl-contrast.yaml",
        "captions": "configs/cpu/experiments/wcl-captions.yaml",
    },
    "cross-attention": {
        "table1": "configs/cpu/experiments/cross-attention-table1.yaml",
        "effusion": "configs/cpu/experiments/cross-attention-effusion.yaml",
        "nih": "configs/cpu/experiments/cross-attention-nih.yaml",
        "nih-drawn": "configs/cpu/experiments/cross-attention-nih-drawn.yaml",
        "nih-effusion": "configs/cpu/experiments/cross-attention-nih-effusion.yaml",
        "captions": "configs/cpu/experiments/cross-attention-captions.yaml",
    },
}
"""Tables that can be reproduced, by paper, and the file that holds their rows."""


def find_plan(paper: str, table: str, *, path: Path | None = None) -> tuple[Plan, Path]:
    """Return the plan of a paper's table and the folder it is in.

    Args:
        paper: `contrastive-attention`, `cia-net`, `wcl` or `cross-attention`.
        table: name of the table; `first` is our own first experiment.
        path: a plan file to take instead.

    Raises:
        UnknownNameError: no such paper or table.
        RequestError: a table of the paper whose rows cannot be trained here.
        ConfigError: the plan file is absent or not a plan.
    """
    if paper not in PAPERS:
        raise UnknownNameError("paper", paper, PAPERS)
    if path is None:
        if table not in PAPERS[paper]:
            raise _no_plan(paper, table)
        path = _located(PAPERS[paper][table])
    return _read(path), path.parent


def _no_plan(paper: str, table: str) -> RequestError:
    known = [f"{p} {t}" for p, tables in PAPERS.items() for t in tables]
    if f"{paper} {table}" not in TABLES:
        return UnknownNameError("table", f"{paper} {table}", [*known, *TABLES])
    return RequestError(
        f"{paper} {table}: its rows cannot be trained here yet, only {listed(known, near=f'{paper} {table}')}; "
        "--published prints the paper's figures"
    )


def _located(relative: str) -> Path:
    here = Path(relative)
    return here if here.is_file() else _CHECKOUT / relative


def _read(path: Path) -> Plan:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; run in a checkout, or give the plan with --plan")
    try:
        plan = Plan.model_validate(read_with_parents(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    _check_chosen(plan)
    _check_read(plan)
    return plan


def _check_read(plan: Plan) -> None:
    for name, data in plan.data.items():
        if data.read_by is not None and not (data.read_by in plan.data and plan.data[data.read_by].config):
            trained = [each for each, found in plan.data.items() if found.config]
            raise ConfigError(
                f"{plan.name}: data {name}: read_by: {data.read_by}; expected data of this plan that rows are "
                f"trained on, {listed(trained, none='of which there is none')}"
            )


def _check_chosen(plan: Plan) -> None:
    if PLAIN not in plan.contrasts:
        raise ConfigError(f"{plan.name}: no contrast '{PLAIN}', which the others are compared with; add it")
    compared = [name.partition("-") for rows in (*plan.pairs, *plan.crossed) for name in rows]
    named = [
        *plan.rows,
        RowSelection(systems=[one for one, _, _ in compared], contrasts=[c for *_, c in compared if c]),
    ]
    for kind, known in (("systems", plan.systems), ("contrasts", plan.contrasts)):
        for name in (name for part in named for name in getattr(part, kind)):
            if name not in known:
                raise UnknownNameError(f"{kind.removesuffix('s')} of {plan.name}", name, known)
    for one, other in plan.pairs:
        if ("-" in one) != ("-" in other):
            row, system = sorted((one, other), key=lambda name: "-" not in name)
            raise ConfigError(
                f"{plan.name}: against: '{row}' is a row and '{system}' a system; name two of a kind"
            )
    for system in plan.systems:
        if not _SYSTEM.fullmatch(system):
            raise ConfigError(f"{plan.name}: system '{system}': expected letters, digits and any of _ . @ +")
