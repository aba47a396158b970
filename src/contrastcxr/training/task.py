"""The training step: the named terms of all heads, weighed and summed, on Lightning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from torch import Tensor, nn

from contrastcxr.errors import DivergedError
from contrastcxr.features.batch import Batch
from contrastcxr.features.extraction import aligned_batch, batch_features, batch_targets, views_to_align
from contrastcxr.models.system import System
from contrastcxr.training.self_critical import REWARDS, SelfCritical

if TYPE_CHECKING:
    from contrastcxr.config import OptimizerConfig, ScheduleConfig, ScheduledSamplingConfig, SystemConfig

ADAMS: Mapping[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def loss_weights(config: SystemConfig, *, epoch: int | None = None) -> dict[str, float]:
    """Return the weight of each named loss term; of a second stage's rewards, which are only shown, it is 0.

    In an `epoch`, counted from 0, losses of the whole system that start later weigh nothing; None has them all.
    """
    second = {"scst": 1.0, **dict.fromkeys(REWARDS, 0.0)} if config.train.scst else {}
    started = [loss for loss in config.losses if epoch is None or loss.starts(epoch)]
    later = {name: 0.0 for loss in config.losses if loss not in started for name in loss.term_weights}
    return {**config.model_copy(update={"losses": tuple(started)}).term_weights, **later, **second}


def loss_terms(
    system: System,
    batch: Batch,
    *,
    second: SelfCritical | None = None,
    own_words: float = 0.0,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return for each loss term its mean over this batch and the number of tokens or labels in the mean.

    Patients of the batch are masked out of the pool. In the `second` stage the reward of what the
    system writes stands in place of the decoder's own terms. `own_words` is the share of scheduled sampling.
    """
    if not system.heads:
        assert batch.images is not None  # a system that only learns to align reads pictures at every step
        return system.teach_alignment(batch.images, views_to_align(batch))
    batch = aligned_batch(system, batch)  # what is taught of places is of the pictures as they are then
    features = batch_features(system, batch)
    targets = batch_targets(batch, own_words=own_words)
    if second is None:
        return system.teach(features, targets)
    rewarded = second.terms(system, features, batch)
    return {**rewarded, **system.teach(features, targets, without=system.decoder)}


def optimizer_of(config: OptimizerConfig, system: System) -> torch.optim.Optimizer:
    """Return the optimiser over trained parameters: the encoder's at `encoder_lr`, all others at `lr`.

    Parameters that a module names in its attribute `without_decay` have no weight decay.
    """
    encoder = [p for p in _parameters(system.encoder) if p.requires_grad]
    own = {id(p) for p in encoder}
    rest = [p for p in system.parameters() if p.requires_grad and id(p) not in own]
    exempt = _without_decay(system)
    groups = [*_groups(rest, config.lr, exempt), *_groups(encoder, config.encoder_lr, exempt)]
    if config.kind == "sgd":
        momentum, nesterov = config.momentum, config.nesterov
        return torch.optim.SGD(groups, weight_decay=config.weight_decay, momentum=momentum, nesterov=nesterov)
    return ADAMS[config.kind](groups, weight_decay=config.weight_decay, amsgrad=config.amsgrad)


def _groups(parameters: Sequence[nn.Parameter], rate: float, exempt: Set[int]) -> list[dict[str, Any]]:
    """Return the groups of an optimiser that these parameters make, those without weight decay last."""
    plain = [p for p in parameters if id(p) not in exempt]
    bare = [p for p in parameters if id(p) in exempt]
    found: list[dict[str, Any]] = [{"params": plain, "lr": rate}] if plain else []
    return [*found, {"params": bare, "lr": rate, "weight_decay": 0.0}] if bare else found


def _without_decay(system: nn.Module) -> Set[int]:
    """Return the identities of the parameters that modules exempt from weight decay.

    A module names its own: `without_decay = ("weight",)`, or those below it: `("conv.weight",)`.
    """
    return {
        id(module.get_parameter(name))
        for module in system.modules()
        for name in getattr(module, "without_decay", ())
    }


def _parameters(module: nn.Module | None) -> list[nn.Parameter]:
    return [] if module is None else list(module.parameters())


