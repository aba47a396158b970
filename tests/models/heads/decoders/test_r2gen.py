"""R2Gen against plain loops over slots, heads and places, and against the answers of its public code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from contrastcxr.checkpoint.r2gen.mapping import Layout, map_text
from contrastcxr.decode.search import generate
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.errors import IncompatibleError
from contrastcxr.models.blocks.conditional_norm import MemoryConditions
from contrastcxr.models.blocks.norm import UnbiasedLayerNorm
from contrastcxr.models.blocks.relational_memory import RelationalMemory
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.r2gen import R2GenDecoder
from contrastcxr.models.heads.writing import GeneratedReports
from contrastcxr.models.projection import PatchProjection
from models.studies import select
from plain_transformer import encoded, feed_forward, four_patches, norm, patch_attention, self_attention, word

V, D, HEADS, SLOTS, LAYERS = 11, 8, 2, 3, 2


@pytest.fixture
def decoder() -> R2GenDecoder:
    torch.manual_seed(0)
    decoder = build_decoder(
        "r2gen",
        vocabulary=V,
        width=D,
        layers=LAYERS,
        heads=HEADS,
        feed_forward=6,
        memory_slots=SLOTS,
        memory_heads=4,
    ).eval()
    for name, parameter in decoder.named_parameters():
        if name.endswith(("norm.weight", "norm.bias", "conditions.inner_bias", "conditions.outer_bias")):
            nn.init.normal_(parameter)  # fresh ones are all alike and would hide a swap
    return decoder


@pytest.fixture
def features() -> VisualFeatures:
    return four_patches(D)


def _memory_after(memory: RelationalMemory, slots: list[Tensor], word: Tensor) -> list[Tensor]:
    """One step of the memory, slot by slot."""
    after = []
    for slot in slots:
        mixed = slot + self_attention(memory.attention, slot, [*slots, word], heads=4)
        inner = torch.clamp(memory.mlp[0](mixed), min=0)
        mixed = mixed + torch.clamp(memory.mlp[2](inner), min=0)
        gates = memory.of_word(word) + memory.of_memory(torch.tanh(slot))
        enter, keep = torch.sigmoid(gates[:D]), torch.sigmoid(gates[D:])
        after.append(enter * torch.tanh(mixed) + keep * slot)
    return after


def _condition(conditions: MemoryConditions, memory: list[Tensor], mlp: int) -> Tensor:
    """One MLP of one norm: Linear-ReLU-Linear of the slots end to end."""
    hidden = torch.clamp(conditions.inner[mlp] @ torch.cat(memory) + conditions.inner_bias[mlp], min=0)
    return conditions.outer[mlp] @ hidden + conditions.outer_bias[mlp]


def _reference(decoder: R2GenDecoder, features: VisualFeatures, prefix: list[int]) -> Tensor:
    """Log-probabilities after `prefix`, everything from the start and one place at a time."""
    transformer: Any = decoder.transformer
    patches = encoded(transformer, features, HEADS)
    xs = [word(transformer, token, place) for place, token in enumerate(prefix)]
    slots, memories = [torch.eye(SLOTS, D)[slot] for slot in range(SLOTS)], []
    for x in xs:
        slots = _memory_after(decoder.memory, slots, x)
        memories.append(slots)

    def steered(which: UnbiasedLayerNorm, number: int, x: Tensor, place: int) -> Tensor:
        scale = _condition(decoder.conditions, memories[place], number)
        shift = _condition(decoder.conditions, memories[place], 3 * LAYERS + number)
        return norm(which, x, scale, shift)

    for number, layer in enumerate(transformer.decoder):
        first = 3 * number
        normed = [steered(layer.token_norm, first, x, place) for place, x in enumerate(xs)]
        xs = [x + self_attention(layer.tokens, normed[i], normed[: i + 1], HEADS) for i, x in enumerate(xs)]
        asked = [steered(layer.patch_norm, first + 1, x, i) for i, x in enumerate(xs)]
        xs = [x + patch_attention(layer.patches, q, patches, HEADS)[0] for x, q in zip(xs, asked, strict=True)]
        inner = [steered(layer.feed_forward_norm, first + 2, x, i) for i, x in enumerate(xs)]
        xs = [x + feed_forward(layer.feed_forward, y) for x, y in zip(xs, inner, strict=True)]
    logits = transformer.output(norm(transformer.decoder_norm, xs[-1]))
    return logits - torch.logsumexp(logits, 0)


@torch.no_grad()
def test_each_step_equals_plain_loops(decoder: R2GenDecoder, features: VisualFeatures) -> None:
    ids, state = [1, 5, 3, 8], decoder.start(features)
    for place, token in enumerate(ids):
        output = decoder.step(torch.tensor([token]), state)
        state = output.state
        expected = _reference(decoder, features, ids[: place + 1])
        torch.testing.assert_close(output.log_probs[0], expected, atol=1e-5, rtol=1e-5)
        assert output.attention is not None
        assert output.attention[0, 3] == 0


@torch.no_grad()
def test_teacher_forcing_equals_plain_loops(decoder: R2GenDecoder, features: VisualFeatures) -> None:
    ids = [1, 5, 3, 8, 2]
    found = decoder(features, torch.tensor([ids]))
    for place in range(4):
        expected = _reference(decoder, features, ids[: place + 1])
        torch.testing.assert_close(found[0, place], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_memory_starts_as_the_identity_and_is_carried_not_recomputed(
    decoder: R2GenDecoder, features: VisualFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = decoder.start(features)
    assert torch.equal(state.memory[0], torch.eye(SLOTS, D))
    asked: list[torch.Size] = []
    step = decoder.memory.step

    def watched(word: Tensor, memory: Tensor) -> Tensor:
        asked.append(word.shape)
        return step(word, memory)

    monkeypatch.setattr(decoder.memory, "step", watched)
    monkeypatch.setattr(decoder.memory, "forward", lambda *_: pytest.fail("the whole prefix was run again"))
    for token in (1, 5, 3):
        state = decoder.step(torch.tensor([token]), state).state
    assert asked == [torch.Size([1, D])] * 3


def test_training_loops_over_time_for_the_recurrence_alone(
    decoder: R2GenDecoder, features: VisualFeatures
) -> None:
    """Per call of each linear map in the memory: what hangs on the word only is mapped once for all words."""
    calls: dict[str, int] = {}

    def count(name: str) -> Any:
        return lambda *_: calls.__setitem__(name, calls.get(name, 0) + 1)

    for name, module in decoder.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(count(name))
    decoder(features, torch.randint(1, V, (1, 8)))
    repeated = {name for name, times in calls.items() if times > 1}
    assert repeated == {
        "memory.attention.query_key_value",
        "memory.attention.out",
        "memory.mlp.0",
        "memory.mlp.2",
        "memory.of_memory",
    }


def test_the_last_norm_and_the_encoder_are_not_conditioned(
    decoder: R2GenDecoder, features: VisualFeatures
) -> None:
    assert decoder.conditions.norms == 3 * LAYERS
    before = decoder.encode(features)
    nn.init.normal_(decoder.conditions.outer)
    assert torch.equal(decoder.encode(features), before)


def test_fresh_conditions_start_with_biases_of_a_tenth() -> None:
    fresh = MemoryConditions(SLOTS * D, D, norms=2)
    for bias in (fresh.inner_bias, fresh.outer_bias):
        torch.testing.assert_close(bias, torch.full_like(bias, 0.1))


def test_memory_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="width 8 cannot be shared among 3 heads"):
        build_decoder("r2gen", vocabulary=V, width=D, heads=2, memory_heads=3)


@dataclass(frozen=True, eq=False)
class Golden:
    """The mapped model, its inputs, and what R2Gen's code answers."""

    decoder: R2GenDecoder
    features: VisualFeatures
    token_ids: Tensor
    log_probs: Tensor
    beam: Tensor
    sampled: Tensor

    def search(self, **settings: Any) -> GeneratedReports:
        chosen = GenerationSettings(**{"max_tokens": self.beam.shape[1], **settings})
        return generate(self.decoder, self.features, bos=0, eos=0, pad=0, settings=chosen)


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> Golden:
    path = shared_data / "golden" / "r2gen_small.safetensors"
    if not path.is_file():
        pytest.skip(f"the answers of R2Gen's code are not at {path}")
    with safe_open(path, framework="pt") as file:
        said = json.loads(file.metadata()["config"])
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = {
        f"encoder_decoder.{name.removeprefix('weights.')}": value
        for name, value in held.items()
        if name.startswith("weights.")
    }
    layout = Layout.of(weights, path)
    mapped = map_text(weights, layout, path)
    decoder = build_decoder(
        "r2gen",
        vocabulary=layout.rows,
        width=layout.width,
        layers=layout.layers,
        heads=said["num_heads"],
        feed_forward=layout.feed_forward,
        memory_slots=layout.slots,
        memory_heads=said["rm_num_heads"],
        patches_embedded=True,
    )
    projection = PatchProjection(layout.channels, layout.width, "r2gen")
    for prefix, module in (("decoder.", decoder), ("projection.", projection)):
        own = {name.removeprefix(prefix): value for name, value in mapped.items() if name.startswith(prefix)}
        module.load_state_dict(own)
        module.eval()
    patches = held["input.patches"].unsqueeze(1)  # [B, V=1, N, C]
    with torch.no_grad():
        features = projection(patches, torch.ones(len(patches), 1, dtype=torch.bool))
    return Golden(
        decoder,
        features,
        held["input.token_ids"],
        held["output.teacher_forced_log_probs"],
        held["output.beam3_tokens"],
        held["output.greedy_tokens"],
    )


