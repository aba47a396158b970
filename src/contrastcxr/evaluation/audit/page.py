"""An audit as one HTML page without scripts or requests."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from contrastcxr.evaluation.audit.verdict import Check, warnings_first

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}
body{color:#1b1f24;background:#fff}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:0;display:inline}p{margin:.35rem 0}
section{border-top:1px solid #d8dee4;padding:1rem 0}.facts{color:#57606a}
.mark{display:inline-block;min-width:5.2rem;font-weight:600;font-size:.85rem}
.ok .mark{color:#1a7f37}.warning .mark{color:#9a4a00}.not-run .mark{color:#57606a}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.6rem 0 0;font-size:.9rem}
td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #eaeef2;vertical-align:top}
th{font-weight:600}td{font-variant-numeric:tabular-nums}
"""


def page(data: str, studies: Mapping[str, int], labels: str | None, checks: Sequence[Check]) -> str:
    """Return the page: warnings first, every check with the cases behind it."""
    counts = ", ".join(f"{split} {count:,}" for split, count in studies.items())
    body = "".join(_section(check) for check in warnings_first(checks))
    warned = sum(check.verdict == "warning" for check in checks)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Audit of {html.escape(data)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<main><h1>Audit of {html.escape(data)}</h1>"
        f'<p class="facts">Studies: {html.escape(counts)}. Labels: {html.escape(labels or "none")}. '
        f"{warned} of {len(checks)} checks warn.</p>{body}</main></html>\n"
    )


def _section(check: Check) -> str:
    return (
        f'<section class="{check.kind}"><span class="mark">{check.verdict}</span>'
        f"<h2>{html.escape(check.name)}</h2><p>{html.escape(check.message)}.</p>{_table(check)}</section>"
    )


def _table(check: Check) -> str:
    rows = check.rows
    if not rows:
        return ""
    names = [name for name, value in rows[0].items() if not isinstance(value, Mapping)]
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(_cell(row[name]))}</td>' for name in names)}</tr>" for row in rows
    )
    # A table wider than the window is scrolled, which needs a place that keys can reach.
    place = f'<div class="wide" role="group" tabindex="0" aria-label="{html.escape(check.name)}">'
    return f"{place}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
