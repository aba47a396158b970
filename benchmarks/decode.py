"""Cached against uncached beam search for every decoder: same search, weights and tokens; and reports a second.

    python benchmarks/decode.py [DECODER …] [--tokens 100] [--batch 16] [--threads 2] [--bf16] [--cached-only]

Uncached, a decoder keeps the features and every token so far, and runs over the whole prefix at each step through
the path that training uses; its output layer is asked for the last place only, and the transformers' patches are
encoded once. Nothing ends early: the end token is forbidden before the last step, so both searches take every step
with every beam. Decoders that plan sentences write ten of a tenth of the tokens; `cvse` retrieves and decodes
nothing.

Processor time stands beside the clock, since waiting for a busy machine is no work. The public R2Gen code gives
about 0.11 reports a second at this size on two cores, and 0.36 at 60 tokens (measured elsewhere, quoted).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.decoders.hierarchical import HierarchicalDecoder
from contrastcxr.models.heads.decoders.options import PlanOptions
from contrastcxr.models.heads.writing import GeneratedReports, StepResult

PAD, BOS, EOS, MARK = 0, 1, 2, 3
PUBLIC = {100: 0.11, 60: 0.36}
"""Reports a second of the public R2Gen code by tokens, batch 16, beam 3, two CPU cores."""
SENTENCES = 10
RETRIEVES = ("cvse",)


@dataclass(frozen=True, eq=False)
class Prefixes:
    """What each row started from and every token since."""

    features: Any
    owner: Tensor  # [R], row of `features`
    tokens: Tensor  # [R, t]

    @property
    def rows(self) -> int:
        return len(self.owner)

    @property
    def device(self) -> torch.device:
        return self.owner.device

    def select(self, index: Tensor) -> Prefixes:
        return Prefixes(self.features, self.owner[index], self.tokens[index])


@dataclass(frozen=True, eq=False)
class Encoded:
    """Patches after the encoder stack of a transformer."""

    memory: Tensor  # [B, N, d]
    mask: Tensor  # [B, N]


class Uncached:
    """The same decoder, or word LSTM, without a memory of its own."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder

    def start(self, features: Any) -> Prefixes:
        rows = self.decoder.start(features).rows
        kept = Encoded(self.decoder.encode(features), features.mask) if self._transforms else features
        return Prefixes(kept, torch.arange(rows), torch.empty(rows, 0, dtype=torch.int64))

    def step(self, token_ids: Tensor, state: Prefixes) -> StepResult:
        state = replace(state, tokens=torch.cat([state.tokens, token_ids.unsqueeze(1)], dim=1))
        return StepResult(self._last(state), state)

    @property
    def _transforms(self) -> bool:
        return hasattr(self.decoder, "encode")

    def _last(self, state: Prefixes) -> Tensor:
        """Log-probabilities `[R, V]` after the whole prefix."""
        if self._transforms:
            kept = state.features
            hidden = self.decoder.hidden(kept.memory[state.owner], kept.mask[state.owner], state.tokens)
            return self.decoder.log_probs(hidden[:, -1])
        asked = torch.cat([state.tokens, state.tokens[:, :1]], dim=1)  # the last is never fed
        return self.decoder(rows_of(state.features, state.owner), asked)[:, -1]


def rows_of(features: Any, index: Tensor) -> Any:
    """Return the rows `index [R]` of what a decoder starts from: every tensor of it has a row for each."""
    values = {field.name: getattr(features, field.name) for field in fields(features)}
    return replace(features, **{name: value[index] for name, value in values.items() if isinstance(value, Tensor)})


@contextmanager
def last_place_only(decoder: nn.Module, vocabulary: int) -> Iterator[None]:
    """Output layers are asked for the last place of a sequence, as a search needs it and training does not."""

    def cut(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][:, -1:],) if inputs[0].ndim == 3 else inputs

    layers = [m for m in decoder.modules() if isinstance(m, nn.Linear) and m.out_features == vocabulary]
    handles = [layer.register_forward_pre_hook(cut) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, eq=False)
class UncachedSearch:
    """The search that decoders are handed, over decoders that forget."""

    search: ReportSearch
    max_tokens: int
    pad: int
    reports: int = 1
    normals: None = None

    def __call__(self, decoder: Any, features: Any, **options: Any) -> GeneratedReports:
        return self.search(Uncached(decoder), features, **options)


