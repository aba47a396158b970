"""Reports taken apart into sentences and put together again, against plain Python."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from contrastcxr.models.blocks.sentences import Joined, SentenceTokens, join_sentences, split_sentences

PAD, BOS, EOS, END = 0, 1, 2, 4


def _split(reports: list[list[int]], *, sentences: int = 10, words: int = 30) -> SentenceTokens:
    """Split reports given without BOS and EOS."""
    longest = max(len(report) for report in reports) + 2
    rows = [[BOS, *report, EOS] + [PAD] * (longest - len(report) - 2) for report in reports]
    mask = torch.tensor([[place < len(report) + 1 for place in range(longest - 1)] for report in reports])
    return split_sentences(torch.tensor(rows), mask, end=END, eos=EOS, sentences=sentences, words=words)


def _plainly(report: list[int], *, sentences: int, words: int) -> list[list[int]]:
    """After each end mark a sentence ends; what comes after the last one is one too."""
    found: list[list[int]] = [[]]
    for token in report:
        found[-1].append(token)
        if token == END:
            found.append([])
    return [sentence[:words] for sentence in found if sentence][:sentences]


def _listed(word_inputs: SentenceTokens) -> list[list[int]]:
    rows = zip(word_inputs.token_ids[:, 1:].tolist(), word_inputs.mask.tolist(), strict=True)
    return [[token for token, real in zip(ids, mask, strict=True) if real] for ids, mask in rows]


def _joined(word_inputs: SentenceTokens, *, studies: int, room: int = 100) -> Joined:
    return join_sentences(
        word_inputs.token_ids[:, 1:],
        word_inputs.mask.sum(dim=1),
        word_inputs.study,
        studies=studies,
        room=room,
        pad=PAD,
    )


def _reports(joined: Joined) -> list[list[int]]:
    return [ids[:n] for ids, n in zip(joined.token_ids.tolist(), joined.lengths.tolist(), strict=True)]


def _random_reports(seed: int) -> list[list[int]]:
    """Reports of up to 14 tokens, a third of them end marks; some are empty, some lack the last mark."""
    draw = random.Random(seed)
    return [[draw.choice((END, 5, 6)) for _ in range(draw.randrange(15))] for _ in range(6)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("sentences", "words"), [(20, 20), (3, 20), (20, 2), (2, 1)])
def test_splitting_is_what_plain_python_does(seed: int, sentences: int, words: int) -> None:
    reports = _random_reports(seed)
    word_inputs = _split(reports, sentences=sentences, words=words)
    expected = [_plainly(report, sentences=sentences, words=words) for report in reports]
    assert _listed(word_inputs) == list(itertools.chain.from_iterable(expected))
    assert word_inputs.study.tolist() == [study for study, found in enumerate(expected) for _ in found]
    assert word_inputs.place.tolist() == [place for found in expected for place in range(len(found))]
    assert word_inputs.last.tolist() == [
        place + 1 == len(found) for found in expected for place in range(len(found))
    ]
    assert (word_inputs.token_ids[:, 0] == BOS).all()


@pytest.mark.parametrize("seed", range(8))
def test_joining_takes_splitting_back(seed: int) -> None:
    reports = _random_reports(seed)
    assert _reports(_joined(_split(reports, sentences=20), studies=6)) == reports


def test_a_report_is_cut_at_the_most_sentences_and_its_last_kept_one_is_the_last() -> None:
    word_inputs = _split([[5, END, 6, END, 7, END]], sentences=2)
    assert _listed(word_inputs) == [[5, END], [6, END]]
    assert word_inputs.last.tolist() == [False, True]


def test_a_sentence_is_cut_at_the_most_words_and_then_lacks_its_mark() -> None:
    word_inputs = _split([[5, 6, 7, 8, END, 9, END]], words=3)
    assert _listed(word_inputs) == [[5, 6, 7], [9, END]]


def test_a_report_without_end_mark_is_one_sentence() -> None:
    word_inputs = _split([[5, 6, 7]])
    assert _listed(word_inputs) == [[5, 6, 7]]
    assert word_inputs.last.tolist() == [True]


def test_several_marks_in_a_row_are_sentences_of_a_mark_each() -> None:
    assert _listed(_split([[5, END, END, END, 6]])) == [[5, END], [END], [END], [6]]


def test_an_empty_report_has_no_sentence_and_its_neighbours_keep_theirs() -> None:
    word_inputs = _split([[5, END], [], [6]])
    assert _listed(word_inputs) == [[5, END], [6]]
    assert word_inputs.study.tolist() == [0, 2]


def test_a_batch_of_empty_reports_has_no_sentence_at_all() -> None:
    word_inputs = _split([[], []])
    assert word_inputs.token_ids.shape == (0, 1)
    assert word_inputs.mask.shape == (0, 0)
    assert _reports(_joined(word_inputs, studies=2)) == [[], []]


def test_what_is_masked_inside_the_tensor_belongs_to_no_sentence() -> None:
    """End marks behind the report's end are not its own."""
    ids = torch.tensor([[BOS, 5, END, EOS, END, 7]])
    mask = torch.tensor([[True, True, True, False, False]])
    word_inputs = split_sentences(ids, mask, end=END, eos=EOS, sentences=5, words=5)
    assert _listed(word_inputs) == [[5, END]]


def test_a_joined_report_says_which_sentence_each_token_is_of() -> None:
    joined = _joined(_split([[5, END], [], [6, 7, END, 8]]), studies=3)
    assert joined.sentence.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 2]]


def test_what_has_no_room_in_a_report_is_cut_off() -> None:
    joined = _joined(_split([[5, 6, END, 7, 8, END], [9]]), studies=2, room=4)
    assert _reports(joined) == [[5, 6, END, 7], [9]]
    assert joined.token_ids.shape == (2, 4)
