"""Every verb as a plain function, called as a user's script would, on small phantoms."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_data import mini_config
from PIL import Image

import contrastcxr
import small_corpus
from contrastcxr import api
from contrastcxr.data.source import Failure
from contrastcxr.data.sources import SOURCES
from contrastcxr.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    InputError,
    RequestError,
    UnknownNameError,
)
from contrastcxr.evaluation import Bootstrap
from contrastcxr.form import Author, Reading, Report, Study
from contrastcxr.store.study_lines import StudyLines
from contrastcxr.write.as_json import from_json
from r2gen_files import HEADS, save_r2gen, save_vocabulary
from tiny_plan import write_plan
from tiny_system import save_tiny

QUICK = Bootstrap(replicates=50, minimum=2)
FUNCTIONS = sorted(
    name
    for name, value in vars(api).items()
    if inspect.isfunction(value) and value.__module__ == api.__name__ and not name.startswith("_")
)

RESULTS = Path(__file__).resolve().parents[1] / "results"


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three studies of level smoke, as files with a manifest."""
    folder = tmp_path_factory.mktemp("phantoms")
    api.draw_phantoms(folder, studies=3, level="smoke")
    return folder


@pytest.fixture
def manifest(phantoms: Path) -> str:
    [path] = phantoms.glob("*.jsonl")
    return f"manifest:{path}"


