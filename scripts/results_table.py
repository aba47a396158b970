"""Writes docs/results.md from the records of all experiments, and the README's table from those of the first.

    python scripts/results_table.py                    # docs/results.md, and the README table on standard output
    python scripts/results_table.py --readme README.md # puts the table between the two markers of the README

Every figure and every sentence comes from the records; nothing is typed in.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastcxr.data.sources import parse_data
from contrastcxr.files import atomic_write
from contrastcxr.metrics.bootstrap import Interval
from contrastcxr.metrics.seeds import SeedDifference
from contrastcxr.reproduce import PAPERS, Places, find_plan, task_of
from contrastcxr.reproduce.effects import CONTROLS, ContrastEffect
from contrastcxr.reproduce.plan import PLAIN
from contrastcxr.reproduce.pooled import Mean, Pooled, by_votes, pool
from contrastcxr.reproduce.record import FIRST_RECIPE
from contrastcxr.reproduce.row_page import SHORT, columns
from contrastcxr.reproduce.sentences import sentence

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
FIRST, DECODERS = ("first",), ("decoders", "table5")
"""Tables of paper A, as `reproduce` names them, whose rows stand in one part of the page."""
POOLS = {
    "none": "none",
    "normal": "normal images",
    "random": "random images (control)",
    "zeros": "zeros (control)",
}
PARTS = {
    "none": "none",
    "da": "no Aggregate Attention",
    "n1": "1 repeat",
    "n2": "2 repeats",
    "n4": "4 repeats",
    "normal": "6 repeats",
    "n8": "8 repeats",
    "n10": "10 repeats",
}
WEIGHTS = {"package": "ImageNet weights", "hub": "weights of the hub", "random": "random weights"}
BASELINES = {
    "constant": "constant report",
    "commonest": "always the five commonest findings",
    "neighbour": "nearest neighbour",
    "ceiling": "ceiling: the truth in other words",
    "floor": "floor: reports of other studies",
}


def main() -> None:
    arguments = _arguments()
    places = Places(arguments.results, Path("runs"), Path(".cache"))
    first = _pools(places, FIRST)
    if not first:
        raise SystemExit(
            f"{places.results}: no records; run `contrastcxr reproduce contrastive-attention {FIRST[0]}`"
        )
    later = _later(places)
    with atomic_write(arguments.out) as file:
        file.write(page(first, _pools(places, DECODERS), later))
    block = readme_table(next(iter(later.values()), first))
    if arguments.readme is None:
        print(block)
    else:
        put(block, arguments.readme)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    parser.add_argument("--readme", type=Path)
    return parser.parse_args()


def _pools(places: Places, tables: Sequence[str]) -> list[Pooled]:
    """Every seed's records of the tables' rows, data by data.

    Phantoms come first: they carry the claim's test.
    """
    paths: dict[str, dict[Path, None]] = {}
    for table in tables:
        plan, folder = find_plan("contrastive-attention", table)
        for data in plan.data:
            task = task_of(plan, folder, parse_data(data if ":" in data else f"{data}:."))
            paths.setdefault(data, {}).update(dict.fromkeys(places.paths(task)))
    found = (
        pool(paths[data], judging=plan.judging)
        for data in sorted(paths, key=lambda name: (not name.startswith("phantom"), name))
    )
    return [each for each in found if each is not None]


def _later(places: Places) -> dict[str, list[Pooled]]:
    """By title, the rows of every plan of a later recipe; those that have none recorded are left out."""
    found = {}
    for table in PAPERS["contrastive-attention"]:
        plan, _ = find_plan("contrastive-attention", table)
        if plan.recipe != FIRST_RECIPE and (pools := _pools(places, (table,))):
            found[f"{plan.title} (recipe: {plan.recipe})"] = pools
    return found


def put(block: str, readme: Path) -> None:
    """Replace what stands between the markers of a page."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{readme}: expected the markers {BEGIN} and {END}; put them where the table belongs")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    with atomic_write(readme) as file:
        file.write(pattern.sub(lambda _: f"{BEGIN}\n{block}\n{END}", text))


