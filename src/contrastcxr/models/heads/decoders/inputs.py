"""What comes into a recurrent decoder: features and word vectors, as public captioning code lets them in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.decoders.options import RecurrentOptions


class DecoderInputs(nn.Module):
    """ReLU and dropout on features and word vectors as they come in.

    The code that the recurrent decoders are known by has both on its embedded image and on its word vectors; the
    papers do not mention them, and by default there is neither. After Contrastive Attention the ReLU changes
    nothing: its features have been through one (paper A, Eq. 9 and 10).

    Args:
        options: `input_relu` and `input_dropout` of a decoder.
    """

    def __init__(self, options: RecurrentOptions) -> None:
        super().__init__()
        self.relu = options.input_relu
        self.dropout = nn.Dropout(options.input_dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Return `values [..., ·]` as the decoder takes them."""
        taken: Tensor = self.dropout(torch.relu(values) if self.relu else values)
        return taken

    def features(self, features: VisualFeatures) -> VisualFeatures:
        """Return the features with patches and `v̂` as the decoder takes them."""
        return features.replace(patches=self(features.patches), pooled=self(features.pooled))


@torch.no_grad()
def raise_forget_gates(decoder: nn.Module, bias: float) -> None:
    """Add `bias` to the forget gates of all LSTMs, so that at the start a state lasts (after Gers 2000)."""
    for module in decoder.modules():
        if isinstance(module, nn.LSTM | nn.LSTMCell):
            for name, parameter in module.named_parameters():
                if name.startswith("bias_ih"):  # of the input, forget, cell and output gates
                    parameter.chunk(4)[1].add_(bias)


def word_vectors(vocabulary: int, options: RecurrentOptions, *, width: int) -> nn.Embedding:
    """Return word vectors `[V, width]` drawn from N(0, `word_deviation`²)."""
    embedding = nn.Embedding(vocabulary, width)
    with torch.no_grad():
        embedding.weight.mul_(options.word_deviation)
    return embedding
