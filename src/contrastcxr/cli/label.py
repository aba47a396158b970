"""`contrastcxr label [FILE…]`: report texts in, the 14 CheXpert findings out, with the words that said so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from contrastcxr.cli import output
from contrastcxr.data.report_files import Columns, ReportText, ReportTexts, check_form
from contrastcxr.data.source import one_input
from contrastcxr.errors import DatasetError, InputError, RequestError, listed
from contrastcxr.form import Finding
from contrastcxr.text.given_labels import Agreement

STANDARD_INPUT = "standard input"
LABELERS = ("rules", "chexbert")
Label = Callable[[str], tuple[Finding, ...]]


@output.verb
def label(
    said: output.Output,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            readable=False,  # one that cannot be opened is a failure among others
            help="JSON or a table of study_id and text, or plain text; none, or -, reads standard input.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--input-format", help="jsonl, csv or text; default by name or content."),
    ] = None,
    id_column: Annotated[
        str | None, typer.Option("--id-column", help="Column, or JSON key, of the id; default study_id.")
    ] = None,
    text_column: Annotated[
        str,
        typer.Option("--text-column", help="Of the text; comma between several, which are joined. Default text."),
    ] = "",
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Compare with the finding columns of a table (1, 0, -1, blank, or the four words)."
        ),
    ] = False,
    labeler: Annotated[str, typer.Option("--labeler", help="rules, or chexbert with --weights.")] = "rules",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="CheXbert's checkpoint on this machine.")
    ] = None,
    allow_pickle: output.AllowPickle = False,
) -> None:
    """Label report texts: 14 findings, and the words that said so. Research use; not a medical device."""
    failures: list[str] = []

    def fail(error: InputError) -> None:
        failures.append(str(error))
        said.complain(f"failed: {error}")

    columns = Columns(study_id=id_column, text=output.parts(text_column), labels=check)
    texts = ReportTexts(on_failure=fail, form=check_form(form) or ("csv" if check else None), columns=columns)
    answer = _labeler(labeler, weights, allow_pickle=allow_pickle)
    agreement, done = Agreement(), 0
    for one, found in _labelled(_reports(texts, files or [Path("-")]), answer, fail):
        _take(said, agreement, one, found)
        done += 1
    if not (done or failures):
        fail(_no_report(files))
    if check:
        said.result("\n".join(agreement.in_words()) if agreement.reports else "nothing to check")
        said.result_json(agreement.to_dict())
    if failures:
        said.complain(f"{len(failures)} failed, {done} labelled")
    said.fail_if(failures or not agreement.whole)


def _reports(texts: ReportTexts, paths: Sequence[Path]) -> Iterator[ReportText]:
    for path in paths:
        if str(path) == "-":
            yield from texts.stream(sys.stdin.buffer, name=STANDARD_INPUT, study_id="stdin")
        else:
            yield from texts.files([path])


def _labelled(
    reports: Iterable[ReportText], answer: Label, fail: Callable[[InputError], None]
) -> Iterator[tuple[ReportText, Sequence[Finding]]]:
    """Yield each report with its findings; one at which the labeler fails goes to `fail`."""
    for one in reports:
        try:
            with one_input(one.study_id):
                found = answer(one.text)
        except InputError as error:
            fail(error)
        else:
            yield one, found


def _labeler(name: str, weights: Path | None, *, allow_pickle: bool) -> Label:
    if name not in LABELERS:
        raise RequestError(f"unknown labeler '{name}'; known: {listed(LABELERS)}")
    if name == "rules":
        if weights is not None:
            raise RequestError("--weights are those of chexbert; add --labeler chexbert, or leave them out")
        from contrastcxr.text.labeler import default_labeler

        return default_labeler().label
    if weights is None:
        raise RequestError("--labeler chexbert needs --weights, CheXbert's checkpoint on this machine")
    from contrastcxr.text.chexbert import CheXbert

    return CheXbert.load(weights, allow_pickle=allow_pickle).label


def _no_report(files: Sequence[Path] | None) -> DatasetError:
    named = ", ".join(map(str, files or ())) or STANDARD_INPUT
    return DatasetError(f"{named}: no report; expected one a row or line; check how it was written")


def _take(said: output.Output, agreement: Agreement, one: ReportText, findings: Sequence[Finding]) -> None:
    """Print the findings of a report, or compare them with the labels beside it."""
    if one.labels is not None:
        agreement.add(one.study_id, one.labels, findings)
    elif said.as_json:
        typer.echo(json.dumps(document(one, findings), ensure_ascii=False))
    elif one.alone:
        said.result("\n".join(lines(one, findings)))
    else:
        said.result(f"{one.study_id}: {in_one_line(findings)}")


def document(one: ReportText, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what `--json` writes of one report."""
    return {"study_id": one.study_id, "findings": [_finding(finding, one.text) for finding in findings]}


def _finding(finding: Finding, text: str) -> dict[str, Any]:
    spans = [{**span.model_dump(), "text": text[span.start : span.end]} for span in finding.spans]
    said = {name: getattr(finding, name) for name in ("name", "status", "side", "severity")}
    return {**said, "spans": spans}


def lines(one: ReportText, findings: Sequence[Finding]) -> list[str]:
    """Return the findings of one report, a line each: name, status, attributes, and the words that said so."""
    wide = max(len(finding.name) for finding in findings)
    return [_line(finding, one.text, wide).rstrip() for finding in findings]


def _line(finding: Finding, text: str, wide: int) -> str:
    attributes = " ".join(word for word in (finding.severity, finding.side) if word)
    words = " | ".join(" ".join(text[span.start : span.end].split()) for span in finding.spans)
    return f"{finding.name:<{wide}}  {finding.status:<11}  {attributes:<18}  {words}"


def in_one_line(findings: Sequence[Finding]) -> str:
    """Return the names of a report's findings by status, those unmentioned left out."""
    parts = []
    for status in ("present", "uncertain", "absent"):
        names = [finding.name for finding in findings if finding.status == status]
        if names:
            parts.append(f"{status} {', '.join(names)}")
    return "; ".join(parts) or "nothing mentioned"
