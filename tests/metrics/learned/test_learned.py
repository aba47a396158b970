"""Learned scores on tiny weights that the tests make: asked for by name, recomputed by hand, refused by file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from contrastcxr.errors import CheckpointError, DatasetError, MissingExtraError, RequestError, UnknownNameError
from contrastcxr.metrics.learned import ask, learned_scores
from contrastcxr.metrics.learned.bertscore import BertScore
from contrastcxr.metrics.learned.chexbert_similarity import CheXbertSimilarity
from contrastcxr.metrics.learned.radgraph import RadGraphFile, RadGraphPackage, shared
from contrastcxr.text.chexbert import HEADS
from contrastcxr.vocab.labels import NO_FINDING

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "effusion", "edema", "left", "heart", "normal", "##s"]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TEXTS = ("no effusion", "left effusions edema", "heart normal no edema left effusion")


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="transformers (extra hf) is not installed")


@pytest.fixture(scope="module")
def bert(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT as `save_pretrained` leaves it."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, **SHAPE)
        transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    return folder


def unit(transformers: Any, bert: Path, words: list[str], layer: int) -> np.ndarray:
    """Unit vectors of `[CLS] words [SEP]` straight from the network."""
    model = transformers.BertModel.from_pretrained(bert, local_files_only=True).eval()
    ids = torch.tensor([[WORDS.index(w) for w in ("[CLS]", *words, "[SEP]")]])
    with torch.inference_mode():
        found = model(input_ids=ids, output_hidden_states=True).hidden_states[layer][0].double().numpy()
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.mark.parametrize("layer", [1, 2])
def test_bertscore_is_greedy_matching_in_plain_loops(transformers: Any, bert: Path, layer: int) -> None:
    reference, candidate = ["left", "effusion", "##s", "edema"], ["no", "effusion"]
    there, said = (unit(transformers, bert, words, layer) for words in (reference, candidate))
    precision = np.mean([max(said[i] @ there[j] for j in range(len(there))) for i in range(1, len(said) - 1)])
    recall = np.mean([max(there[j] @ said[i] for i in range(len(said))) for j in range(1, len(there) - 1)])
    found = BertScore.load(bert, layer=layer).scores([TEXTS[1]], [TEXTS[0]])
    assert found[0] == pytest.approx([precision, recall, 2 * precision * recall / (precision + recall)], abs=1e-5)


def test_bertscore_of_equal_texts_is_one_and_of_an_empty_one_zero(bert: Path) -> None:
    found = BertScore.load(bert).scores([TEXTS[0], TEXTS[1], "", "  "], [TEXTS[0], "", TEXTS[1], ""])
    assert found[0] == pytest.approx([1, 1, 1], abs=1e-5)
    assert not found[1:].any()


def test_what_stands_beside_a_text_and_its_length_change_nothing(bert: Path) -> None:
    metric = BertScore.load(bert)
    together = metric.scores(TEXTS, TEXTS[::-1])
    alone = [metric.scores([r], [c])[0] for r, c in zip(TEXTS, TEXTS[::-1], strict=True)]
    assert together == pytest.approx(np.asarray(alone), abs=1e-5)
    long = " ".join(["edema"] * 40)
    assert metric.scores([long], [long + " left"])[0] == pytest.approx([1, 1, 1], abs=1e-5)  # both are cut alike


def test_the_signature_tells_weights_and_layers_apart(bert: Path, tmp_path: Path, transformers: Any) -> None:
    one, other = (BertScore.load(bert, layer=layer).signature for layer in (1, 2))
    assert one.endswith("|layer:1")
    assert one != other
    assert BertScore.load(bert).signature == other
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, **SHAPE)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        transformers.BertModel(config).save_pretrained(tmp_path)
    transformers.BertTokenizer(str(bert / "vocab.txt")).save_pretrained(tmp_path)
    assert BertScore.load(tmp_path).signature != other


def test_what_a_folder_of_weights_lacks_is_named(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"no folder of weights for BERTScore; expected a folder with config"
    ):
        BertScore.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"lacks config\.json"):
        BertScore.load(tmp_path)
    (tmp_path / "config.json").write_text((bert / "config.json").read_text())
    with pytest.raises(CheckpointError, match="lacks the weights"):
        BertScore.load(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="--allow-pickle"):
        BertScore.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(CheckpointError, match="not a transformer"):
        BertScore.load(tmp_path)
    with pytest.raises(RequestError, match="has layers 1 to 2"):
        BertScore.load(bert, layer=3)


@pytest.fixture(scope="module")
def chexbert(transformers: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CheXbert in the names of the published checkpoint."""
    folder = tmp_path_factory.mktemp("chexbert")
    shape = {"vocab_size": len(WORDS), "max_position_embeddings": 512, **SHAPE}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        inner = transformers.BertModel(transformers.BertConfig(**shape)).state_dict()
        named = {f"module.bert.{name}": tensor for name, tensor in inner.items()}
        for index, name in enumerate(HEADS):
            classes = 2 if name == NO_FINDING else 4
            named |= {f"module.linear_heads.{index}.weight": torch.randn(classes, 16)}
            named |= {f"module.linear_heads.{index}.bias": torch.randn(classes)}
    (folder / "config.json").write_text(json.dumps(shape))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.save({"model_state_dict": named}, folder / "chexbert.pth")
    return folder