def make(name: str, args: argparse.Namespace) -> tuple[ReportDecoder, VisualFeatures]:
    torch.manual_seed(args.seed)
    planned = {
        "sentence_end": MARK,
        "end_of_report": EOS,
        "sentences": SENTENCES,
        "words": args.tokens // SENTENCES,
    }
    options = planned if _plans(name) else {}
    if name == "co_attention":
        options = {**options, "tag_count": 14}
    decoder = build_decoder(name, vocabulary=args.vocabulary, width=args.width, **options).eval()
    # Untrained output layers answer nearly evenly, so that rounding decides between beams; sharper ones do not.
    for module in decoder.modules():
        if isinstance(module, nn.Linear) and module.out_features == args.vocabulary:
            nn.init.normal_(module.weight, std=0.5)
    if isinstance(decoder, HierarchicalDecoder):
        _never_stops(decoder)
    patches = torch.randn(args.batch, args.patches, args.width)
    mask = torch.ones(args.batch, args.patches, dtype=torch.bool)
    return decoder, VisualFeatures(patches, patches.mean(1), mask)


def _plans(name: str) -> bool:
    return issubclass(DECODERS[name].options, PlanOptions)


def _never_stops(decoder: HierarchicalDecoder) -> None:
    plan = decoder.plan

    def on(features: VisualFeatures, sentences: int) -> Any:
        made = plan(features, sentences)
        return replace(made, stop=torch.full_like(made.stop, -9.0))

    decoder.plan = on  # type: ignore[method-assign]


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of the processors."""

    clock: float
    processor: float


def timed(run: Callable[[], GeneratedReports], repeats: int) -> tuple[Spent, GeneratedReports]:
    best, answer = Spent(float("inf"), float("inf")), None
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        answer = run()
        spent = Spent(time.perf_counter() - clock, time.process_time() - processor)
        best = Spent(min(best.clock, spent.clock), min(best.processor, spent.processor))
    assert answer is not None
    return best, answer


def measure(name: str, args: argparse.Namespace) -> bool:
    """Prints one decoder's figures; False where the tokens differ."""
    decoder, features = make(name, args)
    settings = GenerationSettings(beams=args.beams, max_tokens=args.tokens, min_tokens=args.tokens - 1)
    cached = ReportSearch(settings, bos=BOS, eos=EOS, pad=PAD)
    uncached = UncachedSearch(cached, cached.max_tokens, cached.pad)

    def run(search: Any, precision: Any = None) -> GeneratedReports:
        with torch.no_grad(), precision or nullcontext():
            return decoder.write(features, search)

    run(cached)
    fast, found = timed(lambda: run(cached), repeats=args.repeats)
    _print_rate(f"{name}, fp32, cached", fast, args)
    same = True
    if not args.cached_only:
        with last_place_only(decoder, args.vocabulary):
            slow, expected = timed(lambda: run(uncached), repeats=1)
        same = torch.equal(found.token_ids, expected.token_ids)
        gap = (found.log_probs - expected.log_probs).abs().max().item()
        _print_rate(f"{name}, fp32, uncached", slow, args)
        print(
            f"  cached is {slow.clock / fast.clock:.1f} times as fast by the clock, "
            f"{slow.processor / fast.processor:.1f} times by the processor; tokens identical: {same}; "
            f"log-probabilities of a report within {gap:.0e}"
        )
    if args.bf16:
        half = torch.autocast("cpu", dtype=torch.bfloat16)
        spent, rough = timed(lambda: run(cached, half), repeats=1)
        _print_rate(f"{name}, bf16, cached", spent, args)
        width = min(rough.token_ids.shape[1], found.token_ids.shape[1])
        share = (rough.token_ids[:, :width] == found.token_ids[:, :width]).all(dim=1).float().mean().item()
        print(f"  {share:.0%} of the reports as in fp32")
    return same


def _print_rate(what: str, spent: Spent, args: argparse.Namespace) -> None:
    rate = args.batch / spent.clock
    public = PUBLIC.get(args.tokens)
    beside = f", {rate / public:.0f} times the public code's {public}" if public else ""
    print(
        f"{what}: {spent.clock:.2f} s ({spent.processor:.2f} s of processor), {rate:.2f} reports/s{beside}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="cached against uncached beam search of every decoder")
    parser.add_argument("decoders", nargs="*", metavar="DECODER", help=f"default: all of {', '.join(DECODERS)}")
    for name, value in [("tokens", 100), ("beams", 3), ("batch", 16), ("width", 512), ("vocabulary", 4000)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in [("patches", 49), ("seed", 0), ("threads", 2), ("repeats", 3)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--bf16", action="store_true", help="the cached search under bf16 autocast too")
    parser.add_argument("--cached-only", action="store_true", help="leave out the uncached search")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.threads} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    same = True
    for name in args.decoders or DECODERS:
        if name in RETRIEVES:
            print(f"{name}: retrieves whole sentences; there is no word to decode and nothing to cache")
            continue
        same &= measure(name, args)
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
