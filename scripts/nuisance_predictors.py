"""Prints the nuisance predictors of a data set as a Markdown table, for a model card.

python scripts/nuisance_predictors.py nih14-cv:/path/to/nih14?report=plain
python scripts/nuisance_predictors.py phantom:standard --limit 600
"""

from __future__ import annotations

import argparse

from contrastcxr.data.authors import reading_of
from contrastcxr.data.sources import parse_data
from contrastcxr.evaluation import load_references
from contrastcxr.metrics.nuisance import nuisance_scores, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data name with the splits train and test")
    parser.add_argument("--reference", help="author of the labels; default each study's first")
    parser.add_argument("--limit", type=int, help="the first so many studies of each split")
    arguments = parser.parse_args()
    parts = [
        load_references(parse_data(arguments.data), split, author=arguments.reference, limit=arguments.limit)
        for split in ("train", "test")
    ]
    scores = nuisance_scores(
        parts[0].studies,
        parts[1].studies,
        parts[1].names,
        reference=lambda study: reading_of(study, author=arguments.reference),
    )
    print(f"{len(parts[1].studies):,} test studies, mean over {scores[0].findings} findings\n\n{table(scores)}")


if __name__ == "__main__":
    main()