@pytest.fixture
def small_phantoms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Phantoms of noise in the place of drawn ones, an own cache, and no Java."""
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda _: None)


def with_a_missing_picture(folder: Path) -> Path:
    """Write a manifest of two studies, of which one has its picture."""
    Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(folder / "a.png")
    rows = [{"study_id": "a", "image": "a.png"}, {"study_id": "b", "image": "gone.png"}]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "m.jsonl"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_stands_in_the_package(name: str) -> None:
    assert getattr(contrastcxr, name) is getattr(api, name)
    assert name in contrastcxr.__all__


@pytest.mark.parametrize("name", contrastcxr.__all__)
def test_each_name_of_the_package_is_there(name: str) -> None:
    assert getattr(contrastcxr, name) is not None


def test_no_name_is_listed_twice() -> None:
    assert len(contrastcxr.__all__) == len(set(contrastcxr.__all__))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'contrastcxr' has no attribute 'raed'"):
        contrastcxr.raed  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_parameter_stands_in_the_docstring_of_a_function_that_explains_any(name: str) -> None:
    function = getattr(api, name)
    assert function.__doc__
    told = set(re.findall(r"^ {8}(\w+): ", function.__doc__.partition("Raises:")[0], re.MULTILINE))
    assert told in (set(), set(inspect.signature(function).parameters))


def test_a_folder_becomes_readings_pages_and_an_index(model: Path, phantoms: Path, tmp_path: Path) -> None:
    pictures = sorted(phantoms.rglob("*.png"))[:2]
    readings = api.read(pictures, model=model, out=tmp_path / "out")
    assert len(readings) == 2
    written = files(tmp_path / "out")
    assert [name for name in written if name.endswith(".html") and name != "index.html"]
    assert "index.html" in written
    for reading in readings:
        [kept] = [
            from_json((tmp_path / "out" / name).read_text(encoding="utf-8"))
            for name in written
            if name == f"{reading.study_id}.json"
        ]
        assert kept == reading


def test_one_path_may_stand_alone_and_nothing_is_written_without_a_folder(
    model: Path, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = next(phantoms.rglob("*.png"))
    assert api.read(path, model=model) == api.read(str(path), model=str(model)) == api.read([path], model=model)
    assert files(tmp_path) == []


def test_a_manifest_is_read_study_by_study(model: Path, phantoms: Path) -> None:
    [path] = phantoms.glob("*.jsonl")
    readings = api.read(path, model=model)
    assert [r.study_id for r in readings] == [s.study_id for s in api.load_studies(f"manifest:{path}")]


def test_the_first_input_that_cannot_be_read_raises(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"words")
    with pytest.raises(InputError, match=r"bad\.png"):
        api.read(tmp_path / "bad.png", model=model)


def test_with_a_callback_the_rest_is_read(model: Path, phantoms: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"words")
    failures: list[Failure] = []
    paths = [tmp_path / "bad.png", next(phantoms.rglob("*.png")), tmp_path / "gone.png"]
    readings = api.read(paths, model=model, on_failure=failures.append)
    assert len(readings) == 1
    assert sorted(Path(failure.where).name for failure in failures) == ["bad.png", "gone.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "fantom"}, "did you mean 'phantom'|unknown model"),
        ({"formats": ["docx"]}, "unknown format 'docx'"),
        ({"device": "toaster"}, "device 'toaster' cannot be used"),
        ({"pool_roots": ["nih41:/x"]}, "did you mean 'nih14'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_written(
    model: Path, phantoms: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        api.read(phantoms, out=tmp_path / "out", **{"model": model, **changes})
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("mini_data")
def test_a_run_leaves_a_folder_that_reads(tmp_path: Path, phantoms: Path) -> None:
    config = mini_config(train={**mini_config().model_dump()["train"], "epochs": 1})
    folder = api.train(config, out=tmp_path / "run", cache=tmp_path / "cache", progress=False, quality=False)
    assert folder.path == tmp_path / "run"
    assert folder.checkpoint.is_file()
    [reading] = api.read(next(phantoms.rglob("*.png")), model=tmp_path / "run")
    assert reading.author.kind == "model"


def test_a_file_with_changes_is_one_configuration_and_its_folder_has_name_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("contrastcxr.training.run", lambda config, **given: heard.append((config, given)))
    write_plan(tmp_path)
    api.train(tmp_path / "tiny.yaml", overrides=["train.seed=7", "width=8"])
    [(config, given)] = heard
    assert (config.name, config.width, config.train.seed) == ("tiny", 8, 7)
    assert given["out"] == Path("runs") / "tiny-seed7"
    assert (given["resume"], given["devices"], given["quality"]) == (False, 1, True)


@pytest.mark.parametrize(
    ("override", "message"),
    [("train.epochs=none", "epochs"), ("train.epoch=3", "epochs"), ("decoder.kind=nix", "nic")],
)
def test_a_wrong_value_is_refused_before_there_is_a_folder(tmp_path: Path, override: str, message: str) -> None:
    write_plan(tmp_path)
    with pytest.raises(ConfigError, match=message):
        api.train(tmp_path / "tiny.yaml", overrides=[override], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    write_plan(tmp_path)
    script = (
        "import sys; sys.modules['lightning'] = None; import contrastcxr\n"
        "from contrastcxr.errors import MissingExtraError\n"
        "try: contrastcxr.train('tiny.yaml', out='run')\n"
        "except MissingExtraError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "training needs the package 'lightning'" in ran.stdout
    assert "pip install 'contrastcxr[train]'" in ran.stdout
    assert not (tmp_path / "run").exists()


def copies(words: str | None = None) -> list[Reading]:
    author = Author(kind="model", name="someone")
    changes: dict[str, object] = {"author": author} | ({"report": Report(findings=words)} if words else {})
    return [s.readings[0].model_copy(update=changes) for s in small_corpus.corpus(split="test")]


def scored(system: Any, **options: Any) -> Any:
    return api.evaluate(system, **{"data": "phantom:smoke", "baselines": False, "bootstrap": QUICK, **options})


@pytest.mark.usefixtures("small_phantoms")
def test_readings_made_elsewhere_are_scored_on_the_test_split() -> None:
    found = scored(copies())
    assert (found.split, found.protocol) == ("test", "corrected")
    assert found.scores["bleu_4"].value == pytest.approx(1.0)


@pytest.mark.usefixtures("small_phantoms")
def test_a_model_is_named_by_its_file_and_the_split_by_the_data(model: Path) -> None:
    found = scored(model, data="phantom:smoke/validation", limit=3)
    assert (found.split, len(found.readings)) == ("validation", 3)
    assert found.readings[0].author.kind == "model"


@pytest.mark.usefixtures("small_phantoms")
def test_a_reader_is_scored_as_its_file_is(model: Path) -> None:
    reader = contrastcxr.Reader.from_checkpoint(model)
    assert scored(reader, limit=3).to_dict() == scored(str(model), limit=3).to_dict()


@pytest.mark.usefixtures("small_phantoms")
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": "phantm:smoke"}, UnknownNameError, "did you mean 'phantom'"),
        ({"protocol": "published"}, UnknownNameError, "did you mean 'as-published'"),
        ({"split": "tset"}, UnknownNameError, "did you mean 'test'"),
        ({"data": "phantom:smoke/validation", "split": "test"}, RequestError, "validation"),
        ({"system": "fantom"}, UnknownNameError, "unknown model"),
    ],
)
def test_a_wrong_request_to_score_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    request = {"system": copies(), **changes}
    with pytest.raises(error, match=message):
        scored(out=tmp_path / "out", **request)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("small_phantoms")
def test_two_evaluations_are_compared_score_by_score(tmp_path: Path) -> None:
    scored(copies(), out=tmp_path / "one")
    scored(copies("The lungs are clear."), out=tmp_path / "two")
    found = api.compare(tmp_path / "one", str(tmp_path / "two"), scores=["bleu_4"])
    [bleu] = found.scores
    assert bleu.name == "bleu_4"
    assert bleu.difference.value > 0


@pytest.mark.usefixtures("small_phantoms")
def test_a_folder_that_holds_no_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"scores\.json"):
        api.compare(tmp_path, tmp_path)


@pytest.mark.usefixtures("small_phantoms")
def test_other_protocols_are_not_compared_unless_one_says_so(tmp_path: Path) -> None:
    scored(copies(), out=tmp_path / "one")
    scored(copies(), out=tmp_path / "two", protocol="as-published")
    with pytest.raises(RequestError, match="--allow-different"):
        api.compare(tmp_path / "one", tmp_path / "two")
    assert api.compare(tmp_path / "one", tmp_path / "two", scores=["bleu_4"], allow_different=True).notes


def table(folder: Path, **changes: Any) -> api.Reproduction:
    places = {"out": folder / "results", "runs": folder / "runs", "cache": folder / "cache"}
    request = {"data": "phantom:smoke", "seeds": [0], "plan": write_plan(folder), **places, **changes}
    return api.reproduce_table("contrastive-attention", "first", **request)


@pytest.mark.usefixtures("small_phantoms")
def test_rows_that_fail_are_listed_with_their_reason_and_the_tables_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []

    def fail(_: Any, rows: Any, *, places: Any, limits: Any) -> list[tuple[Any, str]]:
        heard.append((places, limits))
        return [(row, "no room") for row in rows]

    monkeypatch.setattr("contrastcxr.reproduce.rows.run_rows", fail)
    found = table(tmp_path, rows=["nic-none"], limit=4)
    assert [why for _, why in found.failed] == ["no room"]
    assert found.failed[0][0].startswith("nic-none")
    assert found.folder.is_relative_to(tmp_path / "results")
    [(places, limits)] = heard
    assert (places.runs, places.cache) == (tmp_path / "runs", tmp_path / "cache")
    assert (limits.test, limits.twins) == (4, 4)


def test_what_is_recorded_is_kept_as_a_page_among_the_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(RESULTS / "first-experiment", tmp_path / "first-experiment")
    page = tmp_path / "first-experiment" / "phantom-standard" / "first.md"
    kept = page.read_text(encoding="utf-8")
    page.unlink()
    monkeypatch.setattr("contrastcxr.reproduce.rows.run_rows", lambda *_, **__: [])
    found = api.reproduce_table("contrastive-attention", "first", out=tmp_path, cache=tmp_path / "cache")
    assert (found.failed, found.folder) == ((), page.parent)
    assert page.read_text(encoding="utf-8") == kept


def test_what_is_recorded_takes_no_time_and_other_rows_take_that_of_records(tmp_path: Path) -> None:
    name = ("contrastive-attention", "first")
    expected, records = api.estimate_table(*name, out=RESULTS)
    assert expected == []
    assert records == len(list((RESULTS / "first-experiment" / "phantom-standard").glob("*.json")))
    (more,), _ = api.estimate_table(*name, rows=["nic-none"], seeds=[7], out=RESULTS)
    assert (more.name, more.seconds > 0) == ("nic-none-seed7", True)
    assert api.estimate_table(*name, rows=["nic-none"], seeds=[7], out=tmp_path)[1] == 0


def test_nothing_is_run_where_one_asks_for_what_is_there(tmp_path: Path) -> None:
    found = api.reproduce_table("contrastive-attention", "first", run=False, out=tmp_path, runs=tmp_path / "runs")
    assert (found.recorded, found.failed) == ((), ())
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_phantoms")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ["nix-none"]}, "did you mean 'nic-none'"),
        ({"data": "phantm:smoke"}, "did you mean 'phantom'"),
    ],
)
def test_a_row_or_data_that_is_not_there_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        table(tmp_path, **changes)
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("small_phantoms")
def test_a_paper_or_table_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match="contrastive-attention"):
        api.reproduce_table("contrastiv-attention", "first")


def test_every_known_source_has_a_line() -> None:
    rows = api.list_data()
    assert [row["what"] for row in rows] == [kind.summary for kind in SOURCES.values()]
    assert [row["name"].partition(":")[0] for row in rows] == list(SOURCES)


def test_folders_say_what_they_can_be_opened_as(tmp_path: Path) -> None:
    (tmp_path / "Data_Entry_2017.csv").touch()
    assert api.list_data([tmp_path, tmp_path / "gone"]) == [
        {"folder": str(tmp_path), "data": [f"nih14:{tmp_path}"]}
    ]


def test_a_source_and_its_studies_are_opened_by_name(manifest: str) -> None:
    studies = api.load_studies(manifest)
    assert len(studies) == 3
    assert all(isinstance(study, Study) for study in studies)
    assert api.open_source(manifest).studies() == studies
    assert api.load_studies(f"{manifest}?limit=2") == studies[:2]


def test_phantoms_are_studies_too() -> None:
    [study] = api.load_studies("phantom:smoke/test?limit=1")
    assert study.split == "test"
    assert api.open_source("phantom:smoke").name.startswith("phantom")


@pytest.mark.parametrize("open_it", [api.open_source, api.load_studies, api.check_data, api.audit_data])
def test_an_unknown_source_names_the_nearest(open_it: Any) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'manifest'"):
        open_it("manifst:/x.jsonl")


@pytest.mark.parametrize("open_it", [api.load_studies, api.check_data, api.audit_data])
def test_data_that_is_not_there_is_named(open_it: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.jsonl"):
        open_it(f"manifest:{tmp_path / 'gone.jsonl'}")


def test_an_unknown_split_or_parameter_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'test'"):
        api.load_studies("phantom:smoke/tset")
    with pytest.raises(UnknownNameError, match="did you mean 'limit'"):
        api.load_studies("phantom:smoke?limt=3")


def test_a_check_counts_what_a_source_holds(manifest: str) -> None:
    found = api.check_data(manifest)
    studies = api.load_studies(manifest)
    assert found["studies"] == 3
    assert found["patients"] == len({study.patient_id for study in studies})
    assert sum(found["views"].values()) == sum(len(study.views) for study in studies)
    assert found["missing"] == 0


def test_a_check_lists_pictures_that_are_missing(tmp_path: Path) -> None:
    found = api.check_data(f"manifest:{with_a_missing_picture(tmp_path)}")
    assert (found["studies"], found["missing"]) == (1, 1)
    assert found["first missing"] == [str(tmp_path / "gone.png")]


def test_an_audit_finds_a_patient_on_both_sides(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number, split in enumerate(("train",) * 4 + ("test",) * 3):
        Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        row = {"study_id": f"s{number}", "patient_id": f"p{number % 6}", "image": f"{number}.png"}
        rows.append(row | {"split": split, "findings": f"Nodule number {number}."})
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = api.audit_data(f"manifest:{tmp_path / 'm.jsonl'}")
    assert found.studies == {"train": 4, "test": 3}
    assert any("patient" in check.name for check in found.warnings)
    with pytest.raises(DatasetError, match="no labels by 'nobody'"):
        api.audit_data(f"manifest:{tmp_path / 'm.jsonl'}", reference="nobody")


def test_prepared_data_is_found_where_the_cache_is(
    manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.prepare_data(manifest, cache=tmp_path / "cache", size=32)
    assert (made.studies, made.made, made.unreadable, made.missing) == (3, 1, (), ())
    assert made.folder.is_relative_to(tmp_path / "cache")
    assert list(StudyLines.stored(made.folder / "studies.jsonl")) == api.load_studies(manifest)
    monkeypatch.setenv("CONTRASTCXR_CACHE", str(tmp_path / "other"))
    tables = api.prepare_data(manifest, pictures=False)
    assert tables.folder.is_relative_to(tmp_path / "other")
    assert not list(tables.folder.glob("pictures-*"))


def test_a_source_becomes_a_manifest_that_gives_the_same_studies(manifest: str, tmp_path: Path) -> None:
    assert api.write_manifest(manifest, tmp_path / "copy.jsonl") == (3, ())
    assert api.load_studies(f"manifest:{tmp_path / 'copy.jsonl'}") == api.load_studies(manifest)


def test_a_manifest_leaves_out_what_is_missing_and_says_so(tmp_path: Path) -> None:
    path = with_a_missing_picture(tmp_path)
    written = api.write_manifest(f"manifest:{path}", str(tmp_path / "copy.jsonl"))
    assert written == (1, (str(tmp_path / "gone.png"),))


def test_phantoms_of_one_seed_are_the_same_and_of_another_are_not(tmp_path: Path, phantoms: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    written = api.draw_phantoms(str(again), studies=1, level="smoke")
    api.draw_phantoms(other, studies=1, level="smoke", seed=5)
    assert [path.relative_to(again).as_posix() for path in written] == sorted(files(again))
    picture = written[0].relative_to(again)
    assert (again / picture).read_bytes() == (phantoms / picture).read_bytes()
    assert (again / picture).read_bytes() not in [path.read_bytes() for path in other.rglob("*.png")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level": "smok"}, "did you mean 'smoke'"),
        ({"level": "smoke", "format": "jpeg"}, "phantom format 'jpeg'"),
        ({"level": "smoke", "studies": 0}, "ask for 1 to"),
        ({"level": "smoke", "studies": 10_000}, "ask for 1 to"),
    ],
)
def test_phantoms_that_cannot_be_drawn_are_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        api.draw_phantoms(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_the_words_that_said_so_are_counted_in_the_text_as_given() -> None:
    text = "  No   effusion.\nThe heart is ENLARGED."
    found = {finding.name: finding for finding in api.label(text)}
    assert len(found) == 14
    assert found["Pleural Effusion"].status == "absent"
    assert found["Cardiomegaly"].status == "present"
    assert "effusion" in {text[span.start : span.end] for span in found["Pleural Effusion"].spans}


@pytest.mark.parametrize("text", ["", "   ", "Nothing that is known."])
def test_a_text_that_says_nothing_has_fourteen_findings_unmentioned_or_none_present(text: str) -> None:
    statuses = {f.name: f.status for f in api.label(text)}
    assert len(statuses) == 14
    assert {status for name, status in statuses.items() if name != "No Finding"} == {"unmentioned"}


def test_the_catalogue_and_the_machine_are_those_of_their_modules() -> None:
    from contrastcxr import catalogue, machine

    assert api.list_models() == catalogue.known()
    assert api.describe_part("cam") == catalogue.describe("cam")
    assert api.doctor().keys() == machine.examine().keys()
    assert json.dumps(api.doctor())


@pytest.fixture
def theirs(tmp_path: Path) -> tuple[Path, Path]:
    return save_r2gen(tmp_path / "model_best.pth"), save_vocabulary(tmp_path / "token2idx.json")


def test_a_checkpoint_of_r2gen_becomes_one_of_ours_beside_it(theirs: tuple[Path, Path]) -> None:
    path, made = api.import_r2gen(theirs[0], vocabulary=theirs[1], heads=HEADS, memory_heads=HEADS)
    assert path == theirs[0].with_suffix(".safetensors")
    assert contrastcxr.load_checkpoint(path).config == made.config


def test_nothing_is_written_over(theirs: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint, vocabulary = theirs
    before = checkpoint.read_bytes()
    with pytest.raises(RequestError, match="is the checkpoint itself"):
        api.import_r2gen(checkpoint, vocabulary=vocabulary, out=checkpoint)
    (tmp_path / "there.safetensors").write_text("mine")
    with pytest.raises(RequestError, match="is there already"):
        api.import_r2gen(checkpoint, vocabulary=vocabulary, out=str(tmp_path / "there.safetensors"))
    assert checkpoint.read_bytes() == before
    assert (tmp_path / "there.safetensors").read_text() == "mine"


def test_a_file_that_is_no_checkpoint_of_theirs_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"words")
    vocabulary = save_vocabulary(tmp_path / "token2idx.json")
    with pytest.raises(CheckpointError, match=r"model\.pth"):
        api.import_r2gen(tmp_path / "model.pth", vocabulary=vocabulary)
    assert not (tmp_path / "model.safetensors").exists()
