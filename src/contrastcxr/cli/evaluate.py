"""`contrastcxr evaluate`: a model, or readings made elsewhere, against references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contrastcxr import api
from contrastcxr.cli import complete, output
from contrastcxr.errors import RequestError
from contrastcxr.files import find_checkpoint

if TYPE_CHECKING:
    from contrastcxr.evaluation import Evaluation, SystemScores
    from contrastcxr.metrics.scores import Score

PLACED = ("tiou_0.3", "pointing", "false_boxes")
RETRIEVED = ("retrieval/image_to_text_10", "retrieval/text_to_image_10")
SHOWN = ("bleu_4", "rouge_l", "cider", "positive_f1", "auc_mean", *PLACED, *RETRIEVED)
WITHOUT_WORDS = ("positive_f1", "auc_mean", "calibration_error", "brier", *PLACED)
"""What is said first, with and without reports on both sides."""
BESIDE = ("mean_box", "constant", "ceiling")
"""Readers whose localization stands below the system's."""
RETRIEVAL = "retrieval"
"""The metric that needs no weights but the model's own."""


Model = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL", help="A bundled name, a checkpoint or a run folder.", autocompletion=complete.models
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME[=PATH]",
        help="A learned score, weights here: bertscore=DIR[,layer=N], chexbert=DIR, radgraph=DIR|FILE.jsonl; or "
        "retrieval, of a model trained with losses wcl.",
    ),
]
Reference = Annotated[
    str | None, typer.Option("--reference", help="Author of the references; default each study's first.")
]
Partial = Annotated[
    bool, typer.Option("--allow-partial", help="Score the studies that have a reading, and say how many.")
]
Joins = Annotated[
    list[str] | None,
    typer.Option("--join", metavar="NAME=A,B", help="Hear A and B of the system as NAME, by the maximum."),
]
Split = Annotated[
    str | None, typer.Option("--split", help="Split of the data; default that of its name, else test.")
]
Attributes = Annotated[
    str | None,
    typer.Option(
        "--attributes",
        metavar="LIST",
        help="Hear all findings of a list as one, on both sides, and score its words.",
        autocompletion=complete.attribute_lists,
    ),
]


@output.verb
def evaluate(
    said: output.Output,
    model: Model = None,
    data: Annotated[
        str, typer.Option("--data", help="A data name, such as phantom:standard.", autocompletion=complete.sources)
    ] = ...,  # type: ignore[assignment]
    readings: Annotated[
        Path | None,
        typer.Option("--readings", help="Readings instead of a model: JSON or a table of study_id and text."),
    ] = None,
    split: Split = None,
    protocol: Annotated[str, typer.Option("--protocol", help="corrected or as-published.")] = "corrected",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the evaluation.")] = Path("evaluation"),
    reference: Reference = None,
    join: Joins = None,
    attributes: Attributes = None,
    allow_partial: Partial = False,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Constant report, nearest neighbour and bounds.")
    ] = True,
    metric: Metrics = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first so many studies only.")] = None,
    cache: output.Cache = None,
    set_: output.Search = None,
    allow_pickle: output.AllowPickle = False,
    device: output.Device = "cpu",
    dtype: output.Dtype = None,
    seed: output.Seed = 0,
) -> None:
    """Score a model or given readings, with intervals, beside readers that cannot read."""
    checkpoint = _checkpoint(model, readings, data, searched=set_ or ())
    # Imported here: PyTorch takes seconds, and neither --help nor a wrong name must wait for it.
    from contrastcxr.evaluation import Bootstrap, load_readings
    from contrastcxr.evaluation.joining import parse_joined
    from contrastcxr.metrics.learned import ask

    # Before hours of reading, not after.
    learned = ask([name for name in metric or () if name != RETRIEVAL], allow_pickle=allow_pickle)
    found = api.evaluate(
        checkpoint if readings is None else load_readings(readings),
        data=data,
        split=split,
        protocol=protocol,
        out=out,
        reference=reference,
        joined=parse_joined(join or ()),
        attributes=attributes,
        allow_partial=allow_partial,
        baselines=baselines,
        learned=learned,
        retrieval=RETRIEVAL in (metric or ()),
        limit=limit,
        bootstrap=Bootstrap(seed=seed),
        cache=cache,
        device=device,
        dtype=dtype,
        allow_pickle=allow_pickle,
        overrides=set_ or (),
    )
    _tell(said, found, out)


