"""Leaks, copies and loud nuisance predictors, planted in small data sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contrastcxr.cli.main import run
from contrastcxr.data.sources import parse_data
from contrastcxr.errors import DatasetError
from contrastcxr.evaluation.audit import Check, audit
from contrastcxr.evaluation.audit.leaks import NEAR, two_shares
from contrastcxr.evaluation.audit.pictures import NEAR_BITS, difference_hash, near_pairs
from contrastcxr.evaluation.audit.run import quick_checks

RNG = np.random.default_rng(8)


def picture(path: Path, seed: int, *, brighter: float = 0.0) -> None:
    """A smooth picture of its own; `brighter` moves a corner, which changes bytes and hardly the look."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray((rng.random((9, 9)) * 200).astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    pixels = np.asarray(small).copy()
    pixels[:2, :2] = np.clip(pixels[:2, :2] + brighter, 0, 255)
    Image.fromarray(pixels).save(path)


class Corpus:
    """A manifest that a test fills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, object]] = []

    def add(self, split: str, *, copy_of: int | None = None, brighter: float = 0.0, **more: object) -> None:
        number = len(self.rows)
        name = f"{number}.png"
        picture(self.folder / name, number if copy_of is None else copy_of, brighter=brighter)
        row = {"study_id": f"s{number}", "patient_id": f"p{number}", "image": name, "split": split}
        words = f"Finding number {number} in the left lung . The heart has size {number} and form {number * 7} ."
        self.rows.append(row | {"findings": words} | more)

    @property
    def name(self) -> str:
        path = self.folder / "studies.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        return f"manifest:{path}"


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    made = Corpus(tmp_path)
    for split in ("train",) * 8 + ("test",) * 4:
        made.add(split)
    return made


def found(corpus: Corpus, name: str) -> Check:
    return next(check for check in audit(parse_data(corpus.name)).checks if check.name == name)


def test_a_clean_set_has_no_warning(corpus: Corpus) -> None:
    assert [(c.name, c.message) for c in audit(parse_data(corpus.name)).warnings] == []


def test_a_patient_on_both_sides_is_found(corpus: Corpus) -> None:
    corpus.add("test", patient_id="p0")
    check = found(corpus, "patients across splits")
    assert (check.verdict, check.rows) == ("warning", [{"patient": "p0", "splits": "test train"}])


def test_reports_on_both_sides_are_counted(corpus: Corpus) -> None:
    words = "The lungs are clear and the heart is of normal size without any effusion or pneumothorax at all"
    corpus.add("train", findings=words)
    corpus.add("test", findings=words.upper())
    corpus.add("test", findings=f"{words} today")
    message = found(corpus, "reports across splits").message
    assert "1 of 6 (16.7%) are in train word for word" in message
    assert "1 of 6 (16.7%) more overlap" in message


def test_overlap_is_jaccard_of_trigrams(corpus: Corpus) -> None:
    """Two of ten trigrams changed: 8 / 12 is below the limit."""
    words = list("abcdefghijkl")
    corpus.add("train", findings=" ".join(words))
    corpus.add("test", findings=" ".join([*words[:-2], "x", "y"]))
    assert NEAR > 8 / 12
    assert found(corpus, "reports across splits").verdict == "ok"


def test_the_same_file_twice_is_found(corpus: Corpus) -> None:
    corpus.add("test", copy_of=3)
    check = found(corpus, "identical pictures")
    assert check.rows == [{"studies": "s3 s12", "splits": "test train", "copies": 2}]
    assert "1 such groups cross a split" in check.message
    assert found(corpus, "pictures that look the same").verdict == "ok"


def test_the_same_view_in_other_bytes_is_found(corpus: Corpus) -> None:
    corpus.add("test", copy_of=3, brighter=9)
    assert found(corpus, "identical pictures").verdict == "ok"
    check = found(corpus, "pictures that look the same")
    assert check.rows == [{"studies": "s3 s12", "splits": "test train", "copies": 2}]


def test_near_pairs_are_those_of_a_plain_loop() -> None:
    bits = RNG.integers(0, 2**63, size=(40, 4)).astype(np.uint64)
    bits[7], bits[30] = bits[3], bits[12]
    bits[7, 1] ^= np.uint64(0b1011)
    bits[30, 2] ^= np.uint64((1 << NEAR_BITS + 1) - 1)
    wanted = [
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if sum(bin(int(a) ^ int(b)).count("1") for a, b in zip(bits[i], bits[j], strict=True)) <= NEAR_BITS
    ]
    assert near_pairs(bits) == wanted == [(3, 7)]


def test_a_hash_keeps_through_size_and_grey() -> None:
    small = Image.fromarray(RNG.random((12, 12)).astype(np.float32))
    pixels = np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC))
    half = np.asarray(Image.fromarray(pixels).resize((128, 128), Image.Resampling.BOX))
    apart = np.bitwise_count(difference_hash(pixels) ^ difference_hash(half * 0.8 + 0.1)).sum()
    assert apart <= NEAR_BITS


def test_missing_pictures_warn_and_pictureless_checks_do_not_run(corpus: Corpus) -> None:
    name = f"{corpus.name}?images=any"
    for file in corpus.folder.glob("*.png"):
        file.unlink()
    verdicts = {check.name: check.verdict for check in audit(parse_data(name)).checks}
    assert verdicts["tables and folder"] == "warning"
    assert verdicts["identical pictures"] == verdicts["pictures that look the same"] == "not run"
    assert verdicts["reports across splits"] == "ok"


def test_a_label_that_the_age_tells_is_named(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path)
    for i in range(80):
        corpus.add("train", age=20 + i, labels={"Edema": "present" if i >= 40 else "absent"})
    check = found(corpus, "nuisance predictors")
    age = next(row for row in check.rows if row["predictor"] == "age")
    assert age["mean AUC"] > 0.9
    assert check.verdict == "warning"
    assert "age" in check.message


def test_a_label_more_frequent_in_one_split_is_named(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path)
    for i in range(120):
        split = "train" if i < 80 else "test"
        corpus.add(split, labels={"Edema": "present" if split == "test" or i % 4 == 0 else "absent"})
    check = found(corpus, "labels between splits")
    assert check.rows[0]["finding"] == "Edema"
    assert check.rows[0]["train"] == "20 of 80 (25.0%)"


def test_two_equal_shares_are_one_by_chance() -> None:
    assert two_shares(10, 100, 20, 200) == pytest.approx(1.0)
    assert two_shares(0, 10, 0, 10) == 1.0
    assert two_shares(60, 100, 40, 100) == pytest.approx(0.004678, abs=1e-6)  # z = 2.828427


def test_an_unknown_author_is_named(corpus: Corpus) -> None:
    with pytest.raises(DatasetError, match="no labels by 'nobody'"):
        audit(parse_data(corpus.name), author="nobody")


def test_the_command_writes_a_page_and_ends_with_1_on_a_warning(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "audit", corpus.name, "--out", str(tmp_path / "a")]) == 0
    corpus.add("test", patient_id="p0")
    assert run(["data", "audit", corpus.name, "--out", str(tmp_path / "b"), "--json"]) == 1
    said = json.loads(capsys.readouterr().out.split("audit.html\n")[-1])
    assert said == json.loads((tmp_path / "b" / "audit.json").read_text())
    html = (tmp_path / "b" / "audit.html").read_text()
    assert html.index("patients across splits") < html.index("reports across splits")  # warnings first
    assert "http" not in html


def test_real_nih_samples_have_the_faults_that_are_known(shared_data: Path) -> None:
    checks = {check.name: check for check in audit(parse_data(f"nih14:{shared_data / 'nih14'}?limit=250")).checks}
    assert checks["patients across splits"].verdict == "ok"
    assert checks["official lists"].verdict in ("ok", "not run")
    loud = {row["predictor"]: row["abnormal AUC"] for row in checks["nuisance predictors"].rows}
    assert loud["patient number"] > 0.6


def test_masks_and_earlier_studies_in_reports_are_counted(corpus: Corpus) -> None:
    corpus.add("train", findings="The XXXX is unchanged since the prior study .")
    corpus.add("test", findings="Effusion on the left ___ .")
    check = found(corpus, "what reports speak of")
    assert check.verdict == "warning"
    assert check.message.startswith(
        "masked words in 2 of 14 (14.3%); an earlier study in 1 of 14 (7.1%); a side in 13"
    )
    assert [row["split"] for row in check.rows] == ["train", "test"]
    assert check.rows[1]["masked words"] == "1 of 5 (20.0%)"


def test_texts_and_labels_are_audited_where_most_pictures_are_absent(corpus: Corpus) -> None:
    for number in range(2, 12):
        (corpus.folder / f"{number}.png").unlink()
    done = audit(parse_data(corpus.name))
    assert done.data.endswith("?images=any")
    assert sum(done.studies.values()) == 12
    assert found(corpus, "patients across splits").message.startswith("0 of 12")


def test_studies_without_pictures_are_left_out_where_most_are_there(corpus: Corpus) -> None:
    (corpus.folder / "3.png").unlink()
    done = audit(parse_data(corpus.name))
    assert "images" not in done.data
    assert sum(done.studies.values()) == 11


def test_a_number_that_most_studies_lack_is_no_predictor(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path)
    for i in range(60):
        age = {"age": 20 + i} if i % 3 == 0 else {}
        corpus.add("train", labels={"Edema": "present" if i >= 30 else "absent"}, **age)
    predictors = [row["predictor"] for row in found(corpus, "nuisance predictors").rows]
    assert "file size" in predictors
    assert "age" not in predictors


@pytest.mark.data
def test_the_texts_of_the_iu_sample_are_audited_without_its_pictures(shared_data: Path) -> None:
    checks = {
        check.name: check for check in quick_checks(parse_data(f"iu_xray:{shared_data / 'iu_xray'}?images=any"))
    }
    train = checks["what reports speak of"].rows[0]
    assert (train["split"], train["masked words"]) == ("train", "907 of 2,069 (43.8%)")
    assert train["normal studies"] == "682 of 2,069 (33.0%)"
    assert checks["reports across splits"].verdict == "warning"


def test_the_page_has_one_main_part_and_tables_that_keys_can_scroll(corpus: Corpus, tmp_path: Path) -> None:
    corpus.add("test", patient_id="p0")
    corpus.add("test", copy_of=3)
    audit(parse_data(corpus.name)).write(tmp_path / "out")
    text = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    assert (text.count("<main>"), text.count("</main>")) == (1, 1)
    for name in ("patients across splits", "identical pictures"):
        assert f'<div class="wide" role="group" tabindex="0" aria-label="{name}"><table>' in text
    assert text.count("<table>") == text.count('tabindex="0"')
    assert "<th>" not in text