def test_chexbert_similarity_is_the_cosine_of_first_tokens(transformers: Any, chexbert: Path) -> None:
    shape = json.loads((chexbert / "config.json").read_text())
    model = transformers.BertModel(transformers.BertConfig(**shape)).eval()
    stored = torch.load(chexbert / "chexbert.pth", weights_only=True)["model_state_dict"]
    inner = {k.removeprefix("module.bert."): v for k, v in stored.items() if k.startswith("module.bert.")}
    model.load_state_dict(inner)
    ids = [["no", "effusion"], ["left", "effusion", "##s", "edema"]]
    with torch.inference_mode():
        one, other = (
            model(input_ids=torch.tensor([[WORDS.index(w) for w in ("[CLS]", *words, "[SEP]")]]))
            .last_hidden_state[0, 0]
            .numpy()
            for words in ids
        )
    wanted = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    metric = CheXbertSimilarity.load(chexbert, allow_pickle=True)
    found = metric.scores([TEXTS[0], TEXTS[1]], [TEXTS[1], TEXTS[1]])
    assert found[:, 0] == pytest.approx([wanted, 1.0], abs=1e-5)
    assert metric.scores([], []).shape == (0, 1)


def test_chexberts_pickle_needs_leave(chexbert: Path) -> None:
    with pytest.raises(CheckpointError, match="--allow-pickle"):
        ask([f"chexbert={chexbert}"])
    assert ask([f"chexbert={chexbert}"], allow_pickle=True)[0].names == ("chexbert_similarity",)


def entity(tokens: str, label: str, *relations: tuple[str, str]) -> dict[str, Any]:
    return {
        "tokens": tokens,
        "label": label,
        "start_ix": 0,
        "end_ix": 0,
        "relations": [list(r) for r in relations],
    }


EDEMA = {
    "1": entity("mild", "Observation::definitely present", ("modify", "2")),
    "2": entity("edema", "Observation::definitely present"),
}
LUNG_EDEMA = {
    "1": entity("mild", "Observation::definitely present", ("modify", "2")),
    "2": entity("edema", "Observation::definitely present", ("located_at", "3")),
    "3": entity("Lung", "Anatomy::definitely present"),
}


def test_radgraph_f1_counts_shared_facts_at_three_levels() -> None:
    found = shared({"entities": EDEMA}, {"entities": LUNG_EDEMA})
    # simple: 2 of 2 and 3; partial: mild with a relation is shared, edema has one on one side; complete alike
    assert found == pytest.approx((2 * 2 / 5, 2 * 1 / 5, 2 * 1 / 5))
    assert shared({"entities": EDEMA}, {"entities": EDEMA}) == (1.0, 1.0, 1.0)
    assert shared({"entities": EDEMA}, {"entities": {}}) == (0.0, 0.0, 0.0)
    other = {**EDEMA, "1": entity("mild", "Observation::definitely present", ("suggestive_of", "2"))}
    assert shared({"entities": EDEMA}, {"entities": other}) == pytest.approx((1.0, 1.0, 0.5))


