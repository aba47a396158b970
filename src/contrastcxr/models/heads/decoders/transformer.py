"""The transformer of R2Gen's code without its memory (paper A, Table 2, row Transformer)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.blocks.attention import PatchAttention, SelfAttention, mask_bias
from contrastcxr.models.blocks.cache import BeamGrid, PatchMemory, TokenCache
from contrastcxr.models.blocks.norm import UnbiasedLayerNorm
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ForcedWords, TokenDecoder
from contrastcxr.models.heads.decoders.options import POSITIONS, TransformerOptions
from contrastcxr.models.heads.writing import StepResult

Norm = Callable[[Tensor], Tensor]


class FeedForward(nn.Sequential):
    """Linear-ReLU-Dropout-Linear."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        widen, narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        nn.init.xavier_uniform_(widen.weight)
        nn.init.xavier_uniform_(narrow.weight)
        super().__init__(widen, nn.ReLU(), nn.Dropout(dropout), narrow)


class EncoderLayer(nn.Module):
    """Pre-norm self-attention over patches, then a feed-forward."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = UnbiasedLayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout)
        self.feed_forward_norm = UnbiasedLayerNorm(width)
        self.feed_forward = FeedForward(width, feed_forward, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return `x [B, N, d]` after the layer; `mask [B, N]` is True for real patches."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask=mask))
        answer: Tensor = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return answer


class DecoderLayer(nn.Module):
    """Pre-norm causal self-attention, attention over patches, feed-forward.

    `norms` of its methods stand in for its own three where something else decides scale and shift (R2Gen).
    """

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.token_norm = UnbiasedLayerNorm(width)
        self.tokens = SelfAttention(width, heads, dropout)
        self.patch_norm = UnbiasedLayerNorm(width)
        self.patches = PatchAttention(width, heads, dropout)
        self.feed_forward_norm = UnbiasedLayerNorm(width)
        self.feed_forward = FeedForward(width, feed_forward, dropout)
        self.dropout = nn.Dropout(dropout)

    @property
    def norms(self) -> tuple[UnbiasedLayerNorm, UnbiasedLayerNorm, UnbiasedLayerNorm]:
        """Its own norms: before the tokens, the patches and the feed-forward."""
        return self.token_norm, self.patch_norm, self.feed_forward_norm

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor, norms: Sequence[Norm] | None = None) -> Tensor:
        """Return `x [B, T, d]` after the layer, which looks at `x` itself and at `memory [B, N, d]`."""
        of_tokens, of_patches, of_feed_forward = norms or self.norms
        x = x + self.dropout(self.tokens(of_tokens(x), causal=True))
        x = x + self.dropout(self.patches(of_patches(x), memory, mask))
        answer: Tensor = x + self.dropout(self.feed_forward(of_feed_forward(x)))
        return answer

    def step(
        self,
        x: Tensor,
        state: TransformerState,
        layer: int,
        *,
        bias: Tensor | None,
        weights: bool,
        norms: Sequence[Norm] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Take in one token `x [R, d]`; with `weights` return also its attention over patches `[R, N]`."""
        grid = state.grid
        of_tokens, of_patches, of_feed_forward = norms or self.norms
        x = x + self.dropout(self.tokens.step(of_tokens(x), state.tokens, layer, grid, bias))
        answer, attention = self.patches.step(of_patches(x), state.patches, layer, grid, weights=weights)
        x = x + self.dropout(answer)
        return x + self.dropout(self.feed_forward(of_feed_forward(x))), attention


@dataclass(frozen=True, eq=False)
class TransformerState:
    """Keys and values of tokens and of patches, and which prefix belongs to which study."""

    tokens: TokenCache
    patches: PatchMemory
    grid: BeamGrid

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return len(self.grid.owner)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.grid.owner.device

    def select(self, index: Tensor) -> TransformerState:
        """Return the rows `index [R']`; studies that no row belongs to any more are dropped."""
        grid, kept = self.grid.select(index)
        return TransformerState(self.tokens.select(index, kept), self.patches.select(kept), grid)


