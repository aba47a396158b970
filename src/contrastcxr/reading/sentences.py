"""Which generated tokens make which sentence, so that attention and findings can be shown sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contrastcxr.text.tokenizer import Tokenizer

END_MARKS = (".", "?", "!")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the generated tokens `[first, last)` it was written with.

    `planned` is its place in the plan of a decoder that plans or retrieves sentences, None where there is no plan.
    """

    text: str
    first: int
    last: int
    planned: int | None = None


def ending_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Return the ids of the tokens that end a sentence; `1.2` is one token and ends nothing."""
    return frozenset(tokenizer.id_of(mark) for mark in END_MARKS if mark in tokenizer)


def sentences_of(
    ids: Sequence[int], tokenizer: Tokenizer, ends: frozenset[int], *, planned: Sequence[int] | None = None
) -> tuple[Sentence, ...]:
    """Split token ids (specials already taken off the end) into sentences; those of marks alone are left out.

    Args:
        ids: token ids as generated, the end token and what follows it cut off.
        tokenizer: says how they read.
        ends: what `ending_ids` gave.
        planned: per token, the place of its sentence in the decoder's plan; a sentence ends where it changes.
    """
    borders = [i + 1 for i, token in enumerate(ids) if token in ends or _changes(planned, i)]
    if not borders or borders[-1] < len(ids):
        borders.append(len(ids))
    spans = zip([0, *borders], borders, strict=False)
    found = (
        Sentence(tokenizer.decode(ids[a:b]).strip(), a, b, None if planned is None else int(planned[a]))
        for a, b in spans
        if a < b
    )
    return tuple(sentence for sentence in found if sentence.text.strip(" .?!"))


def _changes(planned: Sequence[int] | None, place: int) -> bool:
    return planned is not None and place + 1 < len(planned) and planned[place + 1] != planned[place]
