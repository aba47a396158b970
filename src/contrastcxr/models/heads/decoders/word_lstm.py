"""An LSTM that is told one vector and then writes words: a report from an image, or a sentence from a topic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from contrastcxr.models.heads.decoders.inputs import DecoderInputs, word_vectors
from contrastcxr.models.heads.decoders.options import RecurrentOptions
from contrastcxr.models.heads.writing import StepResult


@dataclass(frozen=True, eq=False)
class WordInputs:
    """What a `WordLstm` is told before BOS.

    Attributes:
        first: `[R, e]`, fed before the first word.
        shift: `[R, e]`, added to every word vector; None for nothing.
    """

    first: Tensor
    shift: Tensor | None = None


@dataclass(frozen=True, eq=False)
class LstmState:
    """Hidden state and cell of a stack of LSTM layers, each `[layers, R, hidden]`, and what shifts the words."""

    hidden: Tensor
    cell: Tensor
    shift: Tensor | None = None

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return self.hidden.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.hidden.device

    def select(self, index: Tensor) -> LstmState:
        """Return the rows `index [R']`."""
        shift = None if self.shift is None else self.shift.index_select(0, index)
        return LstmState(self.hidden.index_select(1, index), self.cell.index_select(1, index), shift)


class WordLstm(nn.Module):
    """`x_{-1}` is told, `x_t = E w_t + b`, `h_t = LSTM(x_t)`, `p = softmax(W_o h_t)`; `h = c = 0` at the start.

    What is answered to the first vector is not scored.

    Args:
        vocabulary: V.
        embedding: width e of a word vector.
        hidden: width of the LSTM.
        layers: of the LSTM.
        options: of the decoder it belongs to: dropout before the output layer, and how words come in.
        words: the word embedding to share with another one; None for an own one.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        embedding: int,
        hidden: int,
        layers: int = 1,
        options: RecurrentOptions,
        words: nn.Embedding | None = None,
    ) -> None:
        super().__init__()
        self.embedding = word_vectors(vocabulary, options, width=embedding) if words is None else None
        # In a tuple, so that shared weights are registered, saved and counted once, where they belong.
        self._shared = (words,)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.inputs = DecoderInputs(options)
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, word_inputs: WordInputs, token_ids: Tensor) -> Tensor:
        """Return log-probabilities `[R, T-1, V]` of `token_ids[:, 1:]`.

        Every row of `token_ids [R, T]` starts with BOS.
        """
        return self.log_probs(self.hidden(word_inputs, token_ids))

    def hidden(self, word_inputs: WordInputs, token_ids: Tensor) -> Tensor:
        """Return `h_t`, `[R, T-1, h]`, from which the words `token_ids[:, 1:]` are chosen."""
        inputs = self._inputs(word_inputs, token_ids)
        with torch.autocast(inputs.device.type, enabled=False):
            hidden, _ = self.lstm(inputs)
        states: Tensor = hidden[:, 1:]
        return states

    def forced(self, word_inputs: WordInputs, token_ids: Tensor, mask: Tensor) -> Tensor:
        """Return what `forward` says of the real words alone, `[M, V]` row by row."""
        return self.log_probs(self.real_hidden(word_inputs, token_ids, mask))

    def real_hidden(self, word_inputs: WordInputs, token_ids: Tensor, mask: Tensor) -> Tensor:
        """Return `hidden` of the real words alone, `[M, h]` row by row.

        It costs no more than the real words do.

        Args:
            word_inputs: as in `forward`.
            token_ids: `[R, T]`, starting with BOS.
            mask: `[R, T-1]` bool, True where `token_ids[:, 1:]` is real; a row is real from its start.
        """
        if not len(mask):
            return word_inputs.first.new_zeros(0, self.lstm.hidden_size)
        inputs = self._inputs(word_inputs, token_ids)
        lengths = 1 + mask.sum(dim=1).cpu()
        with torch.autocast(inputs.device.type, enabled=False):
            packed, _ = self.lstm(pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False))
        hidden, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.shape[1])
        return hidden[:, 1:][mask]

    def start(self, word_inputs: WordInputs) -> LstmState:
        """Return the state after the first vector."""
        nothing = word_inputs.first.new_zeros(self.lstm.num_layers, len(word_inputs.first), self.lstm.hidden_size)
        hidden, cell = self._cells(word_inputs.first, LstmState(nothing, nothing))
        return LstmState(hidden, cell, word_inputs.shift)

    def step(self, token_ids: Tensor, state: LstmState) -> StepResult:
        """Take one LSTM step on `token_ids [R]`."""
        words = self._words(token_ids.unsqueeze(1), state.shift).squeeze(1)
        hidden, cell = self._cells(words, state)
        return StepResult(self.log_probs(hidden[-1]), LstmState(hidden, cell, state.shift))

    def vectors(self, token_ids: Tensor) -> Tensor:
        """Return `E w`, `[..., e]` of `token_ids [...]`."""
        embedding = self._shared[0] if self.embedding is None else self.embedding
        assert embedding is not None  # one of the two
        words: Tensor = embedding(token_ids)
        return words

    def _inputs(self, word_inputs: WordInputs, token_ids: Tensor) -> Tensor:
        """Return the first vector and the words of `token_ids [R, T]` but the last, `[R, T, e]`."""
        words = self._words(token_ids[:, :-1], word_inputs.shift)  # [R, T-1, e]
        return self._own(torch.cat([word_inputs.first.unsqueeze(1), words], dim=1))

    def _words(self, token_ids: Tensor, shift: Tensor | None) -> Tensor:
        words: Tensor = self.inputs(self.vectors(token_ids))
        return words if shift is None else words + shift.unsqueeze(1)

    def _cells(self, inputs: Tensor, state: LstmState) -> tuple[Tensor, Tensor]:
        """Return the hidden state and cell `[layers, R, hidden]` after `inputs [R, e]`.

        A call of `nn.LSTM` arranges its weights anew, which for a single step costs more than the step.
        """
        inputs, before = self._own(inputs), (self._own(state.hidden), self._own(state.cell))
        after = []
        with torch.autocast(inputs.device.type, enabled=False):
            for weights, hidden, cell in zip(self.lstm.all_weights, *before, strict=True):
                inputs, cell = torch.lstm_cell(inputs, (hidden, cell), *weights)
                after.append((inputs, cell))
        hiddens, cells = zip(*after, strict=True)
        return torch.stack(hiddens), torch.stack(cells)

    def _own(self, inputs: Tensor) -> Tensor:
        """Return the inputs in the precision of the LSTM's weights.

        CPUs without bfloat16 units have no LSTM under autocast.
        """
        return inputs.to(next(self.lstm.parameters()).dtype)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities `[..., V]` of the word that `hidden [..., h]` chooses."""
        logits = self.output(self.dropout(hidden))
        return torch.log_softmax(logits.float(), dim=-1)
