"""CheXbert (Smit et al. 2020) as a second labeler, from weights that are on this machine.

A BERT whose first token feeds fourteen linear heads: thirteen of four classes, and No Finding of two.  The weights
are for research under terms of their own and are not shipped.  After the published code and its checkpoint; it
does not say which words decided, so its findings carry no spans.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastcxr.errors import CheckpointError, MissingExtraError
from contrastcxr.form import Finding, Status
from contrastcxr.vocab.labels import CHEXPERT, NO_FINDING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

SOURCE = "chexbert"
LONGEST = 512
HEADS = (*(name for name in CHEXPERT if name != NO_FINDING), NO_FINDING)
"""The findings in the order of the fourteen heads."""
CLASSES: tuple[Status, ...] = ("unmentioned", "present", "absent", "uncertain")
"""What the classes of a head mean; the head of No Finding has the first two only."""
_WEIGHTS = ("chexbert.safetensors", "chexbert.pth")
_NEEDED = "a folder with BERT's config.json and vocab.txt, and chexbert.safetensors or chexbert.pth"


class CheXbert:
    """Labels texts with CheXbert's network, whole text at once; texts beyond 512 word pieces are cut."""

    def __init__(self, bert: nn.Module, heads: nn.ModuleList, tokenizer: Any) -> None:
        self._bert = bert.eval()
        self._heads = heads.eval()
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, path: str | Path, *, allow_pickle: bool = False) -> CheXbert:
        """Return CheXbert from a folder, or from the weights in it.

        The folder holds `config.json`, `vocab.txt` and the weights.

        Raises:
            MissingExtraError: transformers is not installed.
            CheckpointError: a file is absent, is a pickle and `allow_pickle` is false, or holds other weights.
        """
        weights = weights_file(path)
        transformers = _transformers()
        from torch import nn

        config = transformers.BertConfig(**_config(weights.parent / "config.json"))
        bert = transformers.BertModel(config)
        heads = nn.ModuleList(nn.Linear(config.hidden_size, 2 if n == NO_FINDING else 4) for n in HEADS)
        _fill(bert, heads, _read(weights, allow_pickle=allow_pickle), weights)
        tokenizer = transformers.BertTokenizer(str(weights.parent / "vocab.txt"), do_lower_case=True)
        return cls(bert, heads, tokenizer)

    def label(self, text: str) -> tuple[Finding, ...]:
        """Return the 14 findings of a text, in CheXpert's order."""
        return self.label_batch([text])[0]

    def label_batch(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        """Return 14 findings of each text, read together; what stands beside a text does not change its labels."""
        import torch

        with torch.inference_mode():
            classes = torch.stack([scores.argmax(dim=1) for scores in self._scores(texts)], dim=1)  # [B, 14]
        return [_findings(row) for row in classes.tolist()]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the vector of each text from which the heads judge, `[B, d]`."""
        import torch

        with torch.inference_mode():
            found: NDArray[np.float64] = self._first(texts).double().numpy()
        return found

    def _scores(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Return the scores of each head, `[B, 4]` or `[B, 2]`."""
        first = self._first(texts)
        return [head(first) for head in self._heads]

    def _first(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the last layer's vector of the first token, `[B, d]`."""
        pieces = self._tokenizer(
            [" ".join(text.split()) for text in texts],
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        )
        hidden = self._bert(input_ids=pieces["input_ids"], attention_mask=pieces["attention_mask"])
        first: torch.Tensor = hidden.last_hidden_state[:, 0]  # [B, d]
        return first


def _findings(classes: Sequence[int]) -> tuple[Finding, ...]:
    said = dict(zip(HEADS, classes, strict=True))
    return tuple(Finding(name=name, status=CLASSES[said[name]], source=SOURCE) for name in CHEXPERT)


def weights_file(path: str | Path) -> Path:
    """Return the file of CheXbert's weights in a folder, or the file itself.

    Raises:
        CheckpointError: it is not there, or lacks its config.json or vocab.txt; says what is expected.
    """
    path = Path(path)
    candidates = [path / name for name in _WEIGHTS] if path.is_dir() else [path]
    weights = next((file for file in candidates if file.is_file()), None)
    if weights is None:
        raise CheckpointError(f"{path}: no CheXbert weights; expected {_NEEDED}")
    for name in ("config.json", "vocab.txt"):
        if not (weights.parent / name).is_file():
            raise CheckpointError(f"{weights.parent}: lacks {name}; expected {_NEEDED}")
    return weights


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("transformers", "hf", "CheXbert") from None
    return transformers


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error}); expected BERT's configuration") from None
    if not isinstance(config, dict) or "hidden_size" not in config:
        raise CheckpointError(f"{path}: has no hidden_size; expected BERT's configuration")
    return config


def _read(path: Path, *, allow_pickle: bool) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a checkpoint by name; of a pickle the weights only, and only where that is allowed."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if not allow_pickle:
        raise CheckpointError(
            f"{path}: is a pickle, which can run code; trust its source and add --allow-pickle, "
            "or save its weights as chexbert.safetensors"
        )
    import torch

    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return dict(loaded.get("model_state_dict", loaded))


def _fill(bert: nn.Module, heads: nn.ModuleList, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    named = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    # Older versions of transformers kept the row of positions among the weights.
    inner = _part(named, "bert.", leaving=("embeddings.position_ids",))
    for module, part in ((bert, inner), (heads, _part(named, "linear_heads."))):
        try:
            module.load_state_dict(part)
        except RuntimeError as error:
            reason = str(error).splitlines()[1 if "\n" in str(error) else 0].strip()
            raise CheckpointError(
                f"{path}: not CheXbert's weights for this config.json ({reason[:160]})"
            ) from None


def _part(named: Mapping[str, torch.Tensor], prefix: str, leaving: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in named.items()
        if name.startswith(prefix) and name.removeprefix(prefix) not in leaving
    }