def rate_factor(config: ScheduleConfig, *, steps_per_epoch: int) -> Callable[[int], float]:
    """Return the learning rate's factor at a step: times `factor` after every `every_epochs` epochs."""

    def factor(step: int) -> float:
        drops = (step // steps_per_epoch) // config.every_epochs
        return float(config.factor**drops)

    return factor


def own_share(config: ScheduledSamplingConfig | None, *, epoch: int) -> float:
    """Return the share of words that are the decoder's own in an epoch, counted from 0."""
    return 0.0 if config is None else min(config.most, config.step * (epoch // config.every_epochs))


class ReportTask(L.LightningModule):
    """A system in training; Lightning keeps the processes, the precision and the state that resumes.

    Args:
        system: in training.
        config: of the system.
        steps_per_epoch: of the optimiser.
        second: what rewards it in a second stage.
        parts: those that each batch comes in, whose gradients are summed to that of the whole.
    """

    def __init__(
        self,
        system: System,
        *,
        config: SystemConfig,
        steps_per_epoch: int,
        second: SelfCritical | None = None,
        parts: int = 1,
    ) -> None:
        super().__init__()
        self.system = system
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.second = second
        self.parts = parts
        self.totals: dict[str, Tensor] = {}
        self.weights = loss_weights(config, epoch=0)
        self.step_losses: list[dict[str, float]] = []

    def on_train_epoch_start(self) -> None:
        """Forget the losses of the epoch before, and weigh those of this one."""
        self.step_losses = []
        self.weights = loss_weights(self.config, epoch=self.current_epoch)

    def on_train_batch_start(self, batch: Batch | Sequence[Batch], batch_idx: int) -> None:
        """Seed dropout by step and process, so that a run resumed at an epoch border goes on as it would have.

        Dropout draws from the global generator; `run` restores it afterwards.
        """
        del batch
        step = self.current_epoch * self.steps_per_epoch * self.parts + batch_idx
        torch.manual_seed((self.config.train.seed * 1_000_003 + step) * 1_009 + self.global_rank)

    def training_step(self, batch: Batch | Sequence[Batch], batch_idx: int) -> Tensor:
        """Return the weighted loss of this process's share; the mean over processes is the global batch's loss.

        Args:
            batch: the share, or a part of it, with the other parts behind the first one.
            batch_idx: number of the batch, or of the part.

        Raises:
            DivergedError: the loss is no finite number.
        """
        share, *others = [batch] if isinstance(batch, Batch) else batch
        first = batch_idx % self.parts == 0
        further = [self._counts(other) for other in others]
        terms = self._terms(share)
        if first:
            counts = [{name: count for name, (_, count) in terms.items()}, *further]
            self.totals = self._over_all(counts)
        scaled = {name: mean * self._share(count, self.totals[name]) for name, (mean, count) in terms.items()}
        self.step_losses.append({name: float(value.detach()) for name, value in scaled.items()})
        self._check_finite(self.step_losses[-1], batch_idx)
        # What weighs nothing yet has no gradient at all: an optimiser counts steps of a zero one.
        weighed = [self.weights[name] * value for name, value in scaled.items() if self.weights[name]]
        return torch.stack(weighed or [0.0 * value for value in scaled.values()]).sum()

    def _check_finite(self, losses: Mapping[str, float], step: int) -> None:
        if not all(map(math.isfinite, losses.values())):
            found = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
            raise DivergedError(
                f"training diverged in epoch {self.current_epoch + 1}, step {step // self.parts + 1}: expected "
                f"finite losses, found {found}; train anew with a lower train.optimizer.lr or "
                "train.optimizer.clip_norm"
            )

    def _terms(self, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        own = own_share(self.config.train.scheduled_sampling, epoch=self.current_epoch)
        return loss_terms(self.system, batch, second=self.second, own_words=own)

    @torch.no_grad()
    def _counts(self, batch: Batch) -> dict[str, Tensor]:
        """Return the numbers of tokens and labels of a part that is learnt from later."""
        return {name: count for name, (_, count) in self._terms(batch).items()}

    def _over_all(self, counts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the number of tokens or labels of each term, over all parts and processes."""
        names = dict.fromkeys(name for part in counts for name in part)
        own = {name: torch.stack([part[name] for part in counts if name in part]).float().sum() for name in names}
        if self.trainer.world_size == 1:
            return own
        return {name: self._reduced(value, "sum") for name, value in own.items()}

    def _reduced(self, value: Tensor, by: str) -> Tensor:
        """Return one value of all processes."""
        return torch.as_tensor(self.trainer.strategy.reduce(value.to(self.device), reduce_op=by))

    def _share(self, count: Tensor, total: Tensor) -> Tensor:
        """Return what this mean weighs: its tokens over the mean number of tokens of the processes and parts.

        Gradients are averaged over processes and parts; without this a process with few tokens would count as much
        as one with many, and two processes would differ from one with the same global batch.
        """
        among = self.trainer.world_size * self.parts
        if among == 1:
            return torch.ones_like(count, dtype=torch.float32)
        return count * among / total.clamp_min(1)

    def configure_optimizers(self) -> Any:
        """Return the optimiser and a schedule that moves at every step."""
        optimizer = optimizer_of(self.config.train.optimizer, self.system)
        factor = rate_factor(self.config.train.schedule, steps_per_epoch=self.steps_per_epoch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """Clip by value, by norm, or both, as configured."""
        settings = self.config.train.optimizer
        trained = [p for p in self.system.parameters() if p.grad is not None]
        if settings.clip_value is not None:
            nn.utils.clip_grad_value_(trained, settings.clip_value)
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(trained, settings.clip_norm)

    def mean_losses(self) -> dict[str, float]:
        """Return the mean of each loss term over the epoch's global batches so far; every process must call it."""
        names = self.step_losses[0].keys() if self.step_losses else ()
        means = {name: sum(step[name] for step in self.step_losses) / len(self.step_losses) for name in names}
        return {name: self._over_processes(value) for name, value in means.items()}

    def _over_processes(self, value: float) -> float:
        if self.trainer.world_size == 1:
            return value
        return float(self._reduced(torch.tensor(value), "mean"))
