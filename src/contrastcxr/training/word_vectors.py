"""Word vectors from the training reports, for decoders that start from them (paper A: Multi-Attention)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from contrastcxr.errors import MissingExtraError
from contrastcxr.text.tokenizer import Tokenizer, tokenize

WINDOW = 5
EPOCHS = 20


def skip_gram(sentences: Sequence[Sequence[str]], *, width: int, seed: int, why: str) -> dict[str, np.ndarray]:
    """Return the vectors `[width]` of all words of the sentences by skip-gram (word2vec), the commonest first.

    Window and epochs are ours. One thread and a hash of its own, so that a seed gives the same vectors.

    Args:
        sentences: words of each.
        width: of a vector.
        seed: of the start and of what is drawn.
        why: what needs them, for who lacks the package.

    Raises:
        MissingExtraError: gensim is not installed.
    """
    try:
        from gensim.models import Word2Vec
    except ImportError:
        raise MissingExtraError("gensim", "attributes", why) from None
    model = Word2Vec(
        sentences,
        vector_size=width,
        window=WINDOW,
        sg=1,
        min_count=1,
        epochs=EPOCHS,
        seed=seed,
        workers=1,
        hashfxn=_hash,
    )
    return dict(zip(model.wv.index_to_key, np.asarray(model.wv.vectors), strict=True))


def _hash(word: str) -> int:
    return zlib.crc32(word.encode())


def word_vectors(reports: Sequence[str], words: Sequence[str], *, width: int, seed: int) -> dict[str, np.ndarray]:
    """Return the vectors `[width]` of those of `words` that the reports have, by skip-gram (word2vec).

    Raises:
        MissingExtraError: gensim is not installed.
    """
    known = set(words)
    sentences = [[word for word in tokenize(report) if word in known] for report in reports]
    found = skip_gram(sentences, width=width, seed=seed, why="starting from word2vec")
    return {word: found[word] for word in words if word in found}


@torch.no_grad()
def start_word_vectors(
    embedding: nn.Embedding, tokenizer: Tokenizer, reports: Sequence[str], *, seed: int, deviation: float = 1.0
) -> None:
    """Put word vectors of the reports where a decoder's embedding starts.

    They are scaled to the deviation that the vectors they replace have (ours); words without one keep theirs.
    """
    weight = embedding.weight
    vectors = word_vectors(reports, list(tokenizer), width=weight.shape[1], seed=seed)
    if not vectors:
        return
    ids = torch.tensor([tokenizer.id_of(word) for word in vectors])
    found = torch.from_numpy(np.stack(list(vectors.values())))
    weight[ids] = (found / found.std().clamp_min(1e-6) * deviation).to(weight.dtype)
