"""`contrastcxr read PATH…`: radiographs in, readings out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contrastcxr.api import DEFAULT_MODEL
from contrastcxr.cli import complete, output
from contrastcxr.errors import OutputError
from contrastcxr.reading.session import ReadingSession, WrittenReading, open_session
from contrastcxr.write.as_sentences import writes_no_report

if TYPE_CHECKING:
    from contrastcxr.data.source import Failure

SHOWN = 12

PoolRoots = Annotated[
    list[str] | None,
    typer.Option(
        "--pool-root",
        metavar="NAME:PATH",
        help="Show the normals compared with, from this data.",
        autocompletion=complete.sources,
    ),
]


@output.verb
def read(
    said: output.Output,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            readable=False,  # one that cannot be opened is a failure among others
            help="DICOM, PNG or JPEG files, folders, a DICOMDIR, or a manifest; a folder's studies.jsonl is one.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A bundled name, a file or a run folder.", autocompletion=complete.models
        ),
    ] = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the readings.")] = Path("readings"),
    formats: Annotated[str, typer.Option("--format", "-f", help="html, json, or both.")] = "html,json",
    pool_root: PoolRoots = None,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Keep the identifiers of DICOM studies instead of hashes.")
    ] = False,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="N|NAME", help="Show DICOM files with this window instead of the first."),
    ] = None,
    set_: output.Search = None,
    allow_pickle: output.AllowPickle = False,
    device: output.Device = "cpu",
    dtype: output.Dtype = None,
    seed: output.Seed = 0,
) -> None:
    """Read studies and write a page of each. Research use; not a medical device."""
    from contrastcxr.data.sources import parse_data

    session = open_session(
        model=model,
        out=out,
        formats=output.parts(formats),
        pool_roots=[parse_data(root) for root in pool_root or ()],
        device=device,
        dtype=dtype,
        seed=seed,
        allow_pickle=allow_pickle,
        window=window,
        overrides=set_ or (),
    )

    failures: list[Failure] = []
    passed = Counter[str]()
    studies = session.find(paths, keep_ids=keep_ids, on_failure=failures.append, passed=passed)
    steps = session.read(studies, on_failure=failures.append)
    done = list(said.progress(steps, total=len(studies), doing="reading"))
    _conclude(said, session, done, failures, passed, keep_ids=keep_ids)


def _conclude(
    said: output.Output,
    session: ReadingSession,
    done: Sequence[WrittenReading],
    failures: Sequence[Failure],
    passed: Mapping[str, int],
    *,
    keep_ids: bool,
) -> None:
    # Imported here: `data` takes a moment, and a wrong request needs none of it.
    from contrastcxr.data.source import Failure

    # A path can name the patient: what is passed on has none, unless identifiers are kept.
    passed_on = failures if keep_ids else [failure.without_path() for failure in failures]
    try:
        index = session.finish(done, passed_on)
    except OutputError as error:
        index, failures = None, [*failures, Failure.of(session.out, error)]
    if done:
        said.result(summary(done, index))
    said.result_json(
        {
            "readings": [_line(each) for each in done],
            "failures": [vars(each) for each in passed_on],
            "passed over": dict(passed),
        }
    )
    for failure in failures:
        said.complain(f"failed: {failure.message}")
    if failures:
        said.complain(f"{len(failures)} failed, {len(done)} read")
    said.fail_if(failures)


def _line(done: WrittenReading) -> dict[str, object]:
    return {
        "study_id": done.reading.study_id,
        "present": sorted(done.reading.present()),
        "report": done.reading.report.findings,
        "files": {name: str(path) for name, path in done.files.items()},
    }


def summary(done: Sequence[WrittenReading], index: Path | None) -> str:
    """Return one screen on what was read, and where the pages are."""
    rows = [
        {
            "study": each.reading.study_id,
            "view": each.position,
            "present": _present(each),
            "report begins": _first_sentence(each),
        }
        for each in done[:SHOWN]
    ]
    rest = [f"… and {len(done) - SHOWN} more"] if len(done) > SHOWN else []
    return "\n".join([output.table(rows), *rest, "", *_where(done, index)])


def _present(done: WrittenReading) -> str:
    found = [f for f in done.reading.findings if f.status == "present"]
    found.sort(key=lambda f: -(f.probability or 0))
    names = [f.name if f.probability is None else f"{f.name} {f.probability:.2f}" for f in found]
    return ", ".join(names) or "none"


def _first_sentence(done: WrittenReading) -> str:
    if writes_no_report(done.reading):
        return "(writes none)"
    return done.reading.report.sentences[0] if done.reading.report.sentences else "(empty)"


def _where(done: Sequence[WrittenReading], index: Path | None) -> list[str]:
    files = [each.files for each in done]
    pages = [paths["html"] for paths in files if "html" in paths]
    lines = [f"{len(done)} read by {done[0].reading.author.name}. Research use; not a medical device."]
    if index is not None:
        lines.append(f"pages    {index}")
    elif pages:
        lines.append(f"page     {pages[0]}")
    data = [paths["json"] for paths in files if "json" in paths]
    if data:
        lines.append(f"data     {data[0]}" + (f" and {len(data) - 1} more" if len(data) > 1 else ""))
    return lines
