"""BERTScore (Zhang et al. 2020): words of one report matched to the likest of the other, by vectors.

After the public code: greedy matching by cosine, every word weighs one, the special tokens at both ends may be
matched but weigh nothing, no rescaling.  Which transformer and which of its layers make the vectors is part of the
score's signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError

from contrastcxr.errors import CheckpointError, MissingExtraError, RequestError
from contrastcxr.metrics.bootstrap import Floats
from contrastcxr.metrics.learned.weights import fingerprint, transformer_files

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 32
NAMES = ("bertscore/precision", "bertscore/recall", "bertscore/f1")


class BertScore:
    """Precision, recall and F1 of matched words, study by study."""

    names = NAMES

    def __init__(self, model: nn.Module, tokenizer: Any, *, layer: int, weights: str) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._layer = layer
        self.signature = f"weights:{weights}|layer:{layer}"

    @classmethod
    def load(cls, folder: Path, *, layer: int | None = None, allow_pickle: bool = False) -> BertScore:
        """Return BERTScore with the transformer of a local folder.

        Args:
            folder: with config.json, a tokenizer and weights.
            layer: hidden layer whose vectors are compared, 1 the first; the last by default.  Published figures
                name theirs (roberta-large: 17, distilroberta-base: 5, bert-base-uncased: 9).
            allow_pickle: read pytorch_model.bin too, its weights only.

        Raises:
            MissingExtraError: transformers is not installed.
            CheckpointError: the folder lacks something, or holds no such transformer.
            RequestError: no such layer.
        """
        files = transformer_files(folder, "BERTScore", allow_pickle=allow_pickle)
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise MissingExtraError("transformers", "hf", "BERTScore") from None
        try:
            model = AutoModel.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:160]
            raise CheckpointError(f"{folder}: not a transformer with its tokenizer ({reason})") from None
        layers = int(model.config.num_hidden_layers)
        if layer is not None and not 1 <= layer <= layers:
            raise RequestError(f"layer={layer}; the transformer in {folder} has layers 1 to {layers}")
        return cls(model, tokenizer, layer=layer or layers, weights=fingerprint(files))

    def scores(self, references: Sequence[str], candidates: Sequence[str]) -> Floats:
        """Return precision, recall and F1 of each study, `[S, 3]`; 0 where either text is empty."""
        texts = sorted({text.strip() for text in (*references, *candidates)}, key=len)
        vectors: dict[str, tuple[Tensor, Tensor]] = {}
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            vectors.update(zip(part, self._vectors(part), strict=True))
        pairs = zip(references, candidates, strict=True)
        return np.asarray([_matched(vectors[r.strip()], vectors[c.strip()]) for r, c in pairs], np.float64)

    def _vectors(self, texts: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        """Return unit vectors of a text's pieces `[T, d]` and what each weighs `[T]`."""
        import torch

        longest = min(self._tokenizer.model_max_length, self._places())
        pieces = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
            return_special_tokens_mask=True,
        )
        mask = pieces["attention_mask"].bool()  # [B, T]
        with torch.inference_mode():
            found = self._model(
                input_ids=pieces["input_ids"], attention_mask=pieces["attention_mask"], output_hidden_states=True
            )
        unit = torch.nn.functional.normalize(found.hidden_states[self._layer].float(), dim=-1)  # [B, T, d]
        weigh = (pieces["special_tokens_mask"] == 0).float()
        return [(unit[i, mask[i]], weigh[i, mask[i]]) for i in range(len(texts))]

    def _places(self) -> int:
        """Return the positions that the transformer has; RoBERTa's first two are taken."""
        config: Any = self._model.config
        taken = 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
        return int(getattr(config, "max_position_embeddings", 512)) - taken


def _matched(reference: tuple[Tensor, Tensor], candidate: tuple[Tensor, Tensor]) -> tuple[float, float, float]:
    (there, of_there), (said, of_said) = reference, candidate
    if not of_there.any() or not of_said.any():
        return 0.0, 0.0, 0.0
    alike = said @ there.T  # [C, R]
    precision = float((alike.max(dim=1).values * of_said).sum() / of_said.sum())
    recall = float((alike.max(dim=0).values * of_there).sum() / of_there.sum())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0
