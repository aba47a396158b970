"""What happens between epochs: the system is scored, the best one kept, the pool encoded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from contrastcxr.checkpoint import Checkpoint, save_checkpoint
from contrastcxr.data.authors import as_one, boxed_reading
from contrastcxr.errors import DivergedError
from contrastcxr.features.view_features import EncodedFeatures
from contrastcxr.form import Author, Finding, Study
from contrastcxr.models.heads.options import HeadNeeds
from contrastcxr.models.system import System
from contrastcxr.reading.provenance import writes_grammar
from contrastcxr.reading.reader import Reader
from contrastcxr.store.study_lines import made_of
from contrastcxr.text.grammar.parsing import parse
from contrastcxr.text.labeler import default_labeler
from contrastcxr.training.run_folder import CHECKPOINT_FILE
from contrastcxr.training.task import loss_weights
from contrastcxr.training.validate import Validation

if TYPE_CHECKING:
    from contrastcxr.training.prepare import PreparedRun


@dataclass(frozen=True, eq=False)
class ScoreSystem:
    """Validation scores of the system in training."""

    prepared: PreparedRun

    def __call__(self, system: System) -> dict[str, float]:
        """Return the scores by name, `train.monitor` among them; a bank gets its maps first."""
        refresh_bank(self.prepared, system)
        return self.validation().scores(system)

    def validation(self) -> Validation:
        """Return the studies that score, with what is known of them."""
        prepared = self.prepared
        return Validation(
            batches=list(prepared.batches(prepared.validation)),
            reports=prepared.validation.reports,
            truths=self._truths(),
            places=self._places(),
            findings_in=self._findings_in,
            labels=prepared.labels,
            make_reader=self.reader,
            weights=loss_weights(prepared.config),
            writes=prepared.tokenizer is not None,
            exchanged=prepared.exchanged(prepared.validation),
        )

    def _truths(self) -> Sequence[Sequence[Finding]]:
        """Return what is on the studies; of reports that no grammar wrote, what the labeler finds in them."""
        validation = self.prepared.validation
        if writes_grammar(self.prepared.config) or not any(validation.reports):
            return validation.truths
        return [self._findings_in(report) for report in validation.reports]

    def _places(self) -> Sequence[Sequence[Finding]]:
        """Return what the author who is believed of the boxes of each study says."""
        return made_of(
            self.prepared.validation.studies, partial(_boxed_findings, needs=self.prepared.config.needs)
        )

    def _findings_in(self, report: str) -> Sequence[Finding]:
        return parse(report) if writes_grammar(self.prepared.config) else default_labeler().label(report)

    def reader(self, system: System) -> Reader:
        """Return the reader that would serve the system as it is now."""
        prepared = self.prepared
        return Reader(
            system,
            None if system.decoder is None else prepared.tokenizer,
            prepared.preprocess,
            settings=prepared.config.generate,
            labels=prepared.labels,
            parse=parse if writes_grammar(prepared.config) else None,
            max_views=prepared.config.data.max_views,
            author=Author(kind="model", name=prepared.config.name),
            device=system.device,  # a reader moves what it reads with
        )


def _boxed_findings(study: Study, needs: HeadNeeds) -> tuple[Finding, ...]:
    reading = boxed_reading(study, needs.study_names)
    if reading is None:
        return ()
    return (reading if needs.one_class is None else as_one(reading, needs.one_class)).findings


@dataclass(frozen=True, eq=False)
class KeepBest:
    """Writes the checkpoint of the best system so far."""

    prepared: PreparedRun
    folder: Path

    def __call__(self, system: System, best: Mapping[str, float]) -> None:
        """Write the checkpoint, with the scores that made it the best.

        Raises:
            DivergedError: a weight is larger than the checkpoint can hold.
        """
        prepared = self.prepared
        _refuse_too_large(system, prepared.config.train.checkpoint_dtype)
        made = Checkpoint(
            config=prepared.config,
            tokenizer=prepared.tokenizer,
            labels=prepared.labels,
            preprocess=prepared.preprocess,
            state=system.state_dict(),
            sources=prepared.sources,
            pool=prepared.pool.pool.metadata() if prepared.pool else None,
            bank=None if prepared.bank is None else prepared.bank.bank.metadata(),
            patch_pool=prepared.pool.patches.pool.metadata() if prepared.pool and prepared.pool.patches else None,
            library=prepared.library.metadata() if prepared.library else None,
            terms=prepared.target_reader.terms,
            canonical=system.aligner.chest.metadata() if system.aligner else None,
            record={"best": dict(best), "seed": prepared.config.train.seed},
        )
        save_checkpoint(self.folder / CHECKPOINT_FILE, made, dtype=prepared.config.train.checkpoint_dtype)


def _refuse_too_large(system: System, dtype: str) -> None:
    """Refuse weights that are not finite in the type of a checkpoint, though losses may still be."""
    largest = torch.finfo(getattr(torch, dtype)).max
    for name, value in system.state_dict().items():
        if value.is_floating_point() and not bool((value.abs() <= largest).all()):
            raise DivergedError(
                f"training diverged: {name} has weights beyond {largest:.3g}, the most that a checkpoint of "
                f"{dtype} holds; train anew with a lower train.optimizer.lr or train.optimizer.clip_norm"
            )


@torch.no_grad()
def refresh_bank(prepared: PreparedRun, system: System) -> None:
    """Put the maps of its pictures by the weights as they are into the system's bank, where it has one."""
    if prepared.bank is None or not prepared.bank.bank.has_pictures:
        return
    assert system.bank is not None
    assert system.encoder is not None
    rows, device = prepared.bank.branches(system.encoder, prepared.features), system.encoder.device
    system.bank.set_maps(torch.stack([system.negative_map(row.to(device)) for row in rows]))


@dataclass(frozen=True, eq=False)
class RefreshPool:
    """Encodes the pool's pictures again with the encoder as it is now."""

    prepared: PreparedRun

    def __call__(self, system: System) -> None:
        """Put the pictures' new features into the system's pools."""
        pool = self.prepared.pool
        assert pool is not None
        if not pool.pool.has_pictures:
            return
        assert system.pool is not None
        assert system.encoder is not None
        encoded = EncodedFeatures(
            system.encoder, self.prepared.preprocess, self.prepared.picture_of, system.aligner
        )
        system.pool.refresh(pool.features(encoded.pooled))
        if pool.patches is not None and system.patch_pool is not None:
            system.patch_pool.refresh(pool.patches.features(encoded.patches))