def readme_table(pools: Sequence[Pooled]) -> str:
    """The sentence and a table of a few rows; data on which nothing can be compared yet are left out."""
    pools = [p for p in pools if any(PLAIN in found.over for found in p.comparisons)] or pools
    shown = tuple(dict.fromkeys((*pools[0].judging.primaries, "positive_f1", "auc_mean", "bleu_4")))
    head = ["decoder", "pool compared with", *(f"{p.data} {SHORT[s]}" for p in pools for s in shown)]
    lines = [sentence(pools), "", _line(head), _line(["---", "---", *["---:"] * (len(head) - 2)])]
    for system in dict.fromkeys(c.system for p in pools for c in p.comparisons):
        for contrast in POOLS:
            cells = [_row_cell(p, f"{system}-{contrast}", s) for p in pools for s in shown]
            if any(cell != "–" for cell in cells):
                lines.append(_line([system, POOLS[contrast], *cells]))
    seeds = "; ".join(f"{p.data}: {_seed_words(p)}" for p in pools)
    signed = "; ".join(joined(p.trained_signatures) for p in pools)
    said = [
        f"{MEANING} ({seeds}). All scores: docs/results.md.",
        "",
        f"Comparable with figures of the same signature and recipe only: {signed}; recipe: {pools[0].recipe}.",
        *([OLD] if pools[0].recipe == FIRST_RECIPE else []),
    ]
    return "\n".join([*lines, "", *said])


MEANING = "Mean over seeds (95% bootstrap interval over patients) ± standard deviation over seeds"


def joined(signatures: Sequence[str]) -> str:
    """Signatures as code; those that differ in values alone are one, a part's values in braces: `n:{289, 288}`."""
    alike: dict[tuple[str, ...], list[list[str]]] = {}
    for signature in signatures:
        parts = signature.split("|")
        alike.setdefault(tuple(part.partition(":")[0] for part in parts), []).append(parts)
    lines = (
        "|".join(_one_part(list(dict.fromkeys(v))) for v in zip(*found, strict=True)) for found in alike.values()
    )
    return " and ".join(f"`{line}`" for line in lines)


def _one_part(values: Sequence[str]) -> str:
    if len(values) == 1:
        return values[0]
    end = (
        max(k for k in range(len(values[0])) if values[0][k] in ":=" and len({v[: k + 1] for v in values}) == 1)
        + 1
    )
    return f"{values[0][:end]}{{{', '.join(value[end:] for value in values)}}}"


def page(
    first: Sequence[Pooled], decoders: Sequence[Pooled] = (), later: Mapping[str, Sequence[Pooled]] | None = None
) -> str:
    """`docs/results.md`."""
    parts = [
        "# Results",
        "",
        "Written by `scripts/results_table.py` from the records in `results/`; do not edit by hand.",
        "Does Contrastive Attention help, and is it the contrast that helps? A decoder runs plain, with a pool",
        "of normal images, and with two control pools of equal size. A gain that a control also has is width, not",
        "contrast. A verdict needs two seeds: its intervals are over seeds and patients (docs/evaluation.md).",
        "Rows of different recipes are never compared (docs/recipe.md).",
        *(line for title, found in (later or {}).items() for line in _experiment(title, found)),
        "",
        "## The first experiment",
        "",
        f"Two decoders, both controls, three seeds. {OLD}",
        "",
        sentence(first),
        *(line for found in first for line in _data(found)),
    ]
    if decoders:
        parts += [
            "",
            "## All decoders",
            "",
            "Thirteen decoders without and with contrast. Some rows also have control pools or several seeds;",
            "a row that is missing has not been run. On phantoms the encoder and the draw are others than in the",
            "first experiment (docs/evaluation.md); each part names its own. Published and measured side by side,",
            f"with p-values corrected for all tests: `results/decoders/*/*.md`. {OLD}",
            "",
            sentence(decoders),
            *(line for found in decoders for line in _data(found)),
        ]
    return "\n".join(parts).rstrip() + "\n"


OLD = "These are rows of the first recipe, whose stopping rule favoured plain rows (docs/recipe.md)."


