"""Recall of retrieval between pictures and reports, with ties shared (paper C's space, measured; ours)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from contrastcxr.metrics.bootstrap import Floats

RANKS = (1, 5, 10)
"""Recall is of the own one among so many."""
WAYS = {"image_to_text": "own report found by the picture", "text_to_image": "own picture found by the report"}
SEEN = "_seen"
"""Behind scores whose reports were embedded beside their own picture, which cross-attention lets them see."""
RETRIEVAL_SCORES: Mapping[str, str] = {
    f"retrieval/{way}_{k}{seen}": f"{said}, of the {k} nearest{note}"
    for seen, note in (("", ""), (SEEN, ", reports having seen their picture"))
    for way, said in WAYS.items()
    for k in RANKS
}
"""The scores in the order of their columns, and what each is."""
_TIE = 1e-5
"""Cosines of the same report in batches of other lengths differ by less, in float32."""


def expected_hits(similar: Floats, ranks: tuple[int, ...] = RANKS) -> Floats:
    """Return the chance `[S, K]` that each row's own column is among its k most similar, ties in random order.

    Reports that say the same are embedded alike, and none of them may be counted as the only right one.

    Args:
        similar: `[S, S]`, own pairs on the diagonal.
        ranks: the k.
    """
    own = similar.diagonal()[:, None]
    above = (similar > own + _TIE).sum(axis=1)[:, None]
    ties = (np.abs(similar - own) <= _TIE).sum(axis=1)[:, None]  # its own among them
    found: Floats = np.clip((np.asarray(ranks) - above) / ties, 0.0, 1.0)
    return found