class TransformerDecoder(TokenDecoder):
    """A pre-norm transformer over patches and words, after R2Gen's code.

    Token embeddings are scaled by `sqrt(d)` and get sinusoidal positions; patches get none; both stacks end in
    a norm; layer norms are `UnbiasedLayerNorm`. Weights start as Xavier uniform (code). There is no dropout
    before the output layer (code).

    R2Gen's patch embedding, Linear-ReLU-Dropout 0.5, belongs to the decoder here and not to `W_I`, which
    Contrastive Attention needs linear, so that a row and its "w/ CA" differ in nothing else (ours); where the
    projection is `r2gen` it is there already, and the decoder has none.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    positions: Tensor

    def __init__(self, inputs: HeadInputs, options: TransformerOptions) -> None:
        super().__init__(inputs, options)
        self.word_width = self.width
        width, layers, dropout = self.width, options.layers, options.dropout
        sizes = (width, options.heads, options.feed_forward, dropout)
        self.patch_embedding = nn.Identity() if inputs.patches_embedded else _patch_embedding(width)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(layers))
        self.encoder_norm = UnbiasedLayerNorm(width)
        self.embedding = nn.Embedding(self.vocabulary, width)
        nn.init.xavier_uniform_(self.embedding.weight)
        self.embedding_dropout = nn.Dropout(dropout)
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(layers))
        self.decoder_norm = UnbiasedLayerNorm(width)
        self.output = nn.Linear(width, self.vocabulary)
        self.register_buffer("positions", sinusoidal_positions(POSITIONS, width), persistent=False)

    def encode(self, features: VisualFeatures) -> Tensor:
        """Return the patches `[B, N, d]` after the encoder stack and its norm; `H_X` of paper C."""
        x = self.patch_embedding(features.patches)
        for layer in self.encoder:
            x = layer(x, features.mask)
        encoded: Tensor = self.encoder_norm(x)
        return encoded

    def hidden(self, memory: Tensor, mask: Tensor, token_ids: Tensor) -> Tensor:
        """Return the last decoder layer before its norm, `[B, T, d]`, for input `token_ids [B, T]`.

        `H_Y` of paper C.
        """
        return self.through(self.embed(token_ids, start=0), memory, mask)

    def through(
        self, x: Tensor, memory: Tensor, mask: Tensor, norms: Sequence[Sequence[Norm]] | None = None
    ) -> Tensor:
        """Return `x [B, T, d]` after every decoder layer; `norms` are three for each, in place of their own."""
        for layer, own in zip(self.layers(), norms or self._norms(), strict=True):
            x = layer(x, memory, mask, own)
        return x

    def force(self, features: VisualFeatures, token_ids: Tensor, own_words: float = 0.0) -> ForcedWords:
        """Return what it says of `token_ids[:, 1:]`."""
        del own_words  # all words are fed at once
        patches = self.encode(features)
        hidden = self.hidden(patches, features.mask, token_ids[:, :-1])
        return ForcedWords(self.log_probs(hidden), hidden, patches)

    def start(self, features: VisualFeatures) -> TransformerState:
        """Return the keys and values of the encoded patches, and empty caches."""
        memory = self.encode(features)
        keys_values = tuple(layer.patches.key_value(memory) for layer in self.layers())
        tokens = TokenCache.empty(len(keys_values), features.studies, self.width, like=keys_values[0])
        grid = BeamGrid.of(features.studies, memory.device)
        return TransformerState(tokens, PatchMemory(keys_values, features.mask), grid)

    def step(self, token_ids: Tensor, state: TransformerState) -> StepResult:
        """Take in one token; attention is the mean of the heads of the last layer."""
        return self.advance(self.embed_next(token_ids, state), state)

    def advance(
        self, x: Tensor, state: TransformerState, norms: Sequence[Sequence[Norm]] | None = None
    ) -> StepResult:
        """Return `step` of the embedded token `x [R, d]`.

        `norms` are three for each layer, in place of their own.
        """
        state = replace(state, tokens=state.tokens.extended(state.grid))
        visible = state.tokens.visible(state.grid)
        bias = None if visible is None else mask_bias(visible, state.patches.keys_values[0].dtype).unsqueeze(1)
        attention = None
        last = len(self.decoder) - 1
        for index, (layer, own) in enumerate(zip(self.layers(), norms or self._norms(), strict=True)):
            x, attention = layer.step(x, state, index, bias=bias, weights=index == last, norms=own)
        return StepResult(self.log_probs(x), state, attention)

    def layers(self) -> list[DecoderLayer]:
        """Return the layers of the decoder."""
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]

    def _norms(self) -> Sequence[Sequence[Norm]]:
        return [layer.norms for layer in self.layers()]

    def embed_next(self, token_ids: Tensor, state: TransformerState) -> Tensor:
        """Return `token_ids [R]` at the place that comes next in `state`, `[R, d]`."""
        return self.embed(token_ids.unsqueeze(1), start=state.tokens.length).squeeze(1)

    def embed(self, token_ids: Tensor, start: int) -> Tensor:
        """Return `token_ids [B, T]` from place `start` on, scaled, positioned and dropped out, `[B, T, d]`."""
        end = start + token_ids.shape[1]
        if end > len(self.positions):
            raise IncompatibleError(
                f"{end} tokens in a row; this decoder has {len(self.positions)} positions: "
                "lower text.max_tokens and generate.max_tokens"
            )
        words = self.embedding(token_ids) * math.sqrt(self.width)
        embedded: Tensor = self.embedding_dropout(words + self.positions[start:end])
        return embedded

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities `[..., V]` of the token after each `hidden [..., d]`."""
        logits = self.output(self.decoder_norm(hidden))
        return torch.log_softmax(logits.float(), dim=-1)


def _patch_embedding(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5))


def sinusoidal_positions(count: int, width: int) -> Tensor:
    """Return sinusoidal positions `[count, width]`: sines in even columns, cosines in odd ones.

    Wavelengths go from 2π to 10,000·2π (code).
    """
    place = torch.arange(count, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(count, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)[:, : width // 2]
    return table
