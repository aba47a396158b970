"""Greedy, beam and sampled search over one step interface; the beams of all studies advance together as tensors.

The rows given to the decoder are the live beams of the studies that can still get better. A beam that has ended is
dropped from them, and so is a study once no live beam can beat its best finished one; what is found is what a
search to the last step would find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from contrastcxr.decode.filters import block_trigrams, forbid, keep_nucleus, or_end
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.heads.writing import GeneratedReports, State, StepDecoder

DEAD = float("-inf")


@torch.no_grad()
def generate(
    decoder: StepDecoder,
    features: Any,
    *,
    bos: int,
    eos: int,
    pad: int,
    settings: GenerationSettings,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    forbidden: tuple[int, ...] = (),
    copies: int = 1,
) -> GeneratedReports:
    """Return the best report of each study that `settings` finds.

    BOS and PAD are never chosen unless one of them is the end token. The decoder must be in evaluation mode.

    Args:
        decoder: anything with `start` and `step`.
        features: what `decoder.start` takes.
        bos: fed first.
        eos: ends a report.
        pad: fills `token_ids` after the end.
        settings: see `GenerationSettings`.
        generator: of searches that draw, on the CPU: one for the batch, or one per report, so that what a study
            gets does not depend on its neighbours. None draws from the global generator.
        forbidden: further tokens never to choose, such as the end of the report inside a sentence.
        copies: reports of each study, one after another; what the decoder starts from is made once for all.

    Raises:
        ValueError: the decoder gave no finite log-probability.
    """
    state = decoder.start(features)
    if copies > 1:
        state = state.select(torch.arange(state.rows, device=state.device).repeat_interleave(copies))
    never = tuple(sorted({bos, pad, *forbidden} - {eos}))
    chooser = _Chooser(settings=settings, eos=eos, never=never)
    beams = _Beams.first(state, bos=bos, settings=settings, generator=generator)
    for step in range(settings.max_tokens):
        output = decoder.step(beams.tokens, state)
        values, tokens = chooser.candidates(output.log_probs, beams, step)
        rows = beams.advance(values, tokens, output.attention, step=step, eos=eos)
        if len(rows) == 0:
            break
        same = len(rows) == output.state.rows and torch.equal(rows, torch.arange(len(rows), device=rows.device))
        state = output.state if same else output.state.select(rows)
    return beams.best(eos=eos, pad=pad)


@dataclass(frozen=True)
class _Chooser:
    """Which tokens continue each row, and what they score."""

    settings: GenerationSettings
    eos: int
    never: tuple[int, ...]

    def candidates(self, log_probs: Tensor, beams: _Beams, step: int) -> tuple[Tensor, Tensor]:
        """Return scores and tokens `[R, K]` of the candidates of each row."""
        allowed = self._allowed(log_probs, beams.history, step)
        if self.settings.draws:
            tokens = self._sample(allowed, beams.uniforms[beams.study, step])
            return beams.scores.unsqueeze(1) + log_probs.gather(1, tokens), tokens
        found = allowed.topk(min(self.settings.width, allowed.shape[1]), dim=1)
        return beams.scores.unsqueeze(1) + found.values, found.indices

    def _allowed(self, log_probs: Tensor, history: Tensor | None, step: int) -> Tensor:
        early = (self.eos,) if step < self.settings.min_tokens else ()
        allowed = forbid(log_probs, (*self.never, *early))
        if history is None:
            return allowed
        return or_end(block_trigrams(allowed, history), log_probs, self.eos)

    def _sample(self, log_probs: Tensor, uniforms: Tensor) -> Tensor:
        """Return a token per row `[R, 1]`: the one at which the cumulated probability passes `uniforms [R]`."""
        tempered = log_probs / self.settings.temperature
        if self.settings.nucleus < 1:
            tempered = keep_nucleus(tempered, self.settings.nucleus)
        order = torch.softmax(tempered, dim=-1).sort(dim=-1, descending=True)
        passed = order.values.cumsum(dim=-1)
        place = torch.searchsorted(passed, (uniforms * passed[:, -1]).unsqueeze(1))
        # Rounding may point at what lies outside the nucleus; its last token is meant.
        last = (order.values > 0).sum(dim=-1, keepdim=True) - 1
        return order.indices.gather(1, place.minimum(last))


@dataclass(eq=False)
class _Trace:
    """What was chosen at each step and from which beam: reports are read off backwards at the end."""

    tokens: list[Tensor] = field(default_factory=list)  # [B, K] each
    parents: list[Tensor] = field(default_factory=list)  # [B, K] each, beam that was continued
    attention: list[Tensor] = field(default_factory=list)  # [B, K, N] each, of the beam that was continued

    def follow(self, last: Tensor, beam: Tensor, *, pad: int) -> tuple[Tensor, Tensor | None]:
        """Return the reports that ended at step `last [B]` in `beam [B]`.

        They are tokens `[B, T]` and attention `[B, T, N]`.
        """
        B, studies = len(last), torch.arange(len(last), device=last.device)
        T = int(last.max()) + 1
        tokens = last.new_full((B, T), pad)
        seen = self.attention[0].new_zeros(B, T, self.attention[0].shape[-1]) if self.attention else None
        for step in reversed(range(T)):
            written = step <= last  # [B]
            tokens[:, step] = torch.where(written, self.tokens[step][studies, beam], pad)
            beam = torch.where(written, self.parents[step][studies, beam], beam)
            if seen is not None:
                seen[:, step] = self.attention[step][studies, beam] * written.unsqueeze(1)
        return tokens, seen


def _uniforms(
    rows: int, settings: GenerationSettings, generator: torch.Generator | Sequence[torch.Generator] | None
) -> Tensor:
    """Return a uniform number per study and step, `[B, max_tokens]`; `[B, 0]` where nothing is drawn."""
    draws = settings.max_tokens if settings.draws else 0
    if generator is None or isinstance(generator, torch.Generator):
        return torch.rand(rows, draws, generator=generator)
    return torch.stack([torch.rand(draws, generator=own) for own in generator])


@dataclass(eq=False)
class _Beams:
    """The live beams, a row each, and the best finished report of every study.

    A row stands at `place = study * K + beam` of a `[B, K]` grid; rows are in that order.
    """

    settings: GenerationSettings
    tokens: Tensor  # [R] fed next
    scores: Tensor  # [R] sum of log-probabilities
    place: Tensor  # [R]
    history: Tensor | None  # [R, t], for trigram blocking only
    uniforms: Tensor  # [B, max_tokens] in [0, 1), for searches that draw
    best_score: Tensor  # [B] after the length penalty
    best_sum: Tensor  # [B]
    best_step: Tensor  # [B]
    best_beam: Tensor  # [B]
    trace: _Trace = field(default_factory=_Trace)

    @classmethod
    def first(
        cls,
        state: State,
        *,
        bos: int,
        settings: GenerationSettings,
        generator: torch.Generator | Sequence[torch.Generator] | None,
    ) -> _Beams:
        """Return one live beam per study, before any token."""
        rows, place = state.rows, torch.arange(state.rows, device=state.device)
        dead = torch.full((rows,), DEAD, device=state.device)
        return cls(
            settings=settings,
            tokens=torch.full_like(place, bos),
            scores=torch.zeros_like(dead),
            place=place * settings.width,
            history=place.new_empty(rows, 0) if settings.block_trigrams else None,
            uniforms=_uniforms(rows, settings, generator).to(state.device),
            best_score=dead,
            best_sum=dead,
            best_step=torch.full_like(place, -1),
            best_beam=torch.zeros_like(place),
        )

    @property
    def study(self) -> Tensor:
        """The study of each row, `[R]`."""
        study: Tensor = self.place // self.settings.width
        return study

    def advance(self, values: Tensor, tokens: Tensor, attention: Tensor | None, *, step: int, eos: int) -> Tensor:
        """Keep the best candidates of each study; returns which row each new live row continues, `[R']`."""
        score, token, parent = self._select(values, tokens)  # [B, K] each
        self._record(token, parent, attention)
        alive = score > DEAD
        ended = alive & (token == eos)
        cut = alive & (step + 1 == self.settings.max_tokens)
        self._finish(score, ended | cut, step)
        live = alive & ~ended & ~self._settled(score, alive & ~ended)
        return self._keep(score, token, parent, live & ~cut)

    def _select(self, values: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the K best candidates of each study: score, token and the beam they continue, `[B, K]` each."""
        K, B, C = self.settings.width, len(self.best_score), values.shape[1]
        all_values = values.new_full((B * K, C), DEAD).index_copy(0, self.place, values).view(B, K * C)
        all_tokens = tokens.new_zeros(B * K, C).index_copy(0, self.place, tokens).view(B, K * C)
        found = all_values.topk(min(K, K * C), dim=1)
        return found.values, all_tokens.gather(1, found.indices), found.indices // C

    def _record(self, token: Tensor, parent: Tensor, attention: Tensor | None) -> None:
        self.trace.tokens.append(token)
        self.trace.parents.append(parent)
        if attention is not None:
            K, B = self.settings.width, len(self.best_score)
            grid = attention.new_zeros(B * K, attention.shape[1]).index_copy(0, self.place, attention)
            self.trace.attention.append(grid.view(B, K, -1))

    def _finish(self, score: Tensor, ended: Tensor, step: int) -> None:
        """Remember the best finished beam of each study; the first of equals stays."""
        final = (score / (step + 1) ** self.settings.length_penalty).masked_fill(~ended, DEAD)
        best, beam = final.max(dim=1)
        better = best > self.best_score
        self.best_score = torch.where(better, best, self.best_score)
        self.best_sum = torch.where(better, score.gather(1, beam.unsqueeze(1)).squeeze(1), self.best_sum)
        self.best_step = torch.where(better, step, self.best_step)
        self.best_beam = torch.where(better, beam, self.best_beam)

    def _settled(self, score: Tensor, live: Tensor) -> Tensor:
        """Return True `[B, 1]` where no live beam can beat the best finished one.

        A sum of log-probabilities only falls, so dividing today's by the greatest length bounds what it can
        become.
        """
        top = score.masked_fill(~live, DEAD).amax(dim=1)
        reachable = top / self.settings.max_tokens**self.settings.length_penalty
        settled: Tensor = (self.best_score >= reachable).unsqueeze(1)
        return settled

    def _keep(self, score: Tensor, token: Tensor, parent: Tensor, live: Tensor) -> Tensor:
        K = self.settings.width
        place = live.flatten().nonzero().squeeze(1)  # [R']
        row_at = place.new_full((live.numel(),), -1)
        row_at[self.place] = torch.arange(len(self.place), device=place.device)
        rows: Tensor = row_at[place // K * K + parent.flatten()[place]]
        self.place = place
        self.tokens = token.flatten()[place]
        self.scores = score.flatten()[place]
        if self.history is not None:
            self.history = torch.cat([self.history[rows], self.tokens.unsqueeze(1)], dim=1)
        return rows

    def best(self, *, eos: int, pad: int) -> GeneratedReports:
        """Return the best report of each study."""
        if (self.best_step < 0).any():
            raise ValueError("the decoder gave no finite log-probability, so no report could be found")
        tokens, attention = self.trace.follow(self.best_step, self.best_beam, pad=pad)
        last = tokens.gather(1, self.best_step.unsqueeze(1))  # [B, 1]
        ended = (last == eos).squeeze(1)
        lengths = self.best_step + 1 - ended.long()
        T = int(lengths.max())
        words = torch.arange(tokens.shape[1], device=tokens.device) < lengths.unsqueeze(1)
        if attention is not None:
            attention = (attention * words.unsqueeze(-1))[:, :T]
        return GeneratedReports(
            token_ids=tokens.masked_fill(~words, pad)[:, :T],
            lengths=lengths,
            log_probs=self.best_sum,
            ended=ended,
            attention=attention,
        )