def _experiment(title: str, found: Sequence[Pooled]) -> list[str]:
    """An experiment as a section of the page."""
    return ["", f"## {title}", "", sentence(found), *(line for each in found for line in _data(each))]


def _data(found: Pooled) -> list[str]:
    """All of an experiment on one source of data."""
    parts = [_scores(found), _differences(found), _repeats(found), _claim(found), _cost(found)]
    return ["", f"### {found.data}", *(line for part in parts if part for line in ["", *part])]


def _scores(found: Pooled) -> list[str]:
    """Every row's main scores, the baselines first."""
    shown = columns(found)
    named = {f"{c.system}-{k}": f"{c.system}, {name}" for c in found.comparisons for k, name in POOLS.items()}
    voted = {by_votes(row): f"{name}, by votes" for row, name in named.items()}
    rows = [
        *BASELINES.items(),
        *(pair for pairs in zip(named.items(), voted.items(), strict=True) for pair in pairs),
    ]
    lines = [_line(["", *(SHORT[c] for c in shown)]), _line(["---", *["---:"] * len(shown)])]
    lines += [
        _line([title, *(_row_cell(found, name, c) for c in shown)])
        for name, title in rows
        if name in found.means or name in BASELINES
    ]
    said = f"{_meaning(found)}; {_seed_words(found)}. The rows that train nothing have no interval here."
    return [*lines, "", said, "", f"Signature: {joined(found.signatures)}; recipe: {found.recipe}."]


def _differences(found: Pooled) -> list[str]:
    """What the pool of normals changes, over seeds and patients."""
    lines = [
        "Contrast with the pool of normals minus the other row, 95% interval over seeds and patients (p.: of one",
        "seed, over patients alone, which says nothing of other seeds):",
        "",
    ]
    lines += [_line(["decoder", "minus", *(SHORT[s] for s in found.judging.compared)])]
    lines += [_line(["---", "---", *["---:"] * len(found.judging.compared)])]
    for name, comparison in _compared(found):
        for other in (PLAIN, *CONTROLS):
            if other in comparison.over:
                cells = [_difference(comparison.over[other].get(s)) for s in found.judging.compared]
                lines.append(_line([name, POOLS[other], *cells]))
    to_plain = [d for comparison in found.comparisons for d in comparison.over.get(PLAIN, {}).values()]
    tests = sum(difference.known for difference in to_plain)
    chance = (
        f"Of {tests} intervals over seeds to the plain system, about {tests * 0.05:.1f} would miss zero by chance "
        "alone; p-values with Holm's correction stand in `results/`."
    )
    return [*lines, "", *(f"- {_conclusion(name, c)}" for name, c in _compared(found) if c.over), "", chance]


def _compared(found: Pooled) -> list[tuple[str, ContrastEffect]]:
    """The decoders, and those whose reports are also chosen by votes."""
    beams = [(comparison.system, comparison) for comparison in found.comparisons]
    return beams + [(f"{comparison.system}, by votes", comparison) for comparison in found.votes]


def _conclusion(name: str, comparison: ContrastEffect) -> str:
    said = ", ".join(f"{SHORT[score]} {comparison.outcome(score)}" for score in comparison.judging.compared)
    seeds = _seeds(comparison.seeds.get(PLAIN, ()))
    others = "; ".join(sorted({_seeds(found) for found in comparison.seeds.values()} - {seeds}))
    return f"{name}, {seeds}{f' (controls: {others})' if others else ''}: {said}."


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds)) or 'none shared'}"


def _repeats(found: Pooled) -> list[str]:
    """Parts of Contrastive Attention and its repeats, where rows of them stand (paper A, Table 5)."""
    further = [part for part in PARTS if part not in POOLS]
    systems = [c.system for c in found.comparisons if any(f"{c.system}-{part}" in found.means for part in further)]
    if not systems:
        return []
    lines = [
        "Parts of Contrastive Attention (paper A, Table 5); six repeats are the setting of all other rows:",
        "",
        _line(["decoder", "contrast", *(SHORT[s] for s in found.judging.compared)]),
        _line(["---", "---", *["---:"] * len(found.judging.compared)]),
    ]
    for system in systems:
        for contrast, name in PARTS.items():
            if f"{system}-{contrast}" in found.means:
                cells = [_row_cell(found, f"{system}-{contrast}", score) for score in found.judging.compared]
                lines.append(_line([system, name, *cells]))
    return lines