def _padded(token_ids: Tensor, length: int) -> Tensor:
    return nn.functional.pad(token_ids, (0, length - token_ids.shape[1]))


@torch.no_grad()
def test_teacher_forcing_answers_as_the_public_code(golden: Golden) -> None:
    """Where the token fed is real: behind the end it masks padding and ours does not, and nothing is scored."""
    fed = golden.token_ids[:, :-1]
    real = (fed != 0) | (torch.arange(fed.shape[1]) == 0)
    found = golden.decoder(golden.features, golden.token_ids)
    assert real.sum() == 77
    torch.testing.assert_close(found[real], golden.log_probs[real], atol=1e-4, rtol=0)


def test_beam_search_finds_what_the_public_code_finds(golden: Golden) -> None:
    found = golden.search(beams=3)
    assert torch.equal(_padded(found.token_ids, golden.beam.shape[1]), golden.beam)


def test_beam_search_finds_the_same_for_every_study_alone(golden: Golden) -> None:
    for row in range(golden.features.studies):
        alone = generate(
            golden.decoder,
            select(golden.features, torch.tensor([row])),
            bos=0,
            eos=0,
            pad=0,
            settings=GenerationSettings(beams=3, max_tokens=golden.beam.shape[1]),
        )
        assert torch.equal(_padded(alone.token_ids, golden.beam.shape[1])[0], golden.beam[row])


