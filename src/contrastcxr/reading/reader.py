"""Study -> Reading: the only conductor at inference.

The same `Reader` serves a command, training's validation and evaluation, so that what picks a checkpoint is what
serves it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from contrastcxr.assemble import check_search
from contrastcxr.checkpoint import load_checkpoint
from contrastcxr.config import with_search
from contrastcxr.data.transforms import Preprocess
from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.decode.votes import SampledReport, vote_shares
from contrastcxr.errors import IncompatibleError, UnknownNameError
from contrastcxr.features.batch import Batch, Sample, collate, rows_of
from contrastcxr.features.extraction import aligned_batch, batch_features, normal_features, raw_features
from contrastcxr.features.targets import indication_ids
from contrastcxr.files import find_checkpoint
from contrastcxr.form import Author, Evidence, Flag, Negative, Reading, Report, Study
from contrastcxr.models.align.pose import without_pose
from contrastcxr.models.features import GridPlaces
from contrastcxr.models.system import System
from contrastcxr.quality.assess import assess, thumbnails
from contrastcxr.quality.flags import empty_flag, length_flags, measure_flags, source_flags, view_flags
from contrastcxr.quality.measures import GreyValues, MeasureValue, PictureMeasures, QualityReference
from contrastcxr.reading import evidence as shown
from contrastcxr.reading.alignment import pose_flags
from contrastcxr.reading.answers import DecodedReport, DecodedStudy, by_study, report_search
from contrastcxr.reading.findings import (
    HEAD,
    LOCALIZER,
    Parse,
    disagreements,
    merge,
    not_assessed,
    rounded,
    side_conflicts,
    stated_findings,
    with_places,
)
from contrastcxr.reading.model_mean import StudyHeat
from contrastcxr.reading.plan import planned, predicted_tags
from contrastcxr.reading.provenance import describe, writes_grammar
from contrastcxr.reading.regions import MarkedPlaces, StudyRegions, marks_of, region_marks
from contrastcxr.reading.samples import measured_sample
from contrastcxr.reading.sentences import Sentence, ending_ids, sentences_of
from contrastcxr.reading.voting import vote
from contrastcxr.store.workers import ahead
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.sentence_order import SentenceOrder
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.version import __version__ as contrastcxr_version

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_REPORTS = 320
"""Reports that are written together at most, where a study gets several: bounds the memory of their states."""


class Reader:
    """A system with everything it needs to fill in the form.

    Args:
        system: the modules; borrowed, so training may go on with them after a validation.
        tokenizer: the vocabulary its reports are written with; None of a system without words.
        preprocess: pixels to model pixels.
        settings: of the search.
        labels: canonical findings the heads must have, in order; None takes their own.
        tags: names of the tags that the decoder predicts, in order; empty for one that predicts none.
        thresholds: probability from which a finding counts as present; 0.5 where not given.
        parse: from a sentence to the findings it states; None when the model's language has no parser.
        order: of the sentences that the reports were learnt in (`text.order`); reading itself ignores it.
        author: who signs the readings.
        provenance: what every reading carries on where it comes from; `sources` lists what the model learnt from.
        pool_source: the source that the pool's pictures come from.
        max_views: views of a study that are read; frontal ones first.
        quality: what the training pictures look like; None leaves the quality of pictures unassessed.
        device: where the tensors go.
        dtype: `float32`, `bfloat16` or `float16`; None leaves the system as it is.
        seed: of searches that draw; each study has its own stream.
        batch_size: studies that go through the system together.

    Raises:
        IncompatibleError: no head, the labels are not those of the finding head, the vocabulary is not the
            decoder's, or the system cannot be searched like that.
        UnknownNameError: no such dtype.
    """

    def __init__(
        self,
        system: System,
        tokenizer: Tokenizer | None,
        preprocess: Preprocess,
        *,
        settings: GenerationSettings | None = None,
        labels: Sequence[str] | None = None,
        tags: Sequence[str] = (),
        thresholds: Mapping[str, float] | None = None,
        parse: Parse | None = None,
        order: SentenceOrder = "as_written",
        author: Author | None = None,
        provenance: Mapping[str, Any] | None = None,
        pool_source: str | None = None,
        max_views: int = 2,
        quality: QualityReference | None = None,
        boxed_patients: Collection[str] = (),
        device: str | torch.device = "cpu",
        dtype: str | None = None,
        seed: int = 0,
        batch_size: int = 32,
    ) -> None:
        if not system.heads:
            raise IncompatibleError(
                "a system without a head answers nothing: it is an aligner; give it to another as align.weights"
            )
        self.device = torch.device(device)
        self.system = system.to(self.device)
        if dtype is not None:
            self.system.to(_dtype(dtype))
        self.tokenizer = _own_vocabulary(system, tokenizer)
        self.preprocess = preprocess
        self.settings = settings or GenerationSettings()
        if system.decoder is not None:
            pool = None if system.pool is None else system.pool.kind
            check_search(self.settings, system.decoder.options, pool)
        self.labels = _labels(system, labels)
        self.tags = tuple(tags)
        self.thresholds = dict(thresholds or {})
        self.parse = parse
        self.order = order
        self.author = author or Author(kind="model", name="unnamed")
        self.provenance = dict(provenance or {})
        self.pool_source = pool_source
        self.max_views = max_views
        self.quality = quality
        self.boxed_patients = frozenset(boxed_patients)
        self.seed = seed
        self.batch_size = batch_size
        self._ends = frozenset[int]() if tokenizer is None else ending_ids(tokenizer)

    @classmethod
    def from_checkpoint(
        cls,
        name_or_path: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: str | None = None,
        seed: int = 0,
        batch_size: int = 32,
        settings: GenerationSettings | None = None,
        overrides: Sequence[str] = (),
        allow_pickle: bool = False,
        losses: bool = False,
    ) -> Reader:
        """Return the reader that a checkpoint describes.

        Args:
            name_or_path: a checkpoint file, a run folder or the name of a bundled model.
            device: where the tensors go.
            dtype: `float32` (None), `bfloat16` or `float16`.
            seed: of sampling.
            batch_size: studies that go through the system together.
            settings: of the search, in place of the checkpoint's own.
            overrides: changes to it, `generate.a=b` each.
            allow_pickle: read a training state too, weights only.
            losses: with the losses of the whole system, whose space retrieval is measured in.

        Raises:
            UnknownNameError: no such file or name.
            CheckpointError: it is not a checkpoint of ours, or of another version.
            ConfigError: an override is of something else than the search, or has a wrong value.
        """
        path = find_checkpoint(name_or_path)
        checkpoint = load_checkpoint(path, allow_pickle=allow_pickle)
        config = with_search(checkpoint.config, overrides)
        system = checkpoint.build(losses=losses)
        return cls(
            system,
            checkpoint.tokenizer,
            checkpoint.preprocess,
            settings=settings or config.generate,
            labels=checkpoint.labels or None,
            tags=config.needs.tag_names(terms=checkpoint.terms),
            thresholds=checkpoint.thresholds,
            parse=parse if writes_grammar(config) else None,
            order=config.text.order,
            author=Author(kind="model", name=config.name, version=contrastcxr_version),
            provenance=describe(
                checkpoint,
                path,
                seed=seed,
                dtype=dtype,
                settings=settings or config.generate,
                reads_indication=system.reads_indication,
            ),
            pool_source=config.data.source,
            max_views=config.data.max_views,
            quality=checkpoint.quality,
            boxed_patients=checkpoint.boxed_patients,
            device=device,
            dtype=dtype,
            seed=seed,
            batch_size=batch_size,
        )

    def read(self, study: Study) -> Reading:
        """Read one study.

        Raises:
            ImageError: a view cannot be read.
        """
        return self.read_batch([study])[0]

    def read_batch(self, studies: Sequence[Study], *, evidence: bool = True) -> list[Reading]:
        """Read studies together; each gets what it would get alone.

        Raises:
            ImageError: a view cannot be read; nothing is returned then.
        """
        readings: list[Reading] = []
        starts = range(0, len(studies), self.batch_size)
        parts = [studies[start : start + self.batch_size] for start in starts]
        loaded = ahead(self._loaded, parts, device=self.device.type)
        for part, (batch, measured) in zip(parts, loaded, strict=True):
            for row, (reading, pooled) in enumerate(self._read(batch, evidence)):
                greys, small = measured[row], _thumbnails(batch, row)
                pictures = PictureMeasures(greys, small, pooled[: len(greys)])
                readings.append(self._flagged(reading, part[row], batch.view_index[row], pictures))
        return readings

    def _loaded(self, studies: Sequence[Study]) -> tuple[Batch, list[tuple[GreyValues, ...]]]:
        """Return studies as a batch, and the grey values of the views of each."""
        prepared = [measured_sample(study, self.preprocess, self.max_views) for study in studies]
        samples = [self.with_inputs(study, sample) for study, (sample, _) in zip(studies, prepared, strict=True)]
        batch = collate(samples, pad=self.pad)
        pinned = batch.pin_memory() if self.device.type == "cuda" else batch
        return pinned, [greys for _, greys in prepared]

    def read_features(
        self, batch: Batch, *, evidence: bool = False, marked: Sequence[Collection[str]] | None = None
    ) -> list[Reading]:
        """Read a batch of pixels or of cached encoder features, in its own order.

        Flags on the pictures themselves are left to `read`, which sees the studies. Without `evidence` a reading
        keeps the plan and the tags of its decoder alone. The system is called for `batch_size` studies at a time,
        those with equal numbers of views together. `marked` says of which findings of each study the places are
        wanted, most of the time of a localizer's reading; None wants all.
        """
        return [reading for reading, _ in self._read(batch, evidence, marked)]

    def _read(
        self, batch: Batch, evidence: bool, marked: Sequence[Collection[str]] | None = None
    ) -> list[tuple[Reading, Tensor]]:
        """Return the reading of each study, and the encoder's features `[V, C]` of its views.

        The features are averaged over the patches.
        """
        readings: dict[int, tuple[Reading, Tensor]] = {}
        with _evaluating(self.system):
            for chosen, part in self._parts(batch):
                part = aligned_batch(self.system, part.to(self.device))
                answers = self._answers(part)
                made = (
                    (self._reading(part, row, answer, evidence, wanted), answer.pooled)
                    for row, (answer, wanted) in enumerate(zip(answers, _of(marked, chosen), strict=True))
                )
                readings |= zip(chosen, made, strict=True)
        return [readings[i] for i in range(len(batch))]

    def samples(self, batch: Batch) -> list[tuple[SampledReport, ...]]:
        """Return the reports drawn for each study of a batch, in its own order, by a search that votes."""
        return [answer.samples for _, _, answer in self._answered(batch)]

    def heat(self, batch: Batch) -> list[StudyHeat]:
        """Return what the localizer sees of each study of a batch, in its own order, before anything is marked."""
        return [self._heat(part, row, answer) for part, row, answer in self._answered(batch)]

    def regions(self, batch: Batch) -> list[Mapping[str, StudyRegions]]:
        """Return the regions of each study of a batch by finding, in its own order, before any is chosen."""
        return [answer.regions for _, _, answer in self._answered(batch)]

    def _answered(self, batch: Batch) -> list[tuple[Batch, int, DecodedStudy]]:
        """Return the answer to each study of a batch, in its own order, with the part and row it was in."""
        found: dict[int, tuple[Batch, int, DecodedStudy]] = {}
        with _evaluating(self.system):
            for chosen, part in self._parts(batch):
                part = aligned_batch(self.system, part.to(self.device))
                found |= {
                    i: (part, row, answer)
                    for row, (i, answer) in enumerate(zip(chosen, self._answers(part), strict=True))
                }
        return [found[i] for i in range(len(batch))]

    def _heat(self, batch: Batch, row: int, answer: DecodedStudy) -> StudyHeat:
        return StudyHeat(
            batch.study_ids[row],
            answer.probabilities,
            answer.heat,
            self._places(batch, row, self.system.marked_grid),
            batch.affines[row].cpu().numpy(),
            self.preprocess.size,
            answer.cuts,
            answer.marking,
        )

    def _parts(self, batch: Batch) -> Iterator[tuple[list[int], Batch]]:
        """Yield what goes through the system together, with its rows: studies with equal numbers of views."""
        order = sorted(range(len(batch)), key=lambda i: len(batch.positions[i]))
        together = min(self.batch_size, max(1, _REPORTS // self.settings.reports))
        for start in range(0, len(order), together):
            chosen = order[start : start + together]
            yield chosen, batch if chosen == list(range(len(batch))) else rows_of(batch, chosen)

    @property
    def pad(self) -> int:
        """Id of the padding of token ids."""
        return 0 if self.tokenizer is None else self.tokenizer.special.pad

    def _answers(self, batch: Batch) -> list[DecodedStudy]:
        raw = raw_features(self.system, batch)
        features = batch_features(self.system, batch, raw=raw)
        answer, samples = self.system.answer(features, search=self._search(batch, raw)), None
        if self.tokenizer is not None and self.settings.method == "votes":
            answer, samples = vote(answer, self.settings, text_of=self._text, parse=self.parse)
        pooled = _by_view(raw, None if batch.poses is None else features.mask).float().cpu()  # [B,V,C]
        return by_study(answer, features, pooled=pooled, samples=samples or ())

    def _search(self, batch: Batch, raw: Tensor) -> ReportSearch | None:
        if self.tokenizer is None:
            return None
        normals = normal_features(self.system, batch, raw=raw) if self.settings.guidance else None
        special, ids = self.tokenizer.special, batch.study_ids
        return report_search(special, self.settings, study_ids=ids, seed=self.seed, normals=normals)

    def with_inputs(self, study: Study, sample: Sample) -> Sample:
        """Return the sample with the study's indication, for a system that reads it."""
        if self.tokenizer is None or not self.system.reads_indication:
            return sample
        return replace(sample, indication_ids=indication_ids(study, self.tokenizer))

    def _reading(
        self, batch: Batch, row: int, answer: DecodedStudy, evidence: bool, wanted: Collection[str] | None
    ) -> Reading:
        sentences = self._sentences(answer.written)
        texts = tuple(sentence.text for sentence in sentences)
        said = stated_findings(texts, self.parse)
        probabilities = {name: rounded(value) for name, value in answer.probabilities.items()}
        source = LOCALIZER if self.system.finding_head is None else HEAD
        written = self.tokenizer is not None
        findings = merge(said, probabilities, thresholds=self.thresholds, source=source, written=written)
        affines = batch.affines[row].cpu().numpy()
        heat = answer.heat if wanted is None else {n: h for n, h in answer.heat.items() if n in wanted}
        marked = marks_of(
            heat,
            self._places(batch, row, self.system.marked_grid),
            affines,
            size=self.preprocess.size,
            cuts=answer.cuts,
            marking=answer.marking,
        )
        findings = with_places(findings, marked | self._regions(batch, row, answer))
        return Reading(
            study_id=batch.study_ids[row],
            author=self.author,
            report=Report(findings=" ".join(texts), sentences=texts),
            findings=findings,
            evidence=self._evidence(batch, row, answer, sentences, whole=evidence),
            flags=(
                *disagreements(findings),
                *self._text_flags(texts, answer.written),
                *(() if batch.poses is None else pose_flags(batch.poses[row].cpu(), self._view_index(batch, row))),
                *self._without_negative(batch, row, answer),
            ),
            provenance=self.provenance,
        )

    def _regions(self, batch: Batch, row: int, answer: DecodedStudy) -> dict[str, MarkedPlaces]:
        """Return what is marked by a localizer that chooses among regions, by finding."""
        if not answer.regions:
            return {}
        marked = partial(
            region_marks,
            view_index=self._view_index(batch, row),
            affines=batch.affines[row].cpu().numpy(),
            size=self.preprocess.size,
            shapes=[place.shape for place in self._places(batch, row, self.system.places)],
        )
        return {finding: marked(regions) for finding, regions in answer.regions.items()}

    def _text_flags(self, texts: Sequence[str], written: DecodedReport) -> tuple[Flag, ...]:
        if self.tokenizer is None:
            return ()
        tokens = len(written.token_ids)
        return (
            *empty_flag(texts, tokens=tokens),
            *length_flags(written.plan, ended=written.ended, tokens=tokens, max_tokens=self.settings.max_tokens),
        )

    def _text(self, written: DecodedReport) -> str:
        return " ".join(sentence.text for sentence in self._sentences(written))

    def _sentences(self, written: DecodedReport) -> tuple[Sentence, ...]:
        if self.tokenizer is None:
            return ()
        place = written.plan.get("sentence")
        planned_as = None if place is None else place[: len(written.token_ids)].tolist()
        return sentences_of(written.token_ids, self.tokenizer, self._ends, planned=planned_as)

    def _evidence(
        self, batch: Batch, row: int, answer: DecodedStudy, sentences: Sequence[Sentence], *, whole: bool
    ) -> Evidence:
        plan = planned(answer.written.plan, sentences, sources=self._sources(), tags=self.tags)
        tags = predicted_tags(answer.written.plan, self.tags)
        votes = vote_shares(answer.samples)
        if not whole:
            return Evidence(plan=plan, tags=tags, votes=votes)
        places = self._places(batch, row, self.system.places)
        return shown.evidence(
            places=places,
            sentences=sentences,
            attention=answer.written.attention if places else None,
            contrast=answer.contrast,
            difference=answer.difference if places else None,
            negatives=self._negatives(batch, row, answer),
            pool=self._compared(answer),
            plan=plan,
            tags=tags,
            maps=answer.maps,
            votes=votes,
            unavailable=shown.unavailable(self._abilities(answer, placed=bool(places))),
        )

    def _places(self, batch: Batch, row: int, grid: GridPlaces | None) -> tuple[shown.PatchGrid, ...]:
        """Return where the cells of a grid over each view of a study lie; nowhere where there is none."""
        if grid is None:
            return ()
        return shown.grids(
            rows=grid.rows,
            columns=grid.columns,
            affines=batch.affines[row].cpu().numpy(),
            view_index=self._view_index(batch, row),
            size=self.preprocess.size,
            unaligned=self._unaligned(batch, row),
        )

    def _unaligned(self, batch: Batch, row: int) -> np.ndarray | None:
        """Return the affines `[V, 2, 3]` of pictures as they were before they were aligned, if they were."""
        if batch.poses is None:
            return None
        affines, poses = batch.affines[row].double(), batch.poses[row].double()
        return without_pose(affines, poses, self.preprocess.size).cpu().numpy()

    def _abilities(self, answer: DecodedStudy, *, placed: bool) -> shown.Abilities:
        decoder, pool, bank = self.system.decoder, self.system.pool, self.system.bank
        weights, plan = answer.pool_weights, answer.written.plan
        return shown.Abilities(
            decoder=None if decoder is None else decoder.kind,
            attends=answer.written.attention is not None,
            placed=placed,
            plans="sentence" in plan,
            tags="kept_tags" in plan and bool(self.tags),
            contrasts=pool is not None,
            images=len(pool) if pool is not None and pool.has_pictures else 0,
            repeats=0 if weights is None else len(weights),
            induces=bank is not None,
            negatives=len(bank) if bank is not None and bank.has_pictures else 0,
            localizes=bool(answer.heat or answer.regions),
            maps=bool(answer.heat),
        )

    def _sources(self) -> Sequence[Sequence[str]]:
        decoder = self.system.decoder
        return () if decoder is None else decoder.sources

    def _compared(self, answer: DecodedStudy) -> shown.PoolMatches | None:
        pool = self.system.pool
        if pool is None or answer.pool_weights is None or not pool.has_pictures:
            return None
        names = shown.PoolNames(pool.rows.image_ids, pool.rows.locators, self.pool_source)
        return shown.PoolMatches.of(answer.pool_weights, names, allowed=answer.pool_keep)

    def _negatives(self, batch: Batch, row: int, answer: DecodedStudy) -> tuple[Negative, ...]:
        """Return what each real view was compared with; nothing where it had no negative."""
        bank = self.system.bank
        if bank is None or answer.negative is None:
            return ()
        assert answer.negative_similarity is not None  # it comes with the negative
        assert answer.negative_same_view is not None
        names = shown.PoolNames(bank.rows.image_ids, bank.rows.locators, self.pool_source)
        found = zip(
            self._view_index(batch, row),
            answer.negative.tolist(),
            answer.negative_similarity.tolist(),
            answer.negative_same_view.tolist(),
            strict=False,  # padded views come last
        )
        return tuple(
            names.negative(place, view=view, similarity=similarity, same_view=same_view)
            for view, place, similarity, same_view in found
            if place >= 0
        )

    def _without_negative(self, batch: Batch, row: int, answer: DecodedStudy) -> Iterator[Flag]:
        """Yield a flag for each real view that has no negative: nothing weighs more than anything else there."""
        found = [] if answer.negative is None else answer.negative.tolist()
        for view, place in zip(self._view_index(batch, row), found, strict=False):  # padded views come last
            if place < 0:
                said = f"view {view + 1} is compared with no picture: the bank holds those of its patient alone"
                yield Flag(kind="quality", message=said)

    def _view_index(self, batch: Batch, row: int) -> tuple[int, ...]:
        """Return which view of its study each real one is."""
        return batch.view_index[row] if batch.view_index else tuple(range(len(batch.positions[row])))

    def _flagged(self, reading: Reading, study: Study, used: Sequence[int], pictures: PictureMeasures) -> Reading:
        flags = (
            *reading.flags,
            *source_flags(self.provenance.get("sources", ())),
            *view_flags(study, used),
            *side_conflicts(reading.findings, study.views),
            *measure_flags(self.quality, _measured(self.quality, pictures), study=study, used=used),
            *not_assessed([*self.labels, *(finding.name for finding in reading.findings)]),
        )
        indication = reading.report.model_copy(update={"indication": study.indication})
        return reading.model_copy(update={"flags": flags, "report": indication})


