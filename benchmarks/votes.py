"""What votes cost beside a beam: processor time of twenty samples a study over that of beam 3, and ways to draw.

    python benchmarks/votes.py [DECODER …] [--batch 16] [--width 256] [--tokens 60] [--samples 20] [--model M]

Random weights; both searches take about every step, since such weights seldom end a report. Votes draw from copies
of each study's state, so that patches are encoded once a study; beside that the same reports from copies of the
features, and drawn one after another. With `--model` a checkpoint reads random features through the whole reader:
its samples are read for their findings and the best supported one is chosen.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import torch

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.features.batch import Batch
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.reading.reader import Reader

PAD, BOS, EOS, MARK = 0, 1, 2, 3
SENTENCES = 6
BY_SENTENCES = ("hlstm", "hlstm_dual", "co_attention", "multi_attention")
SHOWN = ("transformer", "up_down", "hlstm", "multi_attention")


def processor_time(run: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        run()
        best = min(best, time.process_time() - began)
    return best


def searches(args: argparse.Namespace) -> dict[str, ReportSearch]:
    chosen = {
        "beam": {"method": "beam"},
        "votes": {"method": "votes", "samples": args.samples},
        "one": {"method": "nucleus", "top_p": 1.0},
    }
    return {
        name: ReportSearch(
            GenerationSettings(max_tokens=args.tokens, min_tokens=args.tokens // 2, **settings),
            bos=BOS,
            eos=EOS,
            pad=PAD,
        )
        for name, settings in chosen.items()
    }


def measure(name: str, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    planned = {"sentence_end": MARK, "sentences": SENTENCES, "words": args.tokens // SENTENCES}
    options = planned if name in BY_SENTENCES else {}
    if name == "co_attention":
        options["tag_count"] = 14
    decoder = build_decoder(
        name, vocabulary=args.vocabulary, width=args.width, end_of_report=EOS, **options
    ).eval()
    patches = torch.randn(args.batch, args.patches, args.width)
    features = VisualFeatures(patches, patches.mean(1), torch.ones(args.batch, args.patches, dtype=torch.bool))
    copy = torch.arange(args.batch).repeat_interleave(args.samples)
    copies = VisualFeatures(features.patches[copy], features.pooled[copy], features.mask[copy])
    search = searches(args)

    def repeated() -> None:
        for _ in range(args.samples):
            decoder.write(features, search["one"])

    with torch.no_grad():
        beam = processor_time(lambda: decoder.write(features, search["beam"]), args.repeats)
        votes = processor_time(lambda: decoder.write(features, search["votes"]), args.repeats)
        copied = processor_time(lambda: decoder.write(copies, search["one"]), 1)
        looped = processor_time(repeated, 1)
    print(
        f"{name}: beam 3 {1e3 * beam / args.batch:.0f} ms of processor a study; {args.samples} samples "
        f"{votes / beam:.1f} times that (copies of features {copied / beam:.1f}, one by one {looped / beam:.1f})",
        flush=True,
    )


def measure_reader(model: str, args: argparse.Namespace) -> None:
    """Prints the ratio through the whole reader, features given."""
    readers = [
        Reader.from_checkpoint(model),
        Reader.from_checkpoint(model, overrides=["generate.method=votes", f"generate.samples={args.samples}"]),
    ]
    encoder = readers[0].system.encoder
    assert encoder is not None
    rows, columns = encoder.grid
    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        study_ids=tuple(f"s{n}" for n in range(args.batch)),
        patient_ids=(None,) * args.batch,
        images=None,
        features=torch.rand(args.batch, 1, rows * columns, encoder.channels, generator=generator),
        view_mask=torch.ones(args.batch, 1, dtype=torch.bool),
        affines=torch.eye(2, 3).expand(args.batch, 1, 2, 3),
        positions=(("PA",),) * args.batch,
        view_index=((0,),) * args.batch,
    )
    beam, votes = (processor_time(lambda r=r: r.read_features(batch), args.repeats) for r in readers)  # type: ignore[misc]
    print(
        f"{model}, the whole reader: beam 3 {1e3 * beam / args.batch:.0f} ms of processor a study; votes "
        f"{votes / beam:.1f} times that"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="the time of votes beside that of a beam")
    parser.add_argument("decoders", nargs="*", metavar="DECODER", help=f"default: {', '.join(SHOWN)}")
    for name, value in [("batch", 16), ("width", 256), ("vocabulary", 400), ("patches", 49), ("tokens", 60)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in [("samples", 20), ("threads", 1), ("repeats", 3)]:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--model", help="a checkpoint that is read with too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.threads} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    for name in args.decoders or SHOWN:
        measure(name, args)
    if args.model:
        measure_reader(args.model, args)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