def test_annotations_of_a_file_are_scored_by_study(tmp_path: Path) -> None:
    path = tmp_path / "annotated.jsonl"
    rows = [
        {"study_id": "a", "reference": {"entities": EDEMA}, "candidate": {"entities": EDEMA}},
        {"study_id": "b", "reference": {"entities": EDEMA}, "candidate": {"entities": {}}},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = learned_scores(ask([f"radgraph={path}"]), ["b", "a"], ["", ""], ["", ""])
    assert found is not None
    assert found.values.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert found.signatures == {"radgraph": "annotations:given"}
    with pytest.raises(RequestError, match=r"1 of 2 studies have no annotation, such as c"):
        RadGraphFile.load(path).of_studies(["a", "c"])


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '{"study_id": "a"}',
        '{"study_id": "a", "reference": {}, "candidate": {}}',
        '{"study_id": "a", "reference": {"entities": {"1": {"tokens": "x"}}}, "candidate": {"entities": {}}}',
    ],
)
def test_a_line_that_is_no_annotation_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "annotated.jsonl"
    path.write_text(line)
    with pytest.raises(DatasetError, match=r"annotated\.jsonl line 1: (is |expected study_id, and reference)"):
        RadGraphFile.load(path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The layout of an unpacked RadGraph archive; its weights are never read by our code."""
    (tmp_path / "radgraph-xl" / "vocabulary").mkdir(parents=True)
    (tmp_path / "radgraph-xl" / "config.json").write_text("{}")
    (tmp_path / "radgraph-xl" / "weights.th").write_bytes(b"weights")
    return tmp_path


def test_the_radgraph_package_is_asked_for_what_is_here(
    archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class RadGraph:
        """Stands in for the package: the same call, the same form of answers."""

        def __init__(self, **given: Any) -> None:
            sys.stdout.write("Using device: cpu\n")
            assert given == {"model_type": "radgraph-xl", "model_cache_dir": str(archive), "cuda": -1}

        def __call__(self, texts: list[str]) -> dict[str, Any]:
            annotated = {"edema": EDEMA, "lung edema": LUNG_EDEMA}
            return {str(k): {"entities": annotated[text]} for k, text in enumerate(texts)}

    package = ModuleType("radgraph")
    package.RadGraph = RadGraph  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "radgraph", package)
    metric = RadGraphPackage.load(archive)
    found = metric.scores(["edema", "edema", ""], ["edema", "lung edema", "edema"])
    assert found == pytest.approx(np.asarray([[1, 1, 1], [0.8, 0.4, 0.4], [0, 0, 0]]))
    assert metric.signature.endswith("|model:radgraph-xl")
    assert capsys.readouterr().out == ""  # results go there


def test_radgraphs_package_and_archive_are_named_when_absent(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "radgraph", None)
    with pytest.raises(MissingExtraError, match=r"contrastcxr\[radgraph\]"):
        RadGraphPackage.load(archive)
    with pytest.raises(CheckpointError, match=r"config\.json: is not there; expected the unpacked archive"):
        RadGraphPackage.load(tmp_path / "else")
    with pytest.raises(RequestError, match="model=xl; RadGraph's are radgraph, "):
        ask([f"radgraph={archive},model=xl"])


def test_a_transformer_that_is_not_in_the_cache_is_said(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(**_: Any) -> None:
        raise OSError("We couldn't connect to the hub")

    package = ModuleType("radgraph")
    package.RadGraph = absent  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "radgraph", package)
    with pytest.raises(CheckpointError, match="its transformer is not in the local Hugging Face cache"):
        RadGraphPackage.load(archive)


def test_what_is_asked_for_is_checked(bert: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bertscore'"):
        ask(["bert-score=/x"])
    with pytest.raises(RequestError, match="expected bertscore=FOLDER"):
        ask(["bertscore"])
    with pytest.raises(UnknownNameError, match="did you mean 'layer'"):
        ask([f"bertscore={bert},layers=2"])
    with pytest.raises(RequestError, match="layer=x; expected a whole number"):
        ask([f"bertscore={bert},layer=x"])
    with pytest.raises(RequestError, match="asked for twice"):
        ask([f"bertscore={bert}", f"bertscore={bert},layer=1"])


def test_without_transformers_the_extra_is_named(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"contrastcxr\[hf\]"):
        BertScore.load(bert)
