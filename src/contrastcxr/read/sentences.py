"""Which generated tokens make which sentence, so that attention and findings can be shown sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contrastcxr.text.tokenizer import Tokenizer

END_MARKS = (".", "?", "!")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the generated tokens `[first, last)` it was written with."""

    text: str
    first: int
    last: int


def ending_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Ids of the tokens that end a sentence; `1.2` is one token and ends nothing."""
    return frozenset(tokenizer.id_of(mark) for mark in END_MARKS if mark in tokenizer)


def sentences_of(ids: Sequence[int], tokenizer: Tokenizer, ends: frozenset[int]) -> tuple[Sentence, ...]:
    """Split token ids (specials already taken off the end) into sentences.

    Args:
        ids: token ids as generated, the end token and what follows it cut off.
        tokenizer: says how they read.
        ends: what `ending_ids` gave.
    """
    borders = [i + 1 for i, token in enumerate(ids) if token in ends]
    if not borders or borders[-1] < len(ids):
        borders.append(len(ids))
    spans = zip([0, *borders], borders, strict=False)
    found = (Sentence(tokenizer.decode(ids[a:b]).strip(), a, b) for a, b in spans if a < b)
    return tuple(sentence for sentence in found if sentence.text.strip(" .?!"))