def _claim(found: Pooled) -> list[str]:
    """The papers' claim on twins."""
    if not found.twins:
        return []
    lines = [
        "Twins: R is how far a lesion moves a feature, over how far another pose moves it (geometric mean).",
        "The claim asks for R of the difference above R of the global feature, the whole interval.",
        "",
        _line(["row", "R of v̂", "R of v^d", "gain", "claim", "side words that swap with the mirror"]),
        _line(["---", "---:", "---:", "---:", "---", "---:"]),
    ]
    for row in found.twins:
        swapped = (
            f"{_interval(row.swapped)}, n {row.swapped.n}" if row.swapped.n else "– (no sided finding called)"
        )
        if row.claim is None:
            lines.append(_line([row.row, "–", "–", "–", "–", swapped]))
        else:
            parts = [_interval(row.claim.pooled), _interval(row.claim.difference), _change(row.claim.gain)]
            lines.append(_line([row.row, *parts, "holds" if row.claim.holds else "does not hold", swapped]))
    return lines


def _cost(found: Pooled) -> list[str]:
    seconds = sum(sum(record.seconds.values()) for record in found.records)
    versions = {
        f"{k} {v}" for record in found.records for k, v in record.versions.items() if k in ("torch", "timm")
    }
    encoders = dict.fromkeys(_encoder(record.config["encoder"]) for record in found.records)
    return [
        f"{len(found.records)} records, {seconds / 3600:.1f} h of the machine; {', '.join(sorted(versions))}. "
        f"Encoder: {' and '.join(encoders)}.",
    ]


def _encoder(part: Mapping[str, Any]) -> str:
    """The encoder of a configuration in words."""
    weights = WEIGHTS.get(part["weights"], f"weights `{part['weights']}`")
    return f"`{part['name']}`, {weights}, {'trained along' if part['trainable'] else 'frozen'}"


def _seed_counts(found: Pooled) -> tuple[int, int]:
    """The fewest and the most seeds of a trained row; 0 where there is none."""
    trained = (scores for name, scores in found.means.items() if name not in BASELINES)
    counts = [scores["bleu_4"].seeds for scores in trained if "bleu_4" in scores]
    return min(counts, default=0), max(counts, default=0)


def _meaning(found: Pooled) -> str:
    return MEANING if _seed_counts(found)[1] > 1 else "Score (95% bootstrap interval over patients)"


def _seed_words(found: Pooled) -> str:
    low, high = _seed_counts(found)
    if not high:
        return "no trained row yet"
    if low < high:
        return f"{low} to {high} seeds a row, the others have not been run"
    return f"{high} seed{'s' if high > 1 else ''}"


def _row_cell(found: Pooled, row: str, name: str) -> str:
    """A score of a row with its interval over patients, where study tables give one."""
    mean, score = found.means.get(row, {}).get(name), found.intervals.get(row, {}).get(name)
    if mean is None or score is None or score.value is None or score.low is None or score.high is None:
        return _cell(mean)
    deviation = "" if mean.deviation is None else f" ± {_figure(mean.deviation)}"
    return f"{_figure(score.value)} ({_figure(score.low)}–{_figure(score.high)}){deviation}"


def _cell(mean: Mean | None) -> str:
    if mean is None:
        return "–"
    return _figure(mean.mean) + ("" if mean.deviation is None else f" ± {_figure(mean.deviation)}")


def _interval(found: Interval) -> str:
    return f"{_figure(found.value)} ({_figure(found.low)} to {_figure(found.high)})"


def _difference(found: SeedDifference | None) -> str:
    """A difference with its interval over seeds and patients; over patients alone, and named so, of one seed."""
    if found is None:
        return "–"
    ends, which = (found, "") if found.known else (found.patients, "p. ")
    return f"{found.value:+.3f} ({which}{ends.low:+.3f} to {ends.high:+.3f})"


def _change(found: Interval) -> str:
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
