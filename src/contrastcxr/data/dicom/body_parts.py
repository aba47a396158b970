"""Whether BodyPartExamined names the chest or another part, in the languages and spellings that files hold.

The attribute is a code string, but consoles fill it with words of their own language. A code string has no
character set, so that pydicom reads these by a wrong one; here they are read by SpecificCharacterSet or as UTF-8.
What the tables of `body_words` do not hold is taken for a chest, and the page says so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, MutableSequence
from functools import lru_cache

from pydicom.charset import python_encoding
from pydicom.dataset import Dataset

from contrastcxr.data.dicom.body_words import (
    BONES_OF_THE_CHEST,
    CHEST,
    ELSEWHERE,
    OF_THE_CHEST,
    UNSTATED,
)
from contrastcxr.data.dicom.objects import coded

_PLAIN_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})
"""Letters that do not fall apart into one of ASCII and an accent."""
_ESCAPE = re.compile(rb"\x1b[$(),\-.]{1,2}[0-9A-Z]")
"""What switches between character sets in ISO 2022 (PS3.5 6.1.2.5)."""


def another_part(ds: Dataset) -> str | None:
    """Return the part that the object says it shows, in a form that may be printed, where it is not the chest."""
    text, named = _stated(ds)
    if named in ("", "chest", None):
        return None
    code = text.strip().upper()
    return code if coded(code) == code else named.upper()


def body_part_doubt(ds: Dataset) -> str | None:
    """Return what to say when the object states a part that is in no table."""
    text, named = _stated(ds)
    if named is not None:
        return None
    code = text.strip().upper()
    shown = f" ({code})" if coded(code) == code else ""
    return f"its file states a body part that is not known{shown}; it is read as a chest"


def _stated(ds: Dataset) -> tuple[str, str | None]:
    """Return the text of BodyPartExamined, and the part that it names, as of `part_named`."""
    value = ds.get("BodyPartExamined")
    text = "\\".join(map(str, value)) if isinstance(value, MutableSequence) else str(value or "")
    for read in _readings(text, ds.get("SpecificCharacterSet")):
        named = part_named(read)
        if named is not None:
            return read, named
    return text, None


def _readings(text: str, character_sets: object) -> Iterator[str]:
    """Yield a code string as it is, and as its bytes may have been meant."""
    yield text
    if (text.isascii() and "\x1b" not in text) or any(ord(letter) > 0xFF for letter in text):
        return
    raw = text.encode("latin-1")
    stated = character_sets if isinstance(character_sets, MutableSequence) else [character_sets]
    for encoding in (*(python_encoding.get(str(name), "ascii") for name in stated), "iso2022_jp_2", "utf-8"):
        for data in (raw, _ESCAPE.sub(b"", raw)):
            try:
                yield data.decode(encoding)
            except UnicodeDecodeError:
                continue


@lru_cache(maxsize=100)
def part_named(text: str) -> str | None:
    """Return `chest`, the English name of another part, an empty string where none is stated, None if unknown.

    The chest counts where it is named beside another part (a child's chest and abdomen), but not in the names of
    its spine and sternum.
    """
    folded = _folded(text)
    if not folded or _UNSTATED.fullmatch(folded):
        return ""
    rest, bones = folded, None
    for name, pattern in _BONES.items():
        rest, found = pattern.subn(" ", rest)
        bones = bones or (name if found else None)
    if _CHEST.search(rest):
        return "chest"
    other = bones or next((name for name, pattern in _ELSEWHERE.items() if pattern.search(rest)), None)
    return other or ("chest" if _OF_THE_CHEST.search(rest) else None)


def _folded(text: str) -> str:
    """Return the words of a text in small letters, without accents, digits and punctuation."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_PLAIN_LETTERS)
    kept = (
        c if unicodedata.category(c)[0] == "L" or unicodedata.category(c) == "Mc" else " "
        for c in apart
        if unicodedata.category(c) != "Mn"
    )
    return " ".join("".join(kept).split())


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    r"""Return what finds whole words (`=`), and words that hold a part.

    A match begins where a word does: tried from each letter, it would take the square of a word's length.
    """
    forms = []
    for word in ", ".join(words).split(", "):
        form = re.escape(_folded(word))
        forms.append(rf"(?<!\S){form}(?!\S)" if word.startswith("=") else rf"(?<!\S)\S*{form}\S*")
    return re.compile("|".join(forms))


_UNSTATED = _pattern([", ".join(f"={word}" for word in UNSTATED.split(", "))])
_CHEST = _pattern(CHEST.values())
_OF_THE_CHEST = _pattern([OF_THE_CHEST])
_BONES = {name: _pattern([words]) for name, words in BONES_OF_THE_CHEST.items()}
_ELSEWHERE = {name: _pattern([words]) for name, words in ELSEWHERE.items()}
