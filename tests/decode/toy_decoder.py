"""A decoder whose answers are looked up by the whole prefix, and a beam search written plainly, study by study."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.heads.writing import StepResult

PAD, BOS, EOS = 0, 1, 2
Prefix = tuple[int, ...]


@dataclass(frozen=True)
class ToyState:
    study: Tensor  # [R]
    prefix: Tensor  # [R, t]

    @property
    def rows(self) -> int:
        return len(self.study)

    @property
    def device(self) -> torch.device:
        return self.study.device

    def select(self, index: Tensor) -> ToyState:
        return ToyState(self.study[index], self.prefix[index])


class ToyDecoder:
    """Log-probabilities that depend on the study and on every word so far; it counts the rows it is given."""

    def __init__(
        self, *, vocabulary: int = 7, patches: int = 4, sharpness: float = 1.5, ending: float = 0.0
    ) -> None:
        self.vocabulary = vocabulary
        self.patches = patches
        self.sharpness = sharpness
        self.ending = ending
        self.asked: list[list[int]] = []  # per step, the study of each row

    def log_probs(self, study: int, prefix: Prefix) -> Tensor:
        draw = random.Random(f"{study}{prefix}")
        logits = torch.tensor([draw.gauss(0, self.sharpness) for _ in range(self.vocabulary)])
        logits[EOS] += self.ending * len(prefix)
        return torch.log_softmax(logits, dim=0)

    def attention(self, study: int, prefix: Prefix) -> Tensor:
        draw = random.Random(f"a{study}{prefix}")
        return torch.tensor([draw.random() for _ in range(self.patches)])

    def start(self, studies: Tensor) -> ToyState:
        self.asked = []
        return ToyState(studies, torch.empty(len(studies), 0, dtype=torch.int64))

    def step(self, token_ids: Tensor, state: ToyState) -> StepResult:
        self.asked.append(state.study.tolist())
        state = ToyState(state.study, torch.cat([state.prefix, token_ids.unsqueeze(1)], dim=1))
        rows = [(int(s), tuple(p)) for s, p in zip(state.study, state.prefix.tolist(), strict=True)]
        return StepResult(
            torch.stack([self.log_probs(*row) for row in rows]),
            state,
            torch.stack([self.attention(*row) for row in rows]),
        )


@dataclass(frozen=True)
class Found:
    """One report of the plain search."""

    words: Prefix
    score: float
    ended: bool


def _repeats(words: Prefix, token: int) -> bool:
    trigrams = [words[i : i + 3] for i in range(len(words) - 2)]
    return (*words[-2:], token) in trigrams


def _allowed(words: Prefix, settings: GenerationSettings, vocabulary: int, never: set[int]) -> list[int]:
    tokens = [t for t in range(vocabulary) if t not in never]
    if len(words) < settings.min_tokens:
        tokens = [t for t in tokens if t != EOS]
    if settings.block_trigrams:
        tokens = [t for t in tokens if not _repeats(words, t)] or [EOS]
    return tokens


def plain_beam_search(
    decoder: ToyDecoder, study: int, settings: GenerationSettings, *, beams: int, never: set[int] | None = None
) -> Found:
    """Run to the last step without short cuts; live beams are the best continuations that did not end."""
    never = {PAD, BOS} if never is None else never
    live: list[tuple[Prefix, float]] = [((), 0.0)]
    done: list[Found] = []
    for step in range(settings.max_tokens):
        candidates = []
        for words, score in live:
            answers = decoder.log_probs(study, (BOS, *words)).tolist()
            for token in _allowed(words, settings, decoder.vocabulary, never):
                candidates.append((score + answers[token], words, token))
        best = sorted(candidates, key=lambda c: -c[0])[:beams]
        done += [Found(words, score, True) for score, words, token in best if token == EOS]
        live = [((*words, token), score) for score, words, token in best if token != EOS]
        if step + 1 == settings.max_tokens:
            done += [Found(words, score, False) for words, score in live]
    return max(done, key=lambda f: f.score / (len(f.words) + f.ended) ** settings.length_penalty)