def _draws(golden: Golden) -> tuple[Tensor, Tensor, Tensor]:
    """Of the file's `greedy_tokens`: `−log p` of each, and mean and variance that a draw from `p` would have."""
    tokens = golden.sampled
    prefixes = torch.cat([torch.zeros_like(tokens[:, :1]), tokens], dim=1)
    log_probs = golden.decoder(golden.features, prefixes)  # [B, T, V]
    surprise = -log_probs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    mean = -(log_probs.exp() * log_probs).sum(-1)
    variance = (log_probs.exp() * (log_probs + mean.unsqueeze(-1)).square()).sum(-1)
    lengths = (tokens != 0).sum(dim=1, keepdim=True)
    written = torch.arange(tokens.shape[1]) <= lengths
    return surprise[written], mean[written], variance[written]


@torch.no_grad()
def test_the_greedy_tokens_of_the_golden_file_are_draws(golden: Golden) -> None:
    """Public code with beam size 1 samples unless `sample_method` is `greedy`: so did whoever wrote the file.

    Its first tokens are not the most probable ones of the very log-probabilities that the beams of the same file
    start from; as a whole they are as improbable as draws are. No greedy search can match them; what can be tested
    is that our distributions are the ones they were drawn from.
    """
    surprise, mean, variance = _draws(golden)
    deviation = (surprise.sum() - mean.sum()) / variance.sum().sqrt()
    assert abs(deviation) < 3
    first = golden.decoder.step(torch.zeros(6, dtype=torch.int64), golden.decoder.start(golden.features)).log_probs
    assert not (first.argmax(dim=1) == golden.sampled[:, 0]).any()
    greedy = golden.search(method="greedy").token_ids
    assert torch.equal(greedy[:, 0], first.argmax(dim=1))


@torch.no_grad()
def test_greedy_search_follows_the_most_probable_token(golden: Golden) -> None:
    """Greedy tokens are the arg max of teacher forcing on themselves, which equals the public code."""
    found = golden.search(method="greedy")
    tokens = _padded(found.token_ids, golden.beam.shape[1])
    prefixes = torch.cat([torch.zeros_like(tokens[:, :1]), tokens], dim=1)
    best = golden.decoder(golden.features, prefixes).argmax(dim=-1)
    written = torch.arange(tokens.shape[1]) < found.lengths.unsqueeze(1)
    assert torch.equal(best[written], tokens[written])
