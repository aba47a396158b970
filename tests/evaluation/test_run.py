from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import small_corpus
from contrastcxr.checkpoint import save_checkpoint
from contrastcxr.cli.main import run
from contrastcxr.data.authors import is_normal
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError, RequestError, UnknownNameError
from contrastcxr.evaluation import Bootstrap, Evaluation, evaluate, load_readings, load_references
from contrastcxr.evaluation.baselines import baseline_answers, constant
from contrastcxr.evaluation.compare import compare
from contrastcxr.evaluation.exchange import NO_READER
from contrastcxr.evaluation.protocols import words_of
from contrastcxr.evaluation.references import References, finding_names, scored_split
from contrastcxr.form import Author, Finding, Reading, Report
from contrastcxr.metrics.baselines import constant_report
from contrastcxr.metrics.exchange import EXCHANGED_F1, RISE, WORD_LOSSES
from contrastcxr.metrics.learned import ask
from contrastcxr.metrics.table import StudyTable
from contrastcxr.metrics.text import tokenise
from contrastcxr.reading.reader import Reader
from tiny_system import tiny_checkpoint, tiny_config

DATA = parse_data("phantom:smoke")
QUICK = Bootstrap(replicates=50, minimum=2)
MODEL = Author(kind="model", name="someone")


@pytest.fixture(autouse=True)
def _phantoms_of_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)


def copies() -> list[Reading]:
    """Readings that repeat the references word by word."""
    return [s.readings[0].model_copy(update={"author": MODEL}) for s in small_corpus.corpus(split="test")]


def scored(readings: list[Reading], **options: object) -> Evaluation:
    given = {"data": DATA, "baselines": False, "with_meteor": False, "bootstrap": QUICK, **options}
    return evaluate(readings, **given)


def test_a_copy_of_the_references_is_perfect() -> None:
    scores = scored(copies()).scores
    for name in ("bleu_4", "rouge_l", "positive_f1", "positive_f1_macro", "side_agreement"):
        assert scores[name].value == pytest.approx(1.0), name
    assert scores["missed_abnormality"].value == 0.0
    assert scores["invented_abnormality"].value == 0.0


def test_the_order_of_the_readings_changes_nothing() -> None:
    assert scored(copies()[::-1]).to_dict() == scored(copies()).to_dict()


def test_findings_are_those_of_the_words_not_of_the_form() -> None:
    silent = [r.model_copy(update={"report": Report(findings="The heart is normal in size.")}) for r in copies()]
    assert scored(silent).scores["positive_f1"].value == 0.0


def test_as_published_scores_other_words_under_another_signature() -> None:
    corrected, published = scored(copies()), scored(copies(), protocol="as-published")
    assert "cut:none|tokens:metric-tokens-1" in corrected.signature
    assert "cut:59|tokens:r2gen-words-1/iu_xray/3" in published.signature
    assert published.protocol == "as-published"
    assert published.systems["system"].table.words[0] > corrected.systems["system"].table.words[0]  # full stops


def test_a_study_without_a_reading_is_refused_unless_allowed() -> None:
    some = copies()[2:]
    with pytest.raises(
        RequestError, match=r"2 of 12 studies have no reading: test-000, test-001.*--allow-partial"
    ):
        scored(some)
    found = scored(some, allow_partial=True)
    assert found.scores["bleu_4"].n == 10
    assert any(note.startswith("partial: 2 of 12") for note in found.notes)
    assert "n:10" in found.signature


def test_no_reading_at_all_is_refused_even_when_partial_is_allowed() -> None:
    with pytest.raises(RequestError, match="12 of 12"):
        scored([], allow_partial=True)


def test_unknown_and_repeated_studies_are_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"1 of 13 readings are of studies that are not in the data: elsewhere"):
        scored([*copies(), Reading(study_id="elsewhere", author=MODEL)])
    with pytest.raises(RequestError, match="1 study has more than one reading: test-003"):
        scored([*copies(), copies()[3]])


