"""RadGraph F1 (Delbrouck et al. 2022): entities and relations that two reports share.

Annotations come from the package `radgraph` with a model on this machine, or from a file of annotations that were
made elsewhere.  The F1 is computed here, after the public code, at its three levels: `simple` compares words and
labels of entities, `partial` also whether an entity has a relation, `complete` also which relation to which words.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrastcxr.data.tables.records import JsonRecord, id_text, read_records
from contrastcxr.data.tables.text import decoded, open_table
from contrastcxr.errors import CheckpointError, DatasetError, MissingExtraError, RequestError, listed
from contrastcxr.metrics.bootstrap import Floats
from contrastcxr.metrics.learned.weights import fingerprint

NAMES = ("radgraph/simple", "radgraph/partial", "radgraph/complete")
MODELS = ("radgraph", "radgraph-xl", "modern-radgraph-xl")
Annotation = Mapping[str, Any]
Fact = tuple[Any, ...]


def facts(annotation: Annotation, level: str) -> frozenset[Fact]:
    """Return what a report states at a level: entities, `complete` with their relations."""
    entities: Mapping[str, Any] = annotation["entities"]
    found: set[Fact] = set()
    for entity in entities.values():
        words, label, relations = entity["tokens"], entity["label"], entity["relations"]
        if level == "simple" or not relations:
            found.add((words, label))
        elif level == "partial":
            found.add((words, label, True))
        else:
            targets = ((kind, entities[target]["tokens"].lower()) for kind, target in relations)
            found |= {(words.lower(), label, kind, target) for kind, target in targets}
    return frozenset(found)


def shared(reference: Annotation, candidate: Annotation) -> tuple[float, ...]:
    """Return F1 of the facts of two annotations at the three levels; 0 where one of them states nothing."""
    return tuple(_f1(facts(reference, level), facts(candidate, level)) for level in _LEVELS)


_LEVELS = tuple(name.partition("/")[2] for name in NAMES)


def _f1(one: frozenset[Fact], other: frozenset[Fact]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0


class RadGraphPackage:
    """RadGraph F1 with the annotations of the package `radgraph`."""

    names = NAMES

    def __init__(self, annotate: Any, *, model: str, weights: str) -> None:
        self._annotate = annotate
        self.signature = f"weights:{weights}|model:{model}"

    @classmethod
    def load(cls, folder: Path, *, model: str = "radgraph-xl") -> RadGraphPackage:
        """Load the unpacked archive of a model, `FOLDER/radgraph-xl/{config.json,weights.th,vocabulary/}`.

        The transformer that its config.json names must be in the local Hugging Face cache; nothing is downloaded.

        Raises:
            RequestError: no such model.
            CheckpointError: the archive is not there, or its transformer is not.
            MissingExtraError: the package is not installed.
        """
        if model not in MODELS:
            raise RequestError(f"model={model}; RadGraph's are {listed(MODELS)}")
        needed = [folder / model / name for name in ("config.json", "weights.th", "vocabulary")]
        for path in needed:
            if not path.exists():
                raise CheckpointError(
                    f"{path}: is not there; expected the unpacked archive {model}.tar.gz of RadGraph in "
                    f"{folder / model}, or a file of annotations (.jsonl)"
                )
        try:
            from radgraph import RadGraph
        except ImportError:
            raise MissingExtraError("radgraph", "radgraph", "RadGraph F1") from None
        # The package prints to standard output, where our results go.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                annotate = RadGraph(model_type=model, model_cache_dir=str(folder), cuda=-1)
            except OSError as error:
                reason = " ".join(str(error).split())[:160]
                raise CheckpointError(
                    f"{folder / model}: its transformer is not in the local Hugging Face cache ({reason})"
                ) from None
        return cls(annotate, model=model, weights=fingerprint(needed[:2]))

    def scores(self, references: Sequence[str], candidates: Sequence[str]) -> Floats:
        """Return F1 at the three levels of each study, `[S, 3]`; 0 where a text is empty."""
        texts = sorted({text.strip() for text in (*references, *candidates)} - {""})
        with contextlib.redirect_stdout(sys.stderr):
            found = self._annotate(texts) if texts else {}
        by_text: dict[str, Annotation] = {text: found[str(k)] for k, text in enumerate(texts)}
        by_text[""] = {"entities": {}}
        pairs = zip(references, candidates, strict=True)
        return np.asarray([shared(by_text[r.strip()], by_text[c.strip()]) for r, c in pairs], np.float64)


class RadGraphFile:
    """RadGraph F1 from annotations that were made elsewhere, study by study in their file's order."""

    names = NAMES

    def __init__(self, annotations: Mapping[str, tuple[Annotation, Annotation]], *, path: Path) -> None:
        self._annotations = annotations
        self._path = path
        self.signature = "annotations:given"

    @classmethod
    def load(cls, path: Path) -> RadGraphFile:
        """Load JSON lines of `study_id`, `reference` and `candidate`, each as RadGraph annotates a text.

        Raises:
            DatasetError: the file cannot be read, a line is none, or a study comes twice.
        """
        found: dict[str, tuple[Annotation, Annotation]] = {}
        with open_table(path) as file, decoded(file, errors="surrogateescape") as text:
            for record in read_records(text, str(path)):
                study, pair = _given(record)
                if study in found:
                    raise DatasetError(f"{record.where}: study '{study}' comes a second time")
                found[study] = pair
        return cls(found, path=path)

    def of_studies(self, studies: Sequence[str]) -> Floats:
        """Return F1 at the three levels of each study, `[S, 3]`.

        Raises:
            RequestError: a study has no annotation.
        """
        missing = [study for study in studies if study not in self._annotations]
        if missing:
            raise RequestError(
                f"{self._path}: {len(missing)} of {len(studies)} studies have no annotation, such as {missing[0]}"
            )
        return np.asarray([shared(*self._annotations[study]) for study in studies], np.float64)


def _given(record: JsonRecord) -> tuple[str, tuple[Annotation, Annotation]]:
    document = record.fields(("study_id",))
    try:
        pair = (document["reference"], document["candidate"])
        for annotation in pair:
            facts(annotation, "complete")
        return id_text(document["study_id"], "study_id", record.where), pair
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{record.where}: expected study_id, and reference and candidate with entities as RadGraph writes "
            f"them ({type(error).__name__}: {error})"
        ) from None