def _of(marked: Sequence[Collection[str]] | None, chosen: Sequence[int]) -> Sequence[Collection[str] | None]:
    """Return what is wanted of the chosen studies; None wants all of a study."""
    return [None] * len(chosen) if marked is None else [marked[i] for i in chosen]


def _by_view(raw: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean `[B, V, C]` of `raw [B, V, N, C]` over patches, those that `mask [B, V * N]` has."""
    if mask is None:
        return raw.mean(2)
    weights = mask.view(raw.shape[:3]).to(raw.dtype).unsqueeze(-1)
    return (raw * weights).sum(2) / weights.sum(2).clamp_min(1)


def _thumbnails(batch: Batch, row: int) -> Tensor:
    assert batch.images is not None  # made of pixels by `measured_sample`
    return thumbnails(batch.images[row, : len(batch.positions[row])])


def _measured(reference: QualityReference | None, pictures: PictureMeasures) -> list[tuple[MeasureValue, ...]]:
    """Return the measures of each picture, alone, so that sums in another order do not show."""
    if reference is None:
        return []
    return [assess(reference, pictures[[row]])[0] for row in range(len(pictures))]


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


def _own_vocabulary(system: System, tokenizer: Tokenizer | None) -> Tokenizer | None:
    found = 0 if tokenizer is None else len(tokenizer)
    wanted = 0 if system.decoder is None else system.decoder.vocabulary
    if found != wanted:
        raise IncompatibleError(
            f"a vocabulary of {found:,} tokens with a decoder of {wanted:,}; "
            "give the vocabulary that the decoder was trained with"
        )
    return tokenizer


def _labels(system: System, wanted: Sequence[str] | None) -> tuple[str, ...]:
    own = () if system.identifier is None else system.identifier.findings
    if wanted is not None and system.identifier is not None and tuple(wanted) != own:
        raise IncompatibleError(f"labels {tuple(wanted)} are not those of the finding head, {own}")
    return own


@contextmanager
def _evaluating(system: nn.Module) -> Iterator[None]:
    """Put the system into evaluation mode without gradients, and back as it was."""
    training = system.training
    system.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        system.train(training)
