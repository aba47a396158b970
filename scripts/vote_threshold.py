"""The share of the samples from which a finding is said, chosen on validation: one threshold for all decoders.

    python scripts/vote_threshold.py RUN [RUN …] [--samples 20] [--limit N] [--cache DIR]

Reads the validation studies of each run's own data once, with every sample kept, and prints for each threshold
the F1 of positive findings of the reports that would be written, by run and as the mean over the runs. The best
mean is the default of `generate.threshold`. A run is a run folder, a checkpoint or the name of a bundled model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from contrastcxr.checkpoint import read_metadata
from contrastcxr.config.data_ref import data_ref
from contrastcxr.decode.votes import SampledReport, best_supported
from contrastcxr.evaluation.cached import cached_batches, encoded_for
from contrastcxr.evaluation.references import References, load_references
from contrastcxr.files import default_cache, find_checkpoint
from contrastcxr.reading.reader import Reader

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)


def positive_f1(said: Iterable[frozenset[str]], truths: Iterable[frozenset[str]]) -> float:
    """Return the F1 over all pairs of study and finding; 0 where nobody says anything."""
    pairs = list(zip(said, truths, strict=True))
    total = sum(len(one) + len(other) for one, other in pairs)
    return 2 * sum(len(one & other) for one, other in pairs) / total if total else 0.0


def f1_by_threshold(
    samples: Sequence[Sequence[SampledReport]], truths: Sequence[frozenset[str]], names: Iterable[str]
) -> dict[float, float]:
    """Return the F1 of the reports that each threshold would write.

    Args:
        samples: the reports drawn for each study.
        truths: the findings that are present in each.
        names: the findings that are scored; others are passed over.
    """
    scored = frozenset(names)
    return {
        threshold: positive_f1([own[best_supported(own, threshold)].findings & scored for own in samples], truths)
        for threshold in THRESHOLDS
    }


def present(references: References) -> list[frozenset[str]]:
    """Return the findings that the reference author states to be present in each study."""
    found = ((f for f in answer.findings or () if f.status == "present") for answer in references.answers())
    return [frozenset(f.name for f in each) & frozenset(references.names) for each in found]


def measure(run: str, *, samples: int, limit: int | None, cache: Path) -> dict[float, float]:
    """Return the F1 by threshold of one run on its own validation studies."""
    config = read_metadata(find_checkpoint(run)).config
    wanted = limit or config.data.validation_limit
    data, author = data_ref(config.data, split=None), config.data.author
    references = load_references(data, "validation", author=author, limit=wanted, cache=cache)
    reader = Reader.from_checkpoint(run, overrides=["generate.method=votes", f"generate.samples={samples}"])
    studies = references.studies
    kept, failures = encoded_for(reader, studies, cache=cache)
    if failures:
        raise SystemExit(f"{run}: {len(failures)} pictures cannot be read, such as {failures[0]}")
    drawn = [own for batch in cached_batches(reader, studies, kept) for own in reader.samples(batch)]
    return f1_by_threshold(drawn, present(references), references.names)


def table(found: Mapping[str, Mapping[float, float]]) -> str:
    """Return the F1 of each run and their mean, a line for each threshold, and the threshold of the best mean."""
    means = {t: sum(each[t] for each in found.values()) / len(found) for t in THRESHOLDS}
    lines = ["threshold   mean  " + "  ".join(found)]
    for threshold, mean in means.items():
        each = "  ".join(f"{scores[threshold]:{max(len(run), 5)}.3f}" for run, scores in found.items())
        lines.append(f"{threshold:9.2f}  {mean:.3f}  {each}")
    best = max(means, key=lambda t: means[t])
    return "\n".join([*lines, f"best: {best} (mean F1 {means[best]:.3f} of {len(found)} runs)"])


def main() -> int:
    parser = argparse.ArgumentParser(description="F1 by the share of samples from which a finding is said")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, checkpoints or bundled models")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--limit", type=int, help="validation studies; default those of the run")
    parser.add_argument("--cache", type=Path, help="folder of encoder features")
    args = parser.parse_args()
    cache = args.cache or default_cache()
    found: dict[str, dict[float, float]] = {}
    for run in args.runs:
        name = Path(run).name
        found[run if name in found else name] = measure(run, samples=args.samples, limit=args.limit, cache=cache)
        print(f"{run}: " + "  ".join(f"{t} {f1:.3f}" for t, f1 in list(found.values())[-1].items()), flush=True)
    print(table(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
