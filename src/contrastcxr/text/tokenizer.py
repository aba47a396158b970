"""Word vocabularies: text to ids and back, and the words that metrics count."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contrastcxr.errors import RequestError
from contrastcxr.text.clean import clean, join, split_words

UNKNOWN = "<unk>"
_ENDS = frozenset(".?!")
_METRIC_WORD = re.compile(
    r"<unk>|(?:[a-z]\.){2,}|_{2,}|'(?:s|re|ve|ll|d|m)\b|[^\W_]+(?:(?:[-/']|(?<=\d)[.,:](?=\d))[^\W_]+)*|[%+=<>&#$*]"
)
_CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|re|ve|ll|d|m))\b")


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of padding, begin, end and unknown. Ours are distinct; an imported vocabulary may share them."""

    pad: int = 0
    bos: int = 1
    eos: int = 2
    unk: int = 3

    @property
    def distinct(self) -> bool:
        """Whether no two roles share an id."""
        return len({self.pad, self.bos, self.eos, self.unk}) == 4


class Tokenizer:
    """A closed vocabulary of lower-case words and marks, with the ids of the special tokens.

    `words` in order take the free ids in order; a mapping of word to id keeps those ids.  A vocabulary of our own
    has four distinct special ids; only `from_dict` accepts shared ones, for imported vocabularies.
    """

    def __init__(self, words: Sequence[str] | Mapping[str, int], special: SpecialTokens | None = None) -> None:
        special = special or SpecialTokens()
        if not special.distinct:
            raise RequestError(f"special tokens {special}; a new vocabulary needs four distinct ids")
        self._fill(words, special)

    def _fill(self, words: Sequence[str] | Mapping[str, int], special: SpecialTokens) -> None:
        ids = dict(words) if isinstance(words, Mapping) else _number(words, special)
        _check(ids, special)
        self._ids = ids
        self._words = {number: word for word, number in ids.items()}
        self.special = special

    @classmethod
    def train(cls, texts: Iterable[str], *, min_count: int = 3, special: SpecialTokens | None = None) -> Tokenizer:
        """Return the words that occur at least `min_count` times, most frequent first, ties in alphabet order."""
        counts = Counter(word for text in texts for word in tokenize(text))
        kept = [word for word, count in counts.items() if count >= min_count and word != UNKNOWN]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)), special)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Tokenizer:
        """Return the vocabulary that `to_dict` described, or an imported one, whose ids are kept.

        Roles may share an id here.  `saved["special"]` gives `pad`, `bos`, `eos` and `unk`; `saved["words"]` is a
        mapping of word to id, or words in order.
        """
        tokenizer = cls.__new__(cls)
        tokenizer._fill(saved["words"], SpecialTokens(**saved["special"]))
        return tokenizer

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` turns into an equal tokenizer."""
        return {"special": asdict(self.special), "words": dict(self._ids)}

    def digest(self) -> str:
        """Return 12 hexadecimal digits that two vocabularies share when their words and ids are the same."""
        said = json.dumps(self.to_dict(), sort_keys=True).encode()
        return hashlib.blake2b(said, digest_size=6).hexdigest()

    def __len__(self) -> int:
        """Return the rows that an embedding needs: the highest id + 1."""
        roles = (self.special.pad, self.special.bos, self.special.eos, self.special.unk)
        return max((*roles, *self._words)) + 1

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def id_of(self, word: str) -> int:
        """Return the id of a lower-case word, or that of unknown."""
        return self._ids.get(word, self.special.unk)

    def encode(self, text: str, *, max_tokens: int | None = None) -> list[int]:
        """Return the ids `bos … eos` of the cleaned, lower-cased text.

        At most `max_tokens` ids in all; a longer text is cut and still ends with eos (see `truncates`).
        """
        ids = [self.id_of(word) for word in tokenize(text)]
        if max_tokens is not None:
            if max_tokens < 2:
                raise RequestError(f"max_tokens {max_tokens}; bos and eos alone need 2")
            ids = ids[: max_tokens - 2]
        return [self.special.bos, *ids, self.special.eos]

    def truncates(self, text: str, *, max_tokens: int) -> bool:
        """Return whether `encode` would cut this text."""
        return len(tokenize(text)) + 2 > max_tokens

    def decode(self, ids: Iterable[int], *, unknown: str = UNKNOWN) -> str:
        """Return the text of the ids up to the first eos or pad, capitals restored at sentence starts.

        An unknown word is shown as `unknown`: hiding it could turn a sentence's meaning. An empty string hides it.
        """
        words = [self._words.get(number, unknown) for number in self._body(ids)]
        return join(_capitalised(word for word in words if word))

    def _body(self, ids: Iterable[int]) -> Iterator[int]:
        stops = {self.special.eos, self.special.pad}
        for position, number in enumerate(int(value) for value in ids):
            if number == self.special.bos and (position == 0 or number not in stops):
                continue
            if number in stops:
                return
            yield number


def tokenize(text: str) -> list[str]:
    """Return lower-case words and marks of a text after `clean`: what a vocabulary counts."""
    return split_words(clean(text).lower())


def metric_tokens(text: str) -> list[str]:
    """Return the lower-case words that text metrics count.

    Punctuation is dropped, and words are split as the Penn Treebank does.

    The declared Java-free tokenizer.  It follows the PTB tokenizer of COCO caption evaluation (CoreNLP 3.4.1,
    lower case, its punctuation list removed): `cannot` is `can not`, `patient's` is `patient 's`, hyphens and
    slashes stay inside words, decimals stay whole, `%` and `+` are words.  Departures (ours): brackets are
    dropped, where that code leaves `-lrb-` because it lower-cases first; `Dr.` and `Ct.` lose their point.
    """
    spaced = _CLITIC.sub(r" \1", text.lower()).replace("cannot", "can not")
    return _METRIC_WORD.findall(spaced)


def _number(words: Sequence[str], special: SpecialTokens) -> dict[str, int]:
    taken = {special.pad, special.bos, special.eos, special.unk}
    free = (number for number in range(len(words) + len(taken)) if number not in taken)
    ids = dict(zip(words, free, strict=False))
    if len(ids) != len(words):
        repeated = next(word for word, count in Counter(words).items() if count > 1)
        raise RequestError(f"vocabulary lists '{repeated}' twice; each word has one id")
    return ids


def _check(ids: Mapping[str, int], special: SpecialTokens) -> None:
    if len(set(ids.values())) != len(ids):
        raise RequestError("vocabulary gives one id to two words; each word has its own")
    roles = {special.pad, special.bos, special.eos} | ({special.unk} if UNKNOWN not in ids else set())
    clash = next((word for word, number in ids.items() if number in roles or number < 0), None)
    if clash is not None:
        raise RequestError(f"vocabulary gives '{clash}' the id {ids[clash]}, which is negative or a special one")


def _capitalised(words: Iterable[str]) -> Iterator[str]:
    start = True
    for word in words:
        yield word[0].upper() + word[1:] if start and word != UNKNOWN else word
        start = word in _ENDS
