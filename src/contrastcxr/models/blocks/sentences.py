"""Reports as sentences: token ids taken apart and put together again, without a loop over studies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SentenceTokens:
    """The sentences of a batch of reports, one after another, study by study.

    Attributes:
        token_ids: `[K, T+1]`, BOS, the words, the end mark where the sentence has one, then whatever.
        mask: `[K, T]` bool, True where `token_ids[:, 1:]` is real.
        study: `[K]`, ascending.
        place: `[K]`, 0 for the first sentence of its study.
        last: `[K]` bool, True for the last sentence of its study.
    """

    token_ids: Tensor
    mask: Tensor
    study: Tensor
    place: Tensor
    last: Tensor

    def select(self, index: Tensor) -> SentenceTokens:
        """Return the sentences `index [K']`."""
        parts = (self.token_ids, self.mask, self.study, self.place, self.last)
        return SentenceTokens(*(part[index] for part in parts))

    @property
    def row_of_words(self) -> Tensor:
        """`[M]`, which of the sentences each real word is of, sentence after sentence."""
        return self.mask.nonzero()[:, 0]


def split_sentences(
    token_ids: Tensor,
    mask: Tensor,
    *,
    end: int,
    eos: int,
    sentences: int,
    words: int,
    sentence: Tensor | None = None,
) -> SentenceTokens:
    """Return the first `sentences` sentences of each report, each cut after `words` tokens.

    Args:
        token_ids: `[B, T]`, BOS … EOS, padded.
        mask: `[B, T-1]` bool, True where `token_ids[:, 1:]` is real.
        end: id of the mark that ends a sentence; it belongs to the sentence.
        eos: id of the end of the report, which belongs to none.
        sentences: S.
        words: the most tokens of a sentence, its mark included.
        sentence: `[B, T-1]`, the sentence of each of `token_ids[:, 1:]` where that is known; by default one begins
            after each mark.
    """
    flat = token_ids[:, 1:]
    real = mask & (flat != eos)  # [B, T-1]
    if sentence is None:
        sentence = _sentence_by_marks(real & (flat == end))
    place = _place_in_sentence(sentence)
    kept = real & (sentence < sentences) & (place < words)
    exists = torch.zeros(len(flat), sentences, dtype=torch.bool, device=flat.device)
    exists[kept.nonzero()[:, 0], sentence[kept]] = True
    row = (exists.flatten().cumsum(dim=0) - 1).view_as(exists)  # [B, S]
    owner = kept.nonzero()[:, 0]
    rows, longest = row[owner, sentence[kept]], int(place[kept].max()) + 1 if kept.any() else 0
    K = int(exists.sum())
    ids = torch.full((K, longest + 1), eos, dtype=flat.dtype, device=flat.device)
    ids[:, 0] = token_ids[0, 0]
    ids[rows, place[kept] + 1] = flat[kept]
    is_word = torch.zeros(K, longest, dtype=torch.bool, device=flat.device)
    is_word[rows, place[kept]] = True
    study, number = exists.nonzero().unbind(dim=1)
    last = number == (exists * torch.arange(sentences, device=flat.device)).amax(dim=1)[study]
    return SentenceTokens(ids, is_word, study, number, last)


def sentence_of_words(token_ids: Tensor, mask: Tensor, *, end: int | None, eos: int) -> Tensor:
    """Return `[B, T-1]`, the sentence of each of `token_ids[:, 1:]`, from 0; -1 for EOS and where nothing is real.

    A mark belongs to the sentence that it ends. Where there is no mark (`end` is None) a report is one sentence.

    Args:
        token_ids: `[B, T]`, BOS … EOS, padded.
        mask: `[B, T-1]` bool, True where `token_ids[:, 1:]` is real.
        end: id of the mark that ends a sentence.
        eos: id of the end of the report.
    """
    flat = token_ids[:, 1:]
    real = mask & (flat != eos)
    ends = torch.zeros_like(real) if end is None else real & (flat == end)
    return torch.where(real, _sentence_by_marks(ends), -1)


def _sentence_by_marks(ends: Tensor) -> Tensor:
    """Return how many marks come before each token, where `ends [B, T]` is True at marks."""
    return ends.long().cumsum(dim=1) - ends.long()


def _place_in_sentence(sentence: Tensor) -> Tensor:
    """Return how many tokens of the same sentence come before each token.

    The sentence of each token is `[B, T]`.
    """
    steps = torch.arange(sentence.shape[1], device=sentence.device).expand_as(sentence)
    starts = torch.ones_like(sentence, dtype=torch.bool)
    starts[:, 1:] = sentence[:, 1:] != sentence[:, :-1]
    return steps - torch.where(starts, steps, 0).cummax(dim=1).values


@dataclass(frozen=True, eq=False)
class Joined:
    """Sentences as reports.

    Attributes:
        token_ids: `[B, T]`, padded.
        lengths: `[B]`.
        sentence: `[B, T]`, which row of the sentences each token comes from; 0 behind the end.
    """

    token_ids: Tensor
    lengths: Tensor
    sentence: Tensor


def join_sentences(
    token_ids: Tensor, lengths: Tensor, study: Tensor, *, studies: int, room: int, pad: int
) -> Joined:
    """Put sentences together to reports of at most `room` tokens.

    Args:
        token_ids: `[K, T]`, marks included.
        lengths: `[K]`, tokens of each.
        study: `[K]`, ascending, the study of each.
        studies: B.
        room: what comes after is cut off.
        pad: fills up.
    """
    before = lengths.cumsum(dim=0) - lengths  # [K], in the whole batch
    total = torch.zeros(studies, dtype=lengths.dtype, device=lengths.device).index_add(0, study, lengths)
    start = before - (total.cumsum(dim=0) - total)[study]  # [K], in its report
    real = torch.arange(token_ids.shape[1], device=lengths.device) < lengths.unsqueeze(1)  # [K, T]
    place = start.unsqueeze(1) + torch.arange(token_ids.shape[1], device=lengths.device)
    real &= place < room
    row, column = real.nonzero().unbind(dim=1)
    total = total.clamp_max(room)
    longest = int(total.max()) if studies else 0
    ids = token_ids.new_full((studies, longest), pad)
    source = torch.zeros(studies, longest, dtype=torch.int64, device=lengths.device)
    ids[study[row], place[row, column]] = token_ids[row, column]
    source[study[row], place[row, column]] = row
    return Joined(ids, total, source)
