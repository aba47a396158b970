from __future__ import annotations

import json

import pytest

from contrastcxr.errors import RequestError
from contrastcxr.text.clean import clean
from contrastcxr.text.tokenizer import UNKNOWN, SpecialTokens, Tokenizer, metric_tokens, tokenize

TEXTS = ["The heart is normal. No effusion.", "The lungs are clear. No nodule of 1.2 cm.", "No effusion, no mass."]


def test_special_ids_are_distinct_and_no_word_has_one() -> None:
    tokenizer = Tokenizer.train(TEXTS, min_count=1)
    special = tokenizer.special
    assert special.distinct
    assert not {special.pad, special.bos, special.eos, special.unk} & {tokenizer.id_of(word) for word in tokenizer}


def test_a_new_vocabulary_with_shared_special_ids_is_refused() -> None:
    with pytest.raises(RequestError, match="four distinct ids"):
        Tokenizer(["a"], SpecialTokens(pad=0, bos=0, eos=0, unk=1))


def test_order_is_by_count_then_alphabet_and_not_by_the_order_of_texts() -> None:
    forward, backward = Tokenizer.train(TEXTS, min_count=1), Tokenizer.train(TEXTS[::-1], min_count=1)
    assert forward == backward
    assert list(forward)[:3] == [".", "no", "effusion"]


def test_rare_words_are_unknown_and_stay_visible() -> None:
    tokenizer = Tokenizer.train(TEXTS, min_count=2)
    assert tokenizer.decode(tokenizer.encode("No big effusion.")) == f"No {UNKNOWN} effusion."
    assert tokenizer.decode(tokenizer.encode("No big effusion."), unknown="") == "No effusion."


def test_decoding_restores_capitals_and_spacing() -> None:
    tokenizer = Tokenizer.train(TEXTS, min_count=1)
    text = "No nodule of 1.2 cm, no mass. The heart is clear."
    assert tokenizer.decode(tokenizer.encode(text.lower())) == text


def test_encoding_begins_with_bos_and_ends_with_eos_even_when_cut() -> None:
    tokenizer = Tokenizer.train(TEXTS, min_count=1)
    whole, cut = tokenizer.encode(TEXTS[0]), tokenizer.encode(TEXTS[0], max_tokens=5)
    assert len(cut) == 5
    assert (whole[0], whole[-1]) == (cut[0], cut[-1]) == (tokenizer.special.bos, tokenizer.special.eos)
    assert tokenizer.truncates(TEXTS[0], max_tokens=5)
    assert not tokenizer.truncates(TEXTS[0], max_tokens=len(whole))
    assert tokenizer.encode(TEXTS[0], max_tokens=len(whole)) == whole


def test_room_for_no_word_is_refused() -> None:
    with pytest.raises(RequestError, match="max_tokens 1"):
        Tokenizer(["a"]).encode("a", max_tokens=1)


def test_decoding_stops_at_eos_and_skips_padding() -> None:
    tokenizer = Tokenizer.train(TEXTS, min_count=1)
    ids = tokenizer.encode("No mass.")
    assert tokenizer.decode([*ids, 0, 0, *ids]) == tokenizer.decode(ids[1:]) == "No mass."
    assert tokenizer.decode([]) == ""


def test_json_and_back_is_the_same_vocabulary() -> None:
    tokenizer = Tokenizer.train(TEXTS, min_count=1)
    restored = Tokenizer.from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert restored == tokenizer
    assert restored.encode(TEXTS[1]) == tokenizer.encode(TEXTS[1])
    assert len(restored) == len(tokenizer) == len(list(tokenizer)) + 4


def test_an_imported_vocabulary_keeps_its_ids_though_roles_share_one() -> None:
    words = {"no": 2, "effusion": 1, ".": 3, "<unk>": 4}
    saved = {"special": {"pad": 0, "bos": 0, "eos": 0, "unk": 4}, "words": words}
    tokenizer = Tokenizer.from_dict(saved)
    assert tokenizer.encode("No large effusion.") == [0, 2, 4, 1, 3, 0]
    assert tokenizer.decode([0, 2, 4, 1, 3, 0, 2]) == "No <unk> effusion."
    assert tokenizer.to_dict() == saved
    assert len(tokenizer) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [(["a", "a"], "'a' twice"), ({"a": 4, "b": 4}, "one id to two words"), ({"a": 1}, "gives 'a' the id 1")],
)
def test_a_vocabulary_with_clashing_ids_is_refused(words: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Tokenizer(words)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("No effusion, 1.2 cm (left-sided).", ["no", "effusion", "1.2", "cm", "left-sided"]),
        ("It cannot be 50%", ["it", "can", "not", "be", "50", "%"]),
        ("the patient's and/or today's", ["the", "patient", "'s", "and/or", "today", "'s"]),
        ("Normal XXXX ; ___ -- x-XXXX ?", ["normal", "xxxx", "___", "x-xxxx"]),
        ("No <unk> effusion", ["no", "<unk>", "effusion"]),
        ("", []),
    ],
)
def test_metric_tokens_split_as_the_penn_treebank_without_punctuation(text: str, tokens: list[str]) -> None:
    assert metric_tokens(text) == tokens


def test_metric_tokens_do_not_see_case_or_spacing() -> None:
    assert metric_tokens("No effusion , 1.2 cm .") == metric_tokens("no Effusion, 1.2 cm.")


def test_tokens_are_those_of_clean_text_in_lower_case() -> None:
    text = "1. Nodule of 1.2 cm ,left."
    assert tokenize(text) == tokenize(clean(text)) == ["nodule", "of", "1.2", "cm", ",", "left", "."]
