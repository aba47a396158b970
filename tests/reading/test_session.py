"""A reader with its writers: what fails is listed, and the rest is read and written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from contrastcxr.data.source import Failure, pseudonym
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import (
    CheckpointError,
    ImageError,
    IncompatibleError,
    OutputError,
    RequestError,
    UnknownNameError,
)
from contrastcxr.files import atomic_write
from contrastcxr.form import Author, Reading, Report, Study, View
from contrastcxr.reading.session import ReadingSession, check_device, open_reader, open_session
from contrastcxr.write import get_writer
from contrastcxr.write.as_json import from_json
from tiny_system import save_tiny, smooth, tiny_study


class Echo:
    """A reader that says which studies it was given together."""

    device = torch.device("cpu")
    batch_size = 5

    def __init__(self, errors: Mapping[str, Exception] | None = None) -> None:
        self.batches: list[list[str]] = []
        self.errors = errors or {}

    def read_batch(self, studies: Sequence[Study]) -> list[Reading]:
        assert all(view.pixels is not None for study in studies for view in study.views)
        self.batches.append([study.study_id for study in studies])
        for study in studies:
            if study.study_id in self.errors:
                raise self.errors[study.study_id]
        author = Author(kind="model", name="echo")
        return [
            Reading(study_id=s.study_id, author=author, report=Report(findings="Clear."), provenance={"echo": 1})
            for s in studies
        ]


class Refusing:
    """A writer that cannot write the studies of some names."""

    name = "html"

    def __init__(self, *names: str, error: Exception | None = None) -> None:
        self.names = names
        self.error = error

    def write(self, reading: Reading, study: Study, folder: Path) -> Path:
        assert reading.study_id == study.study_id
        if reading.study_id in self.names:
            raise self.error or OutputError(f"{reading.study_id}: no room")
        return folder / f"{reading.study_id}.html"


def session(out: Path | None = None, *writers: object, window: str | None = None) -> ReadingSession:
    return ReadingSession(Echo(), tuple(writers), out, window)  # type: ignore[arg-type]


def batches(made: ReadingSession) -> list[list[str]]:
    assert isinstance(made.reader, Echo)
    return made.reader.batches


def in_memory(count: int) -> list[Study]:
    return [tiny_study(f"s{number}", seed=number) for number in range(count)]


def lost(name: str) -> Study:
    return Study(study_id=name, views=(View(view_id="v", locator=f"/nowhere/{name}.png"),))


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (8, [8]), (9, [8, 1]), (17, [8, 8, 1])])
def test_studies_go_through_a_few_at_a_time_and_keep_their_order(count: int, sizes: list[int]) -> None:
    made, failures = session(), list[Failure]()
    done = list(made.read(iter(in_memory(count)), on_failure=failures.append))
    assert [each.reading.study_id for each in done] == [f"s{number}" for number in range(count)]
    assert [len(batch) for batch in batches(made)] == sizes
    assert failures == []


def test_only_as_many_studies_are_taken_as_are_read_together() -> None:
    taken: list[str] = []

    def studies() -> object:
        for study in in_memory(20):
            taken.append(study.study_id)
            yield study

    first = next(session().read(studies(), on_failure=lambda _: None))  # type: ignore[arg-type]
    assert first.reading.study_id == "s0"
    assert len(taken) == 8


def test_a_study_that_cannot_be_read_is_listed_and_the_rest_is_read() -> None:
    failures: list[Failure] = []
    few = in_memory(2)
    done = list(session().read([few[0], lost("gone"), few[1]], on_failure=failures.append))
    assert [each.reading.study_id for each in done] == ["s0", "s1"]
    assert [failure.where for failure in failures] == ["/nowhere/gone.png"]
    assert "no such file" in failures[0].message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImageError("s3: is no radiograph"), "s3: is no radiograph"),
        (ValueError("Doe^John"), "s3: cannot be read (ValueError at line"),
        (RuntimeError("not enough memory: you tried to allocate"), "s3: cannot be read (RuntimeError at line"),
        (MemoryError(), "s3: cannot be read (MemoryError at line"),
        (RecursionError(), "s3: cannot be read (RecursionError at line"),
    ],
)
def test_whatever_one_study_does_the_others_are_read_in_their_order(error: Exception, said: str) -> None:
    failures: list[Failure] = []
    made = ReadingSession(Echo({"s3": error}), (), None)  # type: ignore[arg-type]
    done = list(made.read(in_memory(10), on_failure=failures.append))
    assert [each.reading.study_id for each in done] == [f"s{number}" for number in range(10) if number != 3]
    (failure,) = failures
    assert (failure.where, failure.study_id) == ("s3", "s3")
    assert failure.message.startswith(said)
    assert "Doe" not in failure.message


def test_a_request_that_no_study_can_meet_is_said_once() -> None:
    made = ReadingSession(Echo({"s1": IncompatibleError("no such window")}), (), None)  # type: ignore[arg-type]
    with pytest.raises(IncompatibleError):
        list(made.read(in_memory(3), on_failure=lambda failure: pytest.fail(failure.message)))


def test_a_study_that_lost_some_views_is_read_and_says_so() -> None:
    failures: list[Failure] = []
    study = tiny_study("s", views=2)
    views = (*study.views, *lost("gone").views)
    [done] = session().read([study.model_copy(update={"views": views})], on_failure=failures.append)
    assert [flag.message for flag in done.reading.flags] == ["1 of the study's 3 views could not be read"]
    assert done.position == "PA + LATERAL"
    assert len(failures) == 1


def test_a_page_that_cannot_be_written_is_listed_by_study_and_the_rest_is_written(tmp_path: Path) -> None:
    failures: list[Failure] = []
    made = session(tmp_path, Refusing("s1"))
    done = list(made.read(in_memory(3), on_failure=failures.append))
    assert [each.reading.study_id for each in done] == ["s0", "s2"]
    assert [each.files["html"].name for each in done] == ["s0.html", "s2.html"]
    assert [(f.where, f.message) for f in failures] == [("s1", "s1: no room")]


def test_whatever_a_writer_does_at_one_study_the_others_are_written(tmp_path: Path) -> None:
    failures: list[Failure] = []
    made = session(tmp_path, Refusing("s1", error=ZeroDivisionError()))
    assert len(list(made.read(in_memory(3), on_failure=failures.append))) == 2
    assert [f.message.partition(" at line")[0] for f in failures] == ["s1: cannot be read (ZeroDivisionError"]


def test_without_a_folder_nothing_is_written() -> None:
    [done] = session(None, Refusing("s0")).read(in_memory(1), on_failure=lambda _: None)
    assert done.files == {}


@pytest.mark.parametrize("window", [None, "2"])
def test_a_window_that_was_asked_for_stands_in_the_provenance(window: str | None) -> None:
    [done] = session(window=window).read(in_memory(1), on_failure=lambda _: None)
    assert done.reading.provenance == {"echo": 1} | ({} if window is None else {"window": window})


def test_what_is_no_study_is_listed_when_paths_are_looked_through(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png")
    failures: list[Failure] = []
    found = session().find([tmp_path / "a.png", tmp_path / "gone"], keep_ids=False, on_failure=failures.append)
    assert [study.study_id for study in found] == ["a"]
    assert len(failures) == 1
    assert "gone" in failures[0].message


def save_picture(path: Path, seed: int = 0) -> Path:
    Image.fromarray((smooth(np.random.default_rng(seed), 120, 100) * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(("count", "indexed"), [(0, False), (1, False), (2, True), (3, True)])
def test_there_is_an_index_only_for_several_pages(tmp_path: Path, count: int, indexed: bool) -> None:
    made = session(tmp_path, get_writer("html"))
    index = made.finish(list(made.read(in_memory(count), on_failure=lambda _: None)))
    assert (index is not None) is indexed
    assert (tmp_path / "index.html").exists() is indexed
    if index is not None:
        text = index.read_text(encoding="utf-8")
        assert all(f"s{number}.html" in text for number in range(count))


@pytest.mark.parametrize(
    ("where", "shown"), [("abc", "abc"), ("a\nb.dcm", r"a\nb.dcm"), ("M\udcfcller.dcm", r"M\xfcller.dcm")]
)
def test_one_page_has_an_index_where_something_was_not_read_and_that_is_listed(
    tmp_path: Path, where: str, shown: str
) -> None:
    made = session(tmp_path, get_writer("html"))
    done = list(made.read(in_memory(1), on_failure=lambda _: None))
    index = made.finish(done, [Failure(where, f"{where}: is <empty>; copy it again")])
    assert index is not None
    text = index.read_text(encoding="utf-8")
    assert f'<td>{shown}</td><td class="text">is &lt;empty&gt;; copy it again</td>' in text


@pytest.mark.parametrize("study_id", [None, "s7"])
def test_a_failure_that_is_passed_on_names_no_path(study_id: str | None) -> None:
    failure = Failure("/in/Doe John.dcm", "/in/Doe John.dcm: is empty; copy it again", study_id)
    passed_on = failure.without_path()
    name = study_id or pseudonym("file", "/in/Doe John.dcm")
    assert (passed_on.where, passed_on.message) == (name, f"{name}: is empty; copy it again")
    assert "Doe" not in repr(passed_on)


def test_a_failure_that_names_two_paths_is_passed_on_without_either() -> None:
    passed_on = Failure(
        "/in/Doe.dcm", "/in/Doe.dcm: the same as /in/Jane.dcm", other="/in/Jane.dcm"
    ).without_path()
    one, other = pseudonym("file", "/in/Doe.dcm"), pseudonym("file", "/in/Jane.dcm")
    assert passed_on.message == f"{one}: the same as {other}"


def test_files_without_a_page_and_readings_without_a_folder_have_no_index(tmp_path: Path) -> None:
    data_only = session(tmp_path, get_writer("json"))
    done = list(data_only.read(in_memory(2), on_failure=lambda _: None))
    assert data_only.finish(done) is None
    paged = session(tmp_path, get_writer("html"))
    pages = list(paged.read(in_memory(2), on_failure=lambda _: None))
    assert replace(paged, out=None).finish(pages) is None
    assert not (tmp_path / "index.html").exists()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


def opened(model: Path | str, **changes: object) -> ReadingSession:
    request = {"out": None, "formats": ("html",), "pool_roots": (), "device": "cpu", "dtype": None, "seed": 0}
    return open_session(model=model, **{**request, **changes})  # type: ignore[arg-type]


def test_a_session_has_one_writer_for_each_format_in_the_order_asked_for(model: Path) -> None:
    made = opened(model, formats=("json", "html", "json"))
    assert [writer.name for writer in made.writers] == ["json", "html"]


def test_a_session_reads_and_writes(model: Path, tmp_path: Path) -> None:
    made = opened(model, formats=("json",), out=str(tmp_path / "out"))
    [done] = made.read([tiny_study("one", views=2)], on_failure=pytest.fail)
    assert from_json(done.files["json"].read_text(encoding="utf-8")) == done.reading
    assert done.reading.report.sentences


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"formats": ("html", "pdf")}, UnknownNameError, "unknown format 'pdf'"),
        ({"model": "phantm"}, UnknownNameError, "unknown model"),
        ({"device": "warp9"}, RequestError, r"device 'warp9' cannot be used .* choose cpu"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_made(
    model: Path, tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    request = {"model": model, "out": tmp_path / "out", **changes}
    with pytest.raises(error, match=message):
        opened(**request)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.safetensors").write_text("words")
    with pytest.raises(CheckpointError, match=r"words\.safetensors"):
        open_reader(tmp_path / "words.safetensors", device="cpu", dtype=None, seed=0, allow_pickle=False)


def test_the_processor_can_always_be_used() -> None:
    check_device("cpu")


def killed_part(folder: Path) -> Path:
    """A half-written file of a process of this machine that has ended."""
    script = (
        "import os, sys; from contrastcxr.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file: file.write('half'); file.flush(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(folder / "killed.html")], check=False)
    [part] = folder.glob(".killed.html.*.part")
    return part


def test_parts_of_a_run_that_was_killed_are_cleared_and_those_of_a_running_one_stay(
    model: Path, tmp_path: Path
) -> None:
    part = killed_part(tmp_path)
    with atomic_write(tmp_path / "mine.html") as file:
        [mine] = tmp_path.glob(".mine.html.*.part")
        opened(model)  # writes nowhere, so it clears nothing
        assert part.exists()
        opened(model, out=tmp_path)
        assert not part.exists()
        assert mine.exists()
        file.write("whole")
    assert (tmp_path / "mine.html").read_text() == "whole"


def test_a_root_of_pool_pictures_is_opened_only_when_a_picture_is_wanted(model: Path, tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png")
    missing = parse_data(f"manifest:{tmp_path / 'gone.jsonl'}")
    made = opened(model, pool_roots=(missing, parse_data(str(tmp_path))))
    assert [writer.name for writer in made.writers] == ["html"]


def test_beside_a_gpu_studies_are_loaded_ahead_and_come_in_the_same_order() -> None:
    studies = [*in_memory(9), lost("gone"), *in_memory(2), lost("lost")]
    plain, ahead = session(), session()
    ahead.reader.device = torch.device("cuda")
    heard: list[list[tuple[str, str]]] = []
    for made in (plain, ahead):
        events: list[tuple[str, str]] = []
        for done in made.read(studies, on_failure=lambda failure: events.append(("failed", failure.where))):  # noqa: B023
            events.append(("read", done.reading.study_id))
        heard.append(events)
    in_order = [[where for how, where in events if how == "read"] for events in heard]
    assert in_order[0] == in_order[1]
    assert sorted(heard[0]) == sorted(heard[1])
    assert len(heard[0]) == 13
    assert [len(batch) for batch in batches(plain)] == [8, 3]
    assert [len(batch) for batch in batches(ahead)] == [10, 1]  # two batches, the second resized beside the first
