"""Clusters of reports: the weak labels of paper C's contrastive loss, and what can be said of them."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contrastcxr.errors import DatasetError, MissingExtraError
from contrastcxr.files import atomic_write
from contrastcxr.text.labeler import label
from contrastcxr.text.tokenizer import tokenize
from contrastcxr.training.report_vectors import Embedding, report_vectors
from contrastcxr.vocab.labels import NO_FINDING, SUPPORT_DEVICES

logger = logging.getLogger(__name__)

FORMAT = 2
STARTS = 10
"""Times that K-Means starts, of which the best is kept (ours)."""
SILHOUETTE_REPORTS = 2_000
"""Reports of which the silhouette is the mean, drawn where there are more."""
TOP_WORDS, TOP_FINDINGS = 8, 3
_WORD = re.compile(r"[a-z]")
MOST = 0.5
"""A cluster with a larger share of the reports says little of them."""


@dataclass(frozen=True)
class ClusterSummary:
    """What one cluster holds.

    Attributes:
        number: of the cluster.
        reports: how many.
        normal: share of them that state no abnormality.
        words: that its reports have more often than others.
        findings: the commonest that are stated to be present or uncertain, with their shares.
    """

    number: int
    reports: int
    normal: float
    words: tuple[str, ...]
    findings: Mapping[str, float]


@dataclass(frozen=True)
class ReportClusters:
    """A cluster for each report of a corpus, by K-Means, and what each holds.

    Attributes:
        k: clusters, without that of the empty reports.
        embedding: what the reports were compared by, in words.
        seed: of K-Means.
        fingerprint: of the corpus.
        silhouette: the mean over reports by that embedding, from -1 to 1; None where there is none.
        summaries: what each holds, the largest first.
        numbers: cluster of each report, by study; empty reports are a cluster of their own, number k.
        digests: of what each report says, by study.
    """

    k: int
    embedding: str
    seed: int
    fingerprint: str
    silhouette: float | None
    summaries: tuple[ClusterSummary, ...]
    numbers: Mapping[str, int]
    digests: Mapping[str, str]

    @classmethod
    def of(
        cls,
        reports: Mapping[str, str],
        *,
        k: int,
        embedding: Embedding = "tfidf",
        weights: str | Path | None = None,
        seed: int = 0,
        allow_pickle: bool = False,
    ) -> ReportClusters:
        """Return clusters of reports, by study: K-Means of unit vectors, k-means++, the best of ten starts.

        Raises:
            DatasetError: more clusters than reports that differ.
            MissingExtraError: a package is not installed.
            CheckpointError: no weights, or others than expected.
        """
        studies = sorted(reports)
        texts = [reports[study] for study in studies]
        written = [place for place, text in enumerate(texts) if text.strip()]
        said = [texts[place] for place in written]
        vectors = np.zeros((0, 1))
        if written:
            vectors = report_vectors(said, embedding, weights=weights, seed=seed, allow_pickle=allow_pickle)
        different = len(np.unique(vectors.round(6), axis=0))
        if k > different:
            raise DatasetError(
                f"clusters.k {k}: there are {different:,} reports that differ ({len(written):,} of {len(texts):,} "
                "are not empty); lower it, or take more studies"
            )
        found = np.full(len(texts), k)
        found[written] = _k_means(vectors, k=k, seed=seed)
        name = embedding if weights is None else f"{embedding} {Path(weights).name}"
        numbers = dict(zip(studies, found.tolist(), strict=True))
        return cls(
            k=k,
            embedding=name,
            seed=seed,
            fingerprint=cls.fingerprint_of(reports),
            silhouette=_silhouette(vectors, found[written], seed=seed),
            summaries=_summaries(numbers, reports),
            numbers=numbers,
            digests={study: _digest(reports[study]) for study in studies},
        )

    @staticmethod
    def fingerprint_of(reports: Mapping[str, str]) -> str:
        """Return a hash over the studies of a corpus and what their reports say, whatever their order."""
        digest = hashlib.blake2b(digest_size=16)
        for study in sorted(reports):
            digest.update(json.dumps([study, reports[study]]).encode())
        return digest.hexdigest()

    def warn(self) -> None:
        """Warn of empty reports, and of a cluster that most reports are in."""
        sizes = Counter(self.numbers.values())
        if empty := sizes.pop(self.k, 0):
            logger.warning(f"clusters: {empty:,} reports are empty, a cluster of their own")
        number, most = sizes.most_common(1)[0]
        if most > MOST * len(self.numbers):
            logger.warning(
                f"clusters: {most / len(self.numbers):.0%} of the reports are in cluster {number}, so that it "
                "says little of them; raise clusters.k, or choose another embedding"
            )

    def check(self, reports: Mapping[str, str], where: str) -> None:
        """Refuse clusters that lack a report, or have another text of it; further reports do no harm.

        Raises:
            DatasetError: there is such a report.
        """
        other = [study for study, text in reports.items() if self.digests.get(study) != _digest(text)]
        if other:
            raise DatasetError(
                f"{where}: clusters of another corpus (fingerprint {self.fingerprint[:12]}): {len(other):,} of "
                f"the {len(reports):,} training reports are not among its {len(self.numbers):,}, or say something "
                f"else, such as that of {other[0]}; make them of these with contrastcxr data clusters"
            )

    def summary(self) -> dict[str, Any]:
        """Return what was made of how many reports, without their ids and words."""
        sizes = Counter(self.numbers.values())
        made = {name: value for name, value in vars(self).items() if name not in _OF_REPORTS}
        return {**made, "sizes": [sizes[number] for number in range(max(sizes) + 1)]}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the ids of studies."""
        return {**self.summary(), "clusters": [asdict(each) for each in self.summaries]}

    def write(self, path: Path) -> None:
        """Write the clusters as JSON; ids of studies are in it, and of their texts the words of the summaries."""
        with atomic_write(path) as file:
            json.dump({"format": FORMAT, **asdict(self)}, file, indent=1)
            file.write("\n")

    @classmethod
    def read(cls, path: str | Path) -> ReportClusters:
        """Return the clusters of a file.

        Raises:
            DatasetError: it cannot be read, or is no such file.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            if found.pop("format") != FORMAT:
                raise ValueError(f"another format than {FORMAT}")
            numbers = {str(study): int(number) for study, number in found.pop("numbers").items()}
            summaries = tuple(
                ClusterSummary(**{**one, "words": tuple(one["words"])}) for one in found.pop("summaries")
            )
            made = cls(numbers=numbers, summaries=summaries, **found)
            if made.digests.keys() != numbers.keys():
                raise ValueError("clusters and digests of other studies")
            return made
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise DatasetError(
                f"{path}: no clusters of reports ({error}); make them with contrastcxr data clusters"
            ) from None


_OF_REPORTS = ("summaries", "numbers", "digests")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _k_means(vectors: np.ndarray, *, k: int, seed: int) -> np.ndarray:
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        raise MissingExtraError("scikit-learn", "train", "clusters of reports") from None
    found: np.ndarray = KMeans(k, n_init=STARTS, random_state=seed).fit(vectors).labels_
    return found


def asserted(text: str) -> tuple[tuple[str, str], ...]:
    """Return the findings that the labeler holds to be present or uncertain in a report, with which of both."""
    stated = (f for f in label(text) if f.status in ("present", "uncertain") and f.name != NO_FINDING)
    return tuple((finding.name, finding.status) for finding in stated)


def _summaries(numbers: Mapping[str, int], reports: Mapping[str, str]) -> tuple[ClusterSummary, ...]:
    """Return what each cluster holds, the largest first; devices are no abnormality."""
    having = {study: frozenset(filter(_WORD.match, tokenize(text))) for study, text in reports.items()}
    findings = {s: {name for name, _ in asserted(text)} - {SUPPORT_DEVICES} for s, text in reports.items()}
    everywhere = Counter(word for words in having.values() for word in words)
    found = []
    for number, members in _members(numbers).items():
        inside = Counter(word for study in members for word in having[study])
        stated = Counter(finding for study in members for finding in findings[study])
        rest = len(reports) - len(members)
        excess = {
            word: count / len(members) - (everywhere[word] - count) / max(rest, 1)
            for word, count in inside.items()
        }
        commonest = sorted(stated, key=lambda name: (-stated[name], name))[:TOP_FINDINGS]
        found.append(
            ClusterSummary(
                number,
                len(members),
                sum(not findings[study] for study in members) / len(members),
                tuple(sorted(excess, key=lambda word: (-excess[word], word))[:TOP_WORDS]),
                {name: stated[name] / len(members) for name in commonest},
            )
        )
    return tuple(sorted(found, key=lambda each: (-each.reports, each.number)))


def _members(numbers: Mapping[str, int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for study, number in numbers.items():
        found.setdefault(number, []).append(study)
    return dict(sorted(found.items()))


def _silhouette(vectors: np.ndarray, numbers: np.ndarray, *, seed: int) -> float | None:
    """Return the mean silhouette of the reports that are written, from -1 to 1, of at most so many of them.

    There is none where there are as many clusters as reports, or but one.
    """
    from sklearn.metrics import silhouette_score

    if not 1 < len(np.unique(numbers)) < len(numbers):
        return None
    drawn = min(SILHOUETTE_REPORTS, len(numbers))
    return round(float(silhouette_score(vectors, numbers, sample_size=drawn, random_state=seed)), 4)