def test_readings_of_unknown_studies_are_left_out_when_partial_is_allowed() -> None:
    strange = [Reading(study_id=f"else-{k}", author=MODEL) for k in range(5)]
    found = scored([*copies(), *strange], allow_partial=True)
    assert found.scores["bleu_4"].n == 12
    assert found.notes == (
        "partial: 5 readings of unknown studies are left out (else-0, else-1, else-2 and 2 more)",
    )
    with pytest.raises(RequestError, match=r"5 of 5 readings .*such as test-000"):
        scored(strange, allow_partial=True)


def test_empty_readings_are_scored_and_counted() -> None:
    silent = [r.model_copy(update={"report": Report()}) for r in copies()[:2]]
    found = scored([*silent, *copies()[2:]])
    assert found.notes == ("2 of 12 readings are empty and scored as such (test-000, test-001)",)
    assert found.scores["bleu_1"].n == 12


def test_an_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'corrected'"):
        scored(copies(), protocol="correct")


def test_findings_that_nobody_speaks_of_are_not_scored() -> None:
    reading = Reading(
        study_id="a",
        author=MODEL,
        findings=(Finding(name="Hernia", status="unmentioned"), Finding(name="Mass", status="absent")),
    )
    assert finding_names([reading]) == ("Mass",)


def test_no_folder_of_this_machine_is_in_a_data_name(tmp_path: Path) -> None:
    assert parse_data(f"nih14-cv:{tmp_path}?fold=1").portable() == "nih14-cv?fold=1"
    assert parse_data("phantom:smoke/test?seed=3").portable() == "phantom:smoke?seed=3"


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Path]:
    """A tiny system with random weights, read through the cache, beside all baselines."""
    out = tmp_path_factory.mktemp("evaluation")
    model = out / "tiny.safetensors"
    save_checkpoint(model, tiny_checkpoint(tiny_config(data={"max_views": 1})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contrastcxr.phantom.corpus.draw_studies", small_corpus.corpus)
        found = evaluate(
            Reader.from_checkpoint(model),
            data=DATA,
            out=out,
            with_meteor=False,
            bootstrap=QUICK,
            cache=out / "cache",
        )
    return found, out


def test_constant_commonest_neighbour_ceiling_and_floor_stand_beside_a_system(
    evaluation: tuple[Evaluation, Path],
) -> None:
    systems = evaluation[0].systems
    assert list(systems) == ["system", "constant", "commonest", "neighbour", "ceiling", "floor"]
    assert systems["constant"].scores["auc_mean"].value == 0.5
    assert systems["constant"].scores["distinct_reports"].value == 1 / 12
    assert systems["ceiling"].scores["positive_f1"].value == 1.0
    assert systems["neighbour"].scores["auc_mean"].value is not None
    assert all(system.scores["bleu_4"].n == 12 for system in systems.values())


def test_the_commonest_findings_are_named_of_every_study_without_a_word(
    evaluation: tuple[Evaluation, Path],
) -> None:
    found = evaluation[0].systems["commonest"]
    table = found.table
    assert table.claimed is not None
    assert table.truth is not None
    counts = Counter(name for reading in _references("train").readings for name in reading.present())
    named = [name for k, name in enumerate(table.names) if table.claimed[0, k] == 3]
    assert len(named) == min(5, sum(counts[name] > 0 for name in table.names))  # one that nobody has is not named
    assert min(counts[name] for name in named) >= max(counts[n] for n in table.names if n not in named)
    assert (table.claimed == table.claimed[0]).all()
    hits = int((table.truth == 3)[:, table.claimed[0] == 3].sum())
    precision, recall = hits / (len(named) * len(table)), hits / int((table.truth == 3).sum())
    assert found.scores["positive_f1"].value == pytest.approx(2 * precision * recall / (precision + recall))
    assert {found.scores[name].value for name in ("bleu_4", "auc_mean")} == {None}
    assert found.description == "the 5 commonest findings of training, named of every study"


def test_the_constant_report_is_a_training_report(evaluation: tuple[Evaluation, Path]) -> None:
    words = evaluation[0].systems["constant"].table.words
    assert len(set(words.tolist())) == 1
    assert evaluation[0].systems["constant"].table.bleu[:, -2].tolist() == words.tolist()


def _references(split: str, *, normal: bool | None = None) -> References:
    """The small corpus; only its normal or its abnormal studies where told."""
    studies = [s for s in small_corpus.corpus(split=split) if normal is None or is_normal(s) == normal]
    readings = tuple(study.readings[0] for study in studies)
    return References(tuple(studies), readings, finding_names(readings))


def test_the_constant_is_a_normal_report_even_where_an_abnormal_one_scores_better() -> None:
    test, validation = _references("test"), _references("validation", normal=False)
    chosen = constant(test, _references("train"), validation)[0]
    of_normal = {r.report.findings for r in _references("train", normal=True).readings}
    assert chosen.report in of_normal
    assert not any(f.status == "present" for f in chosen.findings or ())
    best_of_all = constant_report(
        [tokenise(r.report.findings) for r in _references("train").readings],
        [tokenise(r.report.findings) for r in validation.readings],
    )
    assert tokenise(chosen.report) != best_of_all


def test_without_a_normal_training_study_the_constant_is_any_training_report() -> None:
    sick = _references("train", normal=False)
    chosen = constant(_references("test"), sick, _references("validation"))[0]
    assert chosen.report in {r.report.findings for r in sick.readings}


def test_the_folder_holds_scores_readings_and_pages(evaluation: tuple[Evaluation, Path]) -> None:
    found, out = evaluation
    said = json.loads((out / "scores.json").read_text())
    assert said["schema"] == "contrastcxr.evaluation/1"
    assert said["signature"] == found.signature
    bleu = said["systems"]["system"]["scores"]["bleu_4"]
    assert bleu["low"] <= bleu["value"] <= bleu["high"]
    assert bleu["n"] == 12
    assert load_readings(out / "readings.jsonl") == list(found.readings)
    assert "| BLEU-4 |" in (out / "report.md").read_text()
    page = (out / "report.html").read_text()
    assert "positive-finding F1" in page
    assert "://" not in page
    assert not list(out.glob(".*"))


def test_the_folder_holds_how_long_reports_are_on_both_sides(evaluation: tuple[Evaluation, Path]) -> None:
    found, out = evaluation
    said = json.loads((out / "scores.json").read_text())
    references = [study.readings[0] for study in small_corpus.corpus(split="test")]
    counted = []
    for readings in (references, found.readings):
        assert all(r.report is not None for r in readings)
        words = [len(tokenise(r.report.findings).split()) for r in readings if r.report is not None]
        counts = Counter(min(n // 5, 19) for n in words if n <= 100)
        counted.append({"counts": [counts[k] for k in range(20)], "longer": sum(n > 100 for n in words)})
    assert said["lengths"]["edges"] == list(range(0, 101, 5))
    assert [said["lengths"]["references"], said["lengths"]["systems"]["system"]] == counted
    assert sum(counted[0]["counts"]) == 12
    assert said["lengths"]["systems"].keys() == said["systems"].keys() - {"commonest"}
    distance = found.scores["length_distance"]
    assert distance.text().split()[0] in (out / "report.md").read_text()
    page = " ".join((out / "report.html").read_text().split())
    assert f"Wasserstein distance between the two: {distance.text().split()[0]} <small>" in page


def test_the_folder_holds_studies_side_by_side(evaluation: tuple[Evaluation, Path]) -> None:
    found, out = evaluation
    page = (out / "samples.md").read_text()
    chosen = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert chosen == [f"test-{k:03}" for k in (0, 2, 3, 5, 6, 8, 9, 11)]
    for reading in found.readings:
        assert reading.report is not None
        assert (f"| {reading.report.findings} |" in page) or reading.study_id not in chosen
    assert "Keep this file" not in page  # phantoms may be passed on


def test_readings_of_a_model_scored_again_from_their_file_score_the_same(
    evaluation: tuple[Evaluation, Path],
) -> None:
    found, out = evaluation
    again = scored(load_readings(out / "readings.jsonl"))
    first, second = (each.to_dict()["systems"]["system"]["scores"] for each in (found, again))
    of_readers = (*WORD_LOSSES, RISE, EXCHANGED_F1)
    assert {k: v for k, v in second.items() if k not in of_readers} == {
        k: v for k, v in first.items() if k not in of_readers
    }
    assert all(first[name]["value"] is not None for name in of_readers)
    assert {second[name]["note"] for name in of_readers} == {NO_READER}


def test_plain_texts_are_readings_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"study_id": "a", "text": "No effusion. Clear lungs."}\n\n{"study_id": "b", "text": ""}\n')
    first, second = load_readings(path)
    assert first.report.findings == "No effusion. Clear lungs."
    assert len(first.report.sentences) == 2
    assert first.author.name == "mine"
    assert second.report.findings == ""


def test_a_table_of_readings_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('study_id,text\na,"No effusion.\nClear, lungs."\nb,\n')
    first, second = load_readings(path)
    assert (first.study_id, first.report.findings) == ("a", "No effusion.\nClear, lungs.")
    assert (second.study_id, second.report.findings) == ("b", "")
    (tmp_path / "mine.csv").write_text("id,said\na,b\n")
    with pytest.raises(DatasetError, match="has no column study_id and no text"):
        load_readings(path)


def test_a_text_with_strange_line_ends_is_one_reading(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    text = "No effusion.\u2028Clear\x85 lungs.\r\n||| Normal."
    path.write_text(json.dumps({"study_id": "a", "text": text}, ensure_ascii=False) + "\r\n", encoding="utf-8")
    (only,) = load_readings(path)
    assert only.report.findings == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"schema": "contrastcxr.reading/1", "study_id": "a", "author": {"kind": "model", "name": "m"}, '
            '"findings": [{"name": "Effuson", "status": "present"}]}',
            "mine.jsonl line 1: unknown finding 'Effuson'; did you mean 'Pleural Effusion'",
        ),
        ("{not json", "mine.jsonl line 1: is not JSON"),
        ('{"study": "a"}', "mine.jsonl line 1: expected"),
        ('{"schema": "contrastcxr.reading/1", "study_id": "a"}', "mine.jsonl line 1: author"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(DatasetError, match=expected):
        load_readings(path)


def test_a_file_without_readings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n")
    with pytest.raises(RequestError, match="no readings"):
        load_readings(path)
    with pytest.raises(RequestError, match="cannot be read"):
        load_readings(tmp_path / "absent.jsonl")


def test_references_of_another_author_are_asked_for_by_name() -> None:
    with pytest.raises(DatasetError, match="expected a reading by 'radiologist'"):
        load_references(DATA, "test", author="radiologist")


def test_the_command_scores_a_file_of_readings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    path = tmp_path / "copies.jsonl"
    path.write_text(
        "".join(json.dumps({"study_id": r.study_id, "text": r.report.findings}) + "\n" for r in copies())
    )
    command = [
        "evaluate",
        "--readings",
        str(path),
        "--data",
        DATA,
        "--out",
        str(tmp_path / "out"),
        "--no-baselines",
    ]
    assert run(command) == 0
    assert "bleu_4 1.000" in capsys.readouterr().out
    said = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert said["systems"]["system"]["scores"]["meteor"]["value"] is None
    assert "Java" in (tmp_path / "out" / "report.md").read_text()


def test_the_command_asks_for_a_model_or_readings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--data", DATA]) == 2
    assert "either a MODEL or --readings" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "phantom", "--data", DATA, "--device", "quantum"]) == 2
    assert "device 'quantum' cannot be used" in capsys.readouterr().err


def test_learned_scores_stand_beside_the_others_with_their_weights(tmp_path: Path) -> None:
    annotation = {"entities": {"1": {"tokens": "heart", "label": "Anatomy", "relations": []}}}
    rows = [{"study_id": r.study_id, "reference": annotation, "candidate": annotation} for r in copies()]
    path = tmp_path / "annotated.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = scored(copies(), learned=ask([f"radgraph={path}"]), out=tmp_path / "out")
    assert found.scores["radgraph/complete"].value == 1.0
    said = json.loads((tmp_path / "out" / "scores.json").read_text())["systems"]["system"]["scores"]
    assert said["radgraph/simple"]["signature"].endswith("|annotations:given")
    assert said["bleu_4"]["signature"] == found.signature
    assert "RadGraph F1, entities and relations" in (tmp_path / "out" / "report.html").read_text()
    assert (
        StudyTable.load(tmp_path / "out" / "studies.npz").learned_names
        == found.systems["system"].table.learned_names
    )
    scored(copies(), out=tmp_path / "plain")
    names = [
        score.name for score in compare(tmp_path / "out", tmp_path / "plain", replicates=5, shuffles=9).scores
    ]
    assert "bleu_4" in names
    assert not any(name.startswith("radgraph") for name in names)
    same = compare(tmp_path / "out", tmp_path / "out", scores=["radgraph/simple"], replicates=5, shuffles=9)
    assert same.scores[0].p == 1.0


@pytest.mark.parametrize(
    ("data", "split", "expected"),
    [
        ("phantom:smoke", None, ("phantom:smoke", "test")),
        ("phantom:smoke/validation?seed=3", None, ("phantom:smoke?seed=3", "validation")),
        ("phantom:smoke/validation", "validation", ("phantom:smoke", "validation")),
        ("phantom:smoke", "train", ("phantom:smoke", "train")),
        ("phantom:smoke", "VAL", ("phantom:smoke", "validation")),
        ("phantom:smoke/val", "Validation", ("phantom:smoke", "validation")),
        ("phantom:smoke", "TEST", ("phantom:smoke", "test")),
    ],
)
def test_the_split_is_that_of_the_name_or_the_one_asked_for(
    data: str, split: str | None, expected: tuple[str, str]
) -> None:
    whole, found = scored_split(parse_data(data), split)
    assert (str(whole), found) == expected


def test_two_splits_are_refused_and_a_source_without_any_says_all(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="two splits"):
        scored_split(parse_data("phantom:smoke/validation"), "test")
    Image.new("L", (64, 64), 90).save(tmp_path / "a.png")
    manifest = tmp_path / "studies.jsonl"
    manifest.write_text('{"study_id": 0, "image": "a.png", "findings": "The lungs are clear."}\n')
    data, split = scored_split(parse_data(f"manifest:{manifest}"), None)
    assert split == "all"
    references = load_references(data, split)
    assert references.ids == ("0",)
    _, notes = baseline_answers(references, data, author=None, extractor=None, cache=tmp_path)
    assert notes == ["no baselines from training reports: they are of the studies that are scored"]
    with pytest.raises(DatasetError, match="no training reports; protocol as-published"):
        words_of("as-published", data, author=None)


def test_a_split_in_the_data_name_stands_in_the_signature() -> None:
    readings = list(load_references(parse_data("phantom:smoke"), "validation").readings)
    said = [reading.model_copy(update={"author": MODEL}) for reading in readings]
    found = scored(said, data=parse_data("phantom:smoke/validation"))
    assert found.split == "validation"
    assert "|data:phantom:smoke|split:validation|" in found.signature


@pytest.mark.parametrize(
    ("split", "note"),
    [("train", "they are of the studies that are scored"), ("validation", "those of validation are scored")],
)
def test_no_baseline_learns_from_the_scored_studies(split: str, note: str, tmp_path: Path) -> None:
    references = load_references(DATA, split)
    answers, notes = baseline_answers(references, DATA, author=None, extractor=None, cache=tmp_path)
    assert any(note in line for line in notes)
    assert ("constant" in answers) == (split == "validation")


def test_the_constants_probabilities_are_frequencies_of_what_the_training_reports_say() -> None:
    """Where the radiologist's reports carry no findings of their own, the labeler reads them."""
    texts = ["There is a small left pleural effusion."] * 3 + ["The lungs are clear. No pleural effusion."]
    studies = small_corpus.corpus(split="test")[: len(texts)]
    person = Author(kind="human", name="radiologist")
    readings = [
        Reading(study_id=study.study_id, author=person, report=Report(findings=text))
        for study, text in zip(studies, texts, strict=True)
    ]
    training = References(tuple(studies), tuple(readings), ("Pleural Effusion",))
    assert constant(training, training, None)[0].probabilities == {"Pleural Effusion": 0.75}
