"""The adapter for CheXbert, with a tiny random BERT saved in the layout of the published checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastcxr.errors import CheckpointError, MissingExtraError
from contrastcxr.text.chexbert import CLASSES, HEADS, CheXbert
from contrastcxr.vocab.labels import CHEXPERT, NO_FINDING

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "no",
    "effusion",
    "edema",
    "left",
    ".",
    "##s",
    "pneumo",
    "##thorax",
]
CONFIG = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 512,
}
TEXTS = ("No effusion.", "Left effusions. Edema. No pneumothorax.", "unheard words")


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="transformers (extra hf) is not installed")


@pytest.fixture(scope="module")
def tensors(transformers: Any) -> dict[str, torch.Tensor]:
    """Weights named as the published checkpoint names them, with the row of positions of older versions."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bert = transformers.BertModel(transformers.BertConfig(**CONFIG))
        named = {f"module.bert.{name}": tensor for name, tensor in bert.state_dict().items()}
        named["module.bert.embeddings.position_ids"] = torch.arange(512)[None]
        for index, name in enumerate(HEADS):
            classes = 2 if name == NO_FINDING else 4
            named[f"module.linear_heads.{index}.weight"] = torch.randn(classes, 16)
            named[f"module.linear_heads.{index}.bias"] = torch.randn(classes)
    return named


@pytest.fixture
def folder(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.save({"epoch": 3, "model_state_dict": tensors}, tmp_path / "chexbert.pth")
    return tmp_path


def by_hand(transformers: Any, tensors: dict[str, torch.Tensor], ids: list[int]) -> dict[str, str]:
    """The labels straight from the weights: a BERT, its first token, a product with each head, the greatest."""
    bert = transformers.BertModel(transformers.BertConfig(**CONFIG)).eval()
    inner = {k.removeprefix("module.bert."): v for k, v in tensors.items() if k.startswith("module.bert.")}
    del inner["embeddings.position_ids"]
    bert.load_state_dict(inner)
    with torch.inference_mode():
        first = bert(input_ids=torch.tensor([ids])).last_hidden_state[0, 0]
    scores = {
        name: tensors[f"module.linear_heads.{k}.weight"] @ first + tensors[f"module.linear_heads.{k}.bias"]
        for k, name in enumerate(HEADS)
    }
    return {name: CLASSES[int(score.argmax())] for name, score in scores.items()}


def test_labels_are_the_greatest_class_of_each_head(
    folder: Path, transformers: Any, tensors: dict[str, torch.Tensor]
) -> None:
    findings = CheXbert.load(folder, allow_pickle=True).label("No  effusion\n.")
    assert tuple(f.name for f in findings) == CHEXPERT
    assert {f.source for f in findings} == {"chexbert"}
    ids = [WORDS.index(word) for word in ("[CLS]", "no", "effusion", ".", "[SEP]")]
    assert {f.name: f.status for f in findings} == by_hand(transformers, tensors, ids)


def test_a_text_gets_the_labels_alone_that_it_gets_among_others(folder: Path) -> None:
    labeler = CheXbert.load(folder / "chexbert.pth", allow_pickle=True)
    assert labeler.label_batch(TEXTS) == [labeler.label(text) for text in TEXTS]


def test_a_long_text_is_cut_and_labelled(folder: Path) -> None:
    assert len(CheXbert.load(folder, allow_pickle=True).label("edema " * 2000)) == 14


def test_safetensors_need_no_leave(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "chexbert.safetensors")
    assert CheXbert.load(folder).label(TEXTS[1]) == CheXbert.load(
        folder / "chexbert.pth", allow_pickle=True
    ).label(TEXTS[1])


def test_a_pickle_needs_leave(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"chexbert\.pth: is a pickle.*--allow-pickle"):
        CheXbert.load(folder)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "chexbert.pth"])
def test_what_is_absent_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=r"expected a folder with BERT's config\.json and vocab\.txt"):
        CheXbert.load(folder, allow_pickle=True)


def test_other_weights_are_refused(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    part = {name: tensor for name, tensor in tensors.items() if "linear_heads.4" not in name}
    torch.save({"model_state_dict": part}, folder / "chexbert.pth")
    with pytest.raises(CheckpointError, match="not CheXbert's weights"):
        CheXbert.load(folder, allow_pickle=True)


def test_without_transformers_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config.json", "vocab.txt", "chexbert.safetensors"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"contrastcxr\[hf\]"):
        CheXbert.load(tmp_path)
