"""Cached against uncached beam search in one run: same search, same weights, same tokens.

    python benchmarks/decode.py [--tokens 100] [--beams 3] [--batch 16] [--width 512] [--vocabulary 4000]

The uncached decoder keeps only the encoded patches and runs its decoder stack over the whole prefix at every step,
through the path that training uses; its output layer is asked for the last place only. Nothing ends early: the end
token is forbidden before the last step, so both searches take every step with every beam.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastcxr.decode import Generated, GenerationSettings, generate
from contrastcxr.models.decoders import StepOutput
from contrastcxr.models.decoders.transformer import TransformerDecoder
from contrastcxr.models.features import VisualFeatures

BOS, EOS, PAD = 1, 2, 0


@dataclass(frozen=True, eq=False)
class PrefixState:
    """Encoded patches and every token so far."""

    memory: Tensor  # [R, N, d]
    mask: Tensor  # [R, N]
    prefix: Tensor  # [R, t]

    @property
    def rows(self) -> int:
        return len(self.prefix)

    @property
    def device(self) -> torch.device:
        return self.prefix.device

    def select(self, index: Tensor) -> PrefixState:
        return PrefixState(self.memory[index], self.mask[index], self.prefix[index])


class Uncached:
    """The same decoder without a cache."""

    def __init__(self, decoder: TransformerDecoder) -> None:
        self.decoder = decoder

    def start(self, features: VisualFeatures) -> PrefixState:
        memory = self.decoder.encode(features)
        return PrefixState(memory, features.mask, torch.empty(len(memory), 0, dtype=torch.int64))

    def step(self, token_ids: Tensor, state: PrefixState) -> StepOutput:
        prefix = torch.cat([state.prefix, token_ids.unsqueeze(1)], dim=1)
        hidden = self.decoder.hidden(state.memory, state.mask, prefix)
        log_probs = self.decoder.log_probs(hidden[:, -1])
        return StepOutput(log_probs, PrefixState(state.memory, state.mask, prefix))


def make(args: argparse.Namespace) -> tuple[TransformerDecoder, VisualFeatures]:
    torch.manual_seed(args.seed)
    decoder = TransformerDecoder(args.vocabulary, args.width).eval()
    # Untrained output layers answer nearly evenly, so that rounding decides between beams; sharper ones do not.
    torch.nn.init.normal_(decoder.output.weight, std=0.5)
    patches = torch.randn(args.batch, args.patches, args.width)
    mask = torch.ones(args.batch, args.patches, dtype=torch.bool)
    return decoder, VisualFeatures(patches, patches.mean(1), mask)


def timed(run: Callable[[], Generated], repeats: int) -> tuple[float, Generated]:
    run()
    best, answer = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        answer = run()
        best = min(best, time.perf_counter() - start)
    assert answer is not None
    return best, answer


def main() -> int:
    parser = argparse.ArgumentParser(description="cached against uncached beam search")
    for name, value in [("tokens", 100), ("beams", 3), ("batch", 16), ("width", 512), ("vocabulary", 4000)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--patches", type=int, default=49)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="time the cached search under bf16 autocast too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    decoder, features = make(args)
    settings = GenerationSettings(beams=args.beams, max_tokens=args.tokens, min_tokens=args.tokens - 1)

    def search(which: TransformerDecoder | Uncached) -> Generated:
        return generate(which, features, bos=BOS, eos=EOS, pad=PAD, settings=settings)

    fast, cached = timed(lambda: search(decoder), repeats=3)
    slow, uncached = timed(lambda: search(Uncached(decoder)), repeats=1)
    same = torch.equal(cached.token_ids, uncached.token_ids)
    gap = (cached.log_probs - uncached.log_probs).abs().max().item()
    print(f"cached    {fast:8.3f} s   {args.batch * args.tokens / fast:10.0f} tokens/s")
    print(f"uncached  {slow:8.3f} s   {args.batch * args.tokens / slow:10.0f} tokens/s")
    print(f"ratio     {slow / fast:8.1f}")
    print(f"tokens identical: {same}; log-probability of a report differs by at most {gap:.1e}")
    if args.bf16:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half, rough = timed(lambda: search(decoder), repeats=1)
        share = (rough.token_ids == cached.token_ids).all(dim=1).float().mean().item()
        print(f"bf16 cached {half:6.3f} s: {fast / half:.2f} times as fast, {share:.0%} identical reports")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