def _checkpoint(model: str | None, readings: Path | None, data: str, *, searched: Sequence[str]) -> Path:
    """Return the file to score, or that of the readings; refuse a wrong request before anything slow is loaded."""
    from contrastcxr.data.sources import parse_data

    if readings is not None and searched:
        raise RequestError(f"--set {searched[0]} with --readings: readings are not searched for; give a MODEL")
    if model is None and readings is not None:
        found = readings
    elif model is not None and readings is None:
        found = find_checkpoint(model)
    else:
        raise RequestError("give either a MODEL or --readings FILE")
    parse_data(data)
    return found


def _tell(said: output.Output, found: Evaluation, out: Path) -> None:
    said.result(summary(found, out))
    said.result_json(found.to_dict())
    for failure in found.failures:
        said.complain(f"failed: {failure}")
    said.fail_if(found.failures)


def summary(found: Evaluation, out: Path) -> str:
    """Return the main scores of every system that has one, why some are empty, notes, and where the rest is."""
    lines = [f"{found.data}, {found.split}, {found.facts['studies']}, protocol {found.protocol}"]
    for name, system in found.systems.items():
        figures = [f"{key} {score.text()}" for key, score in _main(system).items()]
        lines += [f"{name}: {'  '.join(figures)}"] if figures else []
    lines += _empty(found.systems["system"])
    return "\n".join([*lines, *_places(found.systems), *found.notes, str(out / "report.html")])


def _main(system: SystemScores) -> dict[str, Score]:
    """Return the scores that are said first; empty ones too where reports are compared."""
    compared = system.table.bleu is not None
    found = {key: system.scores.get(key) for key in (SHOWN if compared else WITHOUT_WORDS)}
    return {k: score for k, score in found.items() if score is not None and (compared or score.value is not None)}


def _empty(system: SystemScores) -> list[str]:
    """Return why main scores of the system are empty; one line for all of words without reports."""
    from contrastcxr.metrics.sheet import reasons

    if system.table.bleu is not None:
        return reasons({"system": _main(system)})
    without = f"words are not scored: {system.scores['bleu_4'].note}"
    probabilities = {"auc_mean": system.scores["auc_mean"]} if system.table.probabilities is not None else {}
    return [without, *reasons({"system": probabilities})]


def _places(systems: Mapping[str, SystemScores]) -> list[str]:
    """Return the table of localization: the share of images localized, by finding and T(IoU)."""
    from contrastcxr.evaluation.report.localization import boxed_findings, few_boxes

    if systems["system"].table.iou is None:
        return []
    beside = [name for name in BESIDE if name in systems and systems[name].table.iou is not None]
    rows = [_place_row(systems["system"], finding, finding) for finding in boxed_findings(systems)]
    means = [_place_row(systems[name], "", f"mean, {name}") for name in ("system", *beside)]
    few = few_boxes(systems)
    return [
        "share of images localized, by what the IoU is above, and of peaks inside a box; mean IoU; AP of boxes:",
        output.table([*rows, *means]),
        *([f"boxes on too few images: {', '.join(few)}"] if few else []),
    ]


def _place_row(system: SystemScores, finding: str, title: str) -> dict[str, str]:
    from contrastcxr.metrics.localization import THRESHOLDS

    columns = {
        **{f"> {t}": f"tiou_{t}" for t in THRESHOLDS},
        "peak": "pointing",
        "mIoU": "miou",
        "AP .5": "map_0.5",
    }
    names = {column: f"{score}/{finding}" if finding else score for column, score in columns.items()}
    images = system.scores.get(names["peak"])
    count = {"n": str(images.n) if finding and images else ""}
    return {"finding": title, **count, **{column: _bare(system, name) for column, name in names.items()}}


def _bare(system: SystemScores, name: str) -> str:
    """Return a figure without its interval."""
    score = system.scores.get(name)
    return "–" if score is None else score.text(2).partition(" ")[0]
