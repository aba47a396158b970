"""`contrastcxr data list`, `check D`, `clusters D`, `prepare D` …: sources, what they hold, cache and export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from contrastcxr import api
from contrastcxr.cli import complete, output

if TYPE_CHECKING:
    from contrastcxr.training.report_clusters import ReportClusters

SHOWN = 10
Source = Annotated[
    str,
    typer.Argument(
        metavar="D", help="A source with its root, such as nih14:/data/nih.", autocompletion=complete.sources
    ),
]

data = typer.Typer(
    help="List the data sources known, check one, prepare it for training, or write it as a manifest.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@data.command("list")
@output.verb
def list_(
    said: output.Output,
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Say what these can be opened as instead.")
    ] = None,
) -> None:
    """List the data sources known, or what folders can be opened as."""
    if folders:
        _list_folders(said, folders)
        return
    rows = api.list_data()
    said.result("\n\n".join("\n".join(_block(row)) for row in rows))
    said.result_json(rows)


def _list_folders(said: output.Output, folders: Sequence[Path]) -> None:
    """Print a line for each folder: the sources whose layout it has, else what it holds."""
    known = {row["folder"]: row["data"] for row in api.list_data(folders)}
    wide = max(map(len, known), default=0)
    said.result("\n".join(f"{folder:<{wide}}  {_opened_as(names)}" for folder, names in known.items()))
    said.result_json([{"folder": folder, "data": names} for folder, names in known.items()])
    for folder in folders:
        if str(folder) not in known:
            said.complain(f"{folder}: is not a folder; give the folder of a data set")
    said.fail_if(len(known) < len(set(map(str, folders))))


def _opened_as(names: Sequence[str]) -> str:
    return ", ".join(names) or "no layout of a known source; a folder of radiographs is read as it is"


def _block(row: dict[str, str]) -> list[str]:
    name, what, *details = row.items()
    return [name[1], f"  {what[1]}", *(f"  {key}: {value}" for key, value in details if value)]


@data.command()
@output.verb
def check(
    said: output.Output,
    source: Source,
    attributes: Annotated[
        str | None,
        typer.Option(
            "--attributes",
            metavar="LIST",
            help="Count attributes in the reports: pneumonia, phantom-opacity or phantom-effusion.",
            autocompletion=complete.attribute_lists,
        ),
    ] = None,
) -> None:
    """Say what a source holds and lacks (every missing image with -v); exit status 1 when images are missing."""
    report = api.check_data(source, listed=None if said.verbose else SHOWN, attributes=attributes)
    said.result("\n".join([*_lines(report), *_attribute_lines(report.get("attributes"))]))
    said.result_json(report)
    said.fail_if(report["missing"])


@data.command()
@output.verb
def clusters(
    said: output.Output,
    source: Source,
    k: Annotated[int, typer.Option("--clusters", "-k", min=2, help="How many.")] = 13,
    embedding: Annotated[
        Literal["tfidf", "sentence", "chexbert"], typer.Option("--embedding", help="What reports are compared by.")
    ] = "tfidf",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder of a sentence encoder, or of CheXbert.")
    ] = None,
    sections: Annotated[
        Literal["findings", "impression", "findings,impression"],
        typer.Option("--sections", help="Of the reports, as text.sections has them."),
    ] = "findings",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File for the clusters, which --set losses.0.clusters.file takes."),
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", help="Whose reports; default each study's first.")
    ] = None,
    seed: output.Seed = 0,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Read CheXbert's weights from a pickle too, weights only.")
    ] = False,
) -> None:
    """Cluster the training reports of a source (paper C's weak labels), and say what each cluster holds."""
    found = api.cluster_reports(
        source,
        k=k,
        embedding=embedding,
        weights=weights,
        sections=sections.split(","),
        author=author,
        seed=seed,
        allow_pickle=allow_pickle,
    )
    if out is not None:
        found.write(out)
    said.result("\n".join([*_cluster_lines(found), *([str(out)] if out else [])]))
    said.result_json(found.to_dict())


def _cluster_lines(found: ReportClusters) -> list[str]:
    rows = [
        {
            "cluster": each.number,
            "reports": f"{each.reports:,}",
            "normal": f"{each.normal:.0%}",
            "words": ", ".join(each.words),
            "findings": ", ".join(f"{name} {share:.0%}" for name, share in each.findings.items()),
        }
        for each in found.summaries
    ]
    said = f"{len(found.numbers):,} reports, {found.k} clusters by {found.embedding}, seed {found.seed}"
    parted = "no silhouette" if found.silhouette is None else f"silhouette {found.silhouette:.3f}"
    return [f"{said}; {parted}; fingerprint {found.fingerprint}", output.table(rows)]


@data.command()
@output.verb
def prepare(
    said: output.Output,
    source: Source,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", "--out", help="Folder for what is made; default $CONTRASTCXR_CACHE or .cache."),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=32, max=4096, help="Side of the pictures in pixels.")] = 256,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes that read pictures; 0: none.")] = 0,
    tables: Annotated[bool, typer.Option("--tables", help="Write the tables alone, no pictures.")] = False,
    align: Annotated[
        str | None,
        typer.Option("--align", metavar="RUN", help="Write copies aligned by the aligner of this run instead."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="For --align, where pictures are moved: cpu, cuda, cuda:1, mps …")
    ] = "cpu",
) -> None:
    """Write a source's tables and its pictures, resized once; exit status 1 when some cannot be read."""
    made = api.prepare_data(
        source, cache=cache, size=size, pictures=not tables, workers=workers, align=align, device=device
    )
    said.result(str(made.folder))
    said.result_json({**vars(made), "folder": str(made.folder)})
    for kind, lines in (("unreadable", made.unreadable), ("missing", made.missing)):
        _complain(said, kind, lines)
    said.fail_if(made.unreadable or made.missing)


