"""The vocabulary of R2Gen's tokenizer: words with ids from 1, and 0 for begin, end and padding alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from contrastcxr.data.readers.annotation import read_annotation
from contrastcxr.errors import CheckpointError
from contrastcxr.text.published_words import published_words
from contrastcxr.text.tokenizer import UNKNOWN, SpecialTokens, Tokenizer

Dataset = Literal["iu_xray", "mimic_cxr"]
SHARED = 0
"""The id of begin, end and padding in those projects."""
MIN_COUNTS: Mapping[Dataset, int] = {"iu_xray": 3, "mimic_cxr": 10}
"""How often a word must be seen, as their scripts set it."""
_PICKLES = (b"\x80", b"PK\x03\x04")
"""How a pickle begins, and the archive that PyTorch puts one in."""
_REMEDY = "give token2idx or idx2token of its tokenizer as JSON, or the annotation.json it was made from"


@dataclass(frozen=True)
class Vocabulary:
    """Words with their ids, and the data set they come from where the file says so."""

    ids: Mapping[str, int]
    dataset: Dataset | None = None

    @property
    def rows(self) -> int:
        """Rows that an embedding needs: every word and the shared id 0."""
        return max(self.ids.values()) + 1

    def tokenizer(self) -> Tokenizer:
        """Return the words under their own ids, begin, end and padding sharing 0."""
        special = SpecialTokens(pad=SHARED, bos=SHARED, eos=SHARED, unk=self.ids[UNKNOWN])
        return Tokenizer.from_dict({"special": vars(special), "words": dict(self.ids)})


def read_vocabulary(path: Path, *, min_count: int | None = None) -> Vocabulary:
    """Return the vocabulary of a file: `token2idx`, `idx2token`, both, a list of words, or an annotation file.

    R2Gen keeps no vocabulary beside its checkpoints: its tokenizer makes it anew from the training reports of
    `annotation.json`, the words in the order of their code points.  That file does as well, then.

    Args:
        path: JSON.
        min_count: of an annotation file, how often a word must be seen; None takes the published scripts' value.

    Raises:
        CheckpointError: none of these, or no vocabulary of that tokenizer.
        DatasetError: an annotation file that departs from its layout.
    """
    value = _json(path)
    if isinstance(value, dict) and isinstance(value.get("train"), list):
        return _from_annotation(path, min_count)
    return _checked(path, _ids(path, value))


def _json(path: Path) -> Any:
    """Return the value of a JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark."""
    try:
        content = path.read_bytes()
        return json.loads(content)  # tells the encoding from the first bytes (RFC 4627, 3)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from None
    except (ValueError, RecursionError):
        found = (
            "is a pickle, which could run code"
            if content.startswith(_PICKLES)
            else "is not JSON in UTF-8 or UTF-16"
        )
        raise CheckpointError(f"{path}: {found}; {_REMEDY}") from None


def _ids(path: Path, value: Any) -> dict[str, int]:
    if isinstance(value, dict) and ("token2idx" in value or "idx2token" in value):
        value = value.get("token2idx") or value.get("idx2token")
    pairs = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        pairs = [(word, number) for number, word in enumerate(value, start=1)]
    elif all(key.isdecimal() and isinstance(word, str) for key, word in pairs):
        pairs = [(word, int(number)) for number, word in pairs]
    if not pairs or not all(isinstance(word, str) and type(number) is int for word, number in pairs):
        raise CheckpointError(f"{path}: expected words with whole numbers, found something else; {_REMEDY}")
    if len(dict(pairs)) < len(pairs):
        raise CheckpointError(f"{path}: gives a word two ids; {_REMEDY}")
    return dict(pairs)


def _checked(path: Path, ids: dict[str, int]) -> Vocabulary:
    if UNKNOWN not in ids:
        raise CheckpointError(f"{path}: has no word {UNKNOWN}, which that tokenizer always adds; {_REMEDY}")
    numbers = sorted(ids.values())
    if numbers != list(range(1, len(ids) + 1)):
        raise CheckpointError(
            f"{path}: expected the ids 1 to {len(ids):,}, each once (0 is begin, end and padding), "
            f"found {numbers[0]:,} to {numbers[-1]:,}; {_REMEDY}"
        )
    return Vocabulary(ids)


def _from_annotation(path: Path, min_count: int | None) -> Vocabulary:
    annotation = read_annotation(path)
    dataset: Dataset = "mimic_cxr" if any(sample.study_id for sample in annotation.samples) else "iu_xray"
    least = MIN_COUNTS[dataset] if min_count is None else min_count
    training = (sample.report for sample in annotation.samples if sample.split == "train")
    counts = Counter(word for report in training for word in published_words(report, style=dataset))
    words = sorted([word for word, count in counts.items() if count >= least] + [UNKNOWN])
    return Vocabulary({word: number for number, word in enumerate(words, start=1)}, dataset)
