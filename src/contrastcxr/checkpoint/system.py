"""A checkpoint with its weights, and the system that is built from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from contrastcxr.assemble import Marks, SystemParts, build_system, make_encoder
from contrastcxr.checkpoint.metadata import UNUSABLE, CheckpointMetadata
from contrastcxr.errors import CheckpointError, ContrastCXRError
from contrastcxr.models.align.aligner import Aligner
from contrastcxr.models.align.canonical import CanonicalChest
from contrastcxr.models.contrast.bank import NegativeBank
from contrastcxr.models.contrast.pool import NormalityPool
from contrastcxr.models.heads.library import SentenceLibrary
from contrastcxr.models.system import System
from contrastcxr.quality.measures import QualityReference

POOL_KEY = "pool.raw"
PATCH_POOL_KEY = "patch_pool.raw"
BANK_KEY = "bank."
ALIGNER_KEY = "aligner."
CANONICAL_KEY = f"{ALIGNER_KEY}canonical"
WORD_VECTORS = ("decoder.embedding.weight", "decoder.words.embedding.weight")
"""Where decoders keep the vectors of their words, one of the two."""
LIBRARY_KEY = "decoder.library."
LOSSES_KEY = "losses."
"""Weights of the losses of the whole system, which reading does not load."""
_CHANGED = "the file was changed or written by another version: train or download it again"


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint(CheckpointMetadata):
    """All that reading needs, as it is in the file.

    Attributes:
        state: the system's weights, the frozen encoder's and the raw pool's among them.
        quality: what its training pictures look like; None in files that do not hold it.
    """

    state: Mapping[str, Tensor]
    quality: QualityReference | None = None

    def build(self, *, losses: bool = False) -> System:
        """Return the system with its weights, float32 on the CPU, in eval mode.

        With `losses` it has those of the whole system, which reading does not need.

        Raises:
            CheckpointError: the configuration makes no system, or the weights are not those of it.
        """
        try:
            self._check_sizes()
            system = self._assembled(losses=losses)
            state = {
                name: value for name, value in self.state.items() if losses or not name.startswith(LOSSES_KEY)
            }
            _load_state(system, state, self.where)
            if system.identifier is not None:
                system.identifier.set_temperature(self.temperature)
        except CheckpointError:
            raise
        except (*UNUSABLE, RuntimeError, MemoryError) as error:
            reason = str(error) if isinstance(error, ContrastCXRError) else "its metadata contradict its weights"
            raise CheckpointError(f"{self.where}: {reason}; {_CHANGED}") from error
        return system.eval()

    def _check_sizes(self) -> None:
        """Refuse a size that no weight has, before memory is taken for a system of that size."""
        rows, words = _vocabulary_rows(self.state), 0 if self.tokenizer is None else len(self.tokenizer)
        if rows is not None and rows != words:
            raise CheckpointError(
                f"{self.where}: its vocabulary has {words:,} tokens, its weights were trained with "
                f"{rows:,}; {_CHANGED}"
            )
        held = {side for tensor in self.state.values() for side in tensor.shape}
        wanted = {} if self.config.projection.keeps_channels else {"width": self.config.width}
        wanted |= {"vocabulary": words} if self.tokenizer is not None else {}
        for slot, head in self.config.heads.items():
            wanted |= {f"{slot}.{name}": size for name, size in head.stated_sizes().items()}
        for name, size in wanted.items():
            if size not in held:
                raise _misfit_error(self.where, f"none of them has the {name} {size:,}")

    def _assembled(self, *, losses: bool) -> System:
        """Return the system without its weights."""
        parts = SystemParts(
            encoder=make_encoder(self.config, weights="checkpoint"),
            pool=self._rebuilt(self.pool, POOL_KEY),
            bank=self._bank(),
            patch_pool=self._rebuilt(self.patch_pool, PATCH_POOL_KEY),
            vocabulary=0 if self.tokenizer is None else len(self.tokenizer),
            marks=None if self.tokenizer is None else Marks.of(self.tokenizer),
            findings=self.labels,
            library=self._library(),
            terms=self.terms,
            aligner=self.aligner(),
        )
        return build_system(self.config, parts, losses=losses)

    def _bank(self) -> NegativeBank | None:
        options = None if self.config.contrast is None else self.config.contrast.bank_options
        if self.bank is None or options is None:
            return None
        own = {name: self.state[f"{BANK_KEY}{name}"] for name in ("thumbnails", "maps")}
        return NegativeBank.from_metadata(self.bank, options, poses=self.state.get(f"{BANK_KEY}poses"), **own)

    def aligner(self) -> Aligner | None:
        """Return its aligner, with the canonical chest; None of a system that aligns nothing.

        Raises:
            CheckpointError: it lacks the canonical chest, or the weights are not those of its aligner.
        """
        if self.config.align is None:
            return None
        if self.canonical is None or CANONICAL_KEY not in self.state:
            raise CheckpointError(f"{self.where}: it aligns pictures and lacks its canonical chest; {_CHANGED}")
        chest = CanonicalChest.from_metadata(self.canonical, self.state[CANONICAL_KEY].float())
        aligner = Aligner(self.config.align, chest)
        _load_state(aligner, tensors_of(self.state, ALIGNER_KEY), self.where)
        return aligner

    def _library(self) -> SentenceLibrary | None:
        if self.library is None:
            return None
        return SentenceLibrary.from_metadata(self.library, tensors_of(self.state, LIBRARY_KEY))

    def _rebuilt(self, metadata: Mapping[str, Any] | None, key: str) -> NormalityPool | None:
        return None if metadata is None else NormalityPool.from_metadata(dict(metadata), self.state[key].float())


def tensors_of(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with that of a part, without it."""
    return {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}


def refuse_not_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights of which one is NaN or infinite: every answer of such a system would be nothing.

    Raises:
        CheckpointError: names the first such parameter.
    """
    # A sum that is finite is one of finite numbers, and four times as quick as to look at each.
    numbers = ((name, v) for name, v in state.items() if v.is_floating_point())
    doubtful = ((name, v) for name, v in numbers if not v.sum(dtype=torch.float32).isfinite())
    for name, value in doubtful:
        odd = int((~value.isfinite()).sum())
        if odd:
            raise CheckpointError(
                f"{where}: expected finite weights, found {odd:,} of {value.numel():,} NaN or infinite in {name}; "
                "its training diverged or the file is damaged: take an earlier checkpoint"
            )


def _vocabulary_rows(state: Mapping[str, Tensor]) -> int | None:
    """Return word vectors that the weights hold; None where they hold none."""
    found = (state[name] for name in WORD_VECTORS if name in state)
    return next((tensor.shape[0] for tensor in found if tensor.ndim == 2), None)


def _misfit_error(where: str, how: str) -> CheckpointError:
    return CheckpointError(f"{where}: the weights do not fit its own configuration ({how}); {_CHANGED}")


def _load_state(part: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    misfit = _misfit(part.state_dict(), state)
    if misfit:
        raise _misfit_error(where, misfit)
    part.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    )


def _misfit(wanted: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> str | None:
    """Return the first weight that lacks, is not known, or has another shape; None where all fit."""
    for name, tensor in wanted.items():
        if name not in held:
            return f"it lacks {name}"
        if held[name].shape != tensor.shape:
            return f"{name} is {_size(held[name])} instead of {_size(tensor)}"
    unknown = sorted(held.keys() - wanted.keys())
    return f"{unknown[0]} is not part of it" if unknown else None


def _size(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"