@data.command()
@output.verb
def manifest(
    said: output.Output,
    source: Annotated[
        str, typer.Argument(metavar="D", help="A source with its root, and its split if one is meant.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The manifest to write: .jsonl, .csv or .parquet.")],
) -> None:
    """Write a source's studies as a manifest, one whole study a row; exit status 1 when images are missing."""
    written, missing = api.write_manifest(source, out)
    said.result(f"{written:,} studies in {out}")
    said.result_json({"manifest": str(out), "studies": written, "missing": len(missing)})
    _complain(said, "missing", missing)
    said.fail_if(missing)


def _complain(said: output.Output, kind: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        said.complain(f"{kind}: {line}")
    if lines:
        said.complain(f"{len(lines):,} {kind}" + (f", {SHOWN} of them shown" if len(lines) > SHOWN else ""))


@data.command()
@output.verb
def audit(
    said: output.Output,
    source: Source,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for audit.html and audit.json.")] = Path(
        "audit"
    ),
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="Whose labels are looked at; default who labels most studies."),
    ] = None,
    seed: output.Seed = 0,
) -> None:
    """Look for leaks, copies and labels that are told without a lesion; exit status 1 when a check warns."""
    found = api.audit_data(source, reference=reference, seed=seed)
    found.write(out)
    said.result(
        output.table([{"": c.verdict, "check": c.name, "found": c.message} for c in found.checks])
        + f"\n{out / 'audit.html'}"
    )
    said.result_json(found.to_dict())
    said.fail_if(found.warnings)


def _lines(report: dict[str, Any]) -> list[str]:
    plain = {key: value for key, value in report.items() if key not in ("notes", "first missing", "attributes")}
    wide = max(len(key) for key in plain)
    lines = [f"{key:<{wide}}  {_words(value)}" for key, value in plain.items()]
    notes = [f"  note     {line}" for line in report["notes"]]
    return [*lines, *notes, *(f"  missing  {line}" for line in report["first missing"])]


def _attribute_lines(counts: dict[str, Any] | None) -> list[str]:
    if counts is None:
        return []
    rows = [
        {
            "attribute": name,
            "reports that state it": f"{number:,}",
            "that write it": f"{counts['written'][name]:,}",
        }
        for name, number in counts["stated"].items()
    ]
    plain = {key: value for key, value in counts.items() if key not in ("list", "stated", "written")}
    said = "; ".join(f"{key} {_words(value)}" for key, value in plain.items())
    return ["", f"attributes of the list {counts['list']}: {said}", output.table(rows)]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
