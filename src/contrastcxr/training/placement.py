"""Where a run trains: on CPUs or GPUs, in how many processes, in which precision, and who starts the processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError, UnknownNameError
from contrastcxr.machine import cpu_multiplies_bf16, gpus_multiply_bf16

ACCELERATORS = ("auto", "cpu", "cuda")
RESTARTS = ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT")
"""Environment variables in which launchers count how often they have started a job again."""


@dataclass(frozen=True)
class Placement:
    """Where a run trains.

    Attributes:
        accelerator: `cpu` or `cuda`.
        devices: processes on each node; on CUDA each has a GPU.
        nodes: machines.
        precision: `32`, `bf16-mixed` or `16-mixed`.
        environment: of the launcher that has started this process and its peers; None where it started none.
    """

    accelerator: Literal["cpu", "cuda"] = "cpu"
    devices: int = 1
    nodes: int = 1
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    environment: ClusterEnvironment | None = None

    @property
    def processes(self) -> int:
        """Number of processes that share each batch, on all nodes together."""
        return self.devices * self.nodes

    @property
    def spawns(self) -> bool:
        """Whether this process starts the others."""
        return self.environment is None and self.processes > 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and logs."""
        return self.environment is None or self.environment.global_rank() == 0

    def __str__(self) -> str:
        """In words, as the log has it."""
        among = f", {self.devices} processes" if self.devices > 1 else ""
        nodes = f" on each of {self.nodes} nodes" if self.nodes > 1 else ""
        return f"{self.precision} on {self.accelerator}{among}{nodes}"

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        if self.accelerator == "cpu":
            return torch.device("cpu")
        return torch.device("cuda", 0 if self.environment is None else self.environment.local_rank())


def find_placement(
    config: SystemConfig, *, accelerator: str = "auto", devices: int = 1, nodes: int = 1
) -> Placement:
    """Return where a system can be trained as asked.

    Args:
        config: of the system.
        accelerator: `cpu`, `cuda`, or `auto`, which is `cuda` where PyTorch finds a GPU.
        devices: processes on each node.
        nodes: machines, on each of which torchrun or srun has started the command.

    Raises:
        UnknownNameError: no such accelerator.
        IncompatibleError: a device, a precision or a launcher that is not there, or a batch that the processes
            cannot share.
    """
    if accelerator == "gpu":
        raise IncompatibleError("--accelerator gpu: a GPU is called cuda here; choose auto, cpu or cuda")
    if accelerator not in ACCELERATORS:
        raise UnknownNameError("accelerator", accelerator, ACCELERATORS)
    _check_sharing(config, devices, nodes)
    has_gpu = torch.cuda.is_available()
    if accelerator == "cuda" and not has_gpu:
        raise IncompatibleError(
            "--accelerator cuda: PyTorch finds no GPU here, or was built without CUDA; train with --accelerator "
            "cpu, or see `contrastcxr doctor`"
        )
    if accelerator == "cpu" or not has_gpu:
        return Placement("cpu", devices, nodes, _cpu_precision(config), _launcher(devices, nodes))
    if devices > (found := torch.cuda.device_count()):
        raise IncompatibleError(
            f"--devices {devices}: this machine has {found} GPU{'s' * (found > 1)}; choose at most {found}, or "
            "--accelerator cpu"
        )
    return Placement("cuda", devices, nodes, _gpu_precision(config), _launcher(devices, nodes))


def has_restarted() -> bool:
    """Return whether a launcher has started this job again, as SLURM does with a job that it had to requeue."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in RESTARTS)


def _check_sharing(config: SystemConfig, devices: int, nodes: int) -> None:
    said = f"--devices {devices}" + (f" --nodes {nodes}" if nodes != 1 else "")
    if min(devices, nodes) < 1 or config.train.batch_size % (devices * nodes):
        raise IncompatibleError(
            f"{said} with train.batch_size {config.train.batch_size}: "
            "the processes share each batch equally; choose a number that divides it"
        )
    if devices * nodes > 1 and (whole := config.whole_batch):
        raise IncompatibleError(
            f"{said} with {whole}: what is learnt depends on the whole batch, of which each process "
            "sees a part, and the run would not be that of one process; train with one"
        )


def _cpu_precision(config: SystemConfig) -> Literal["32", "bf16-mixed"]:
    wanted = config.train.precision
    if wanted == "16-mixed":
        raise IncompatibleError(
            "train.precision 16-mixed: a CPU trains in 32 or bf16-mixed; choose one of them, or --accelerator cuda"
        )
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if cpu_multiplies_bf16() else "32"


def _gpu_precision(config: SystemConfig) -> Literal["32", "bf16-mixed", "16-mixed"]:
    wanted, has_bf16 = config.train.precision, gpus_multiply_bf16()
    if wanted == "bf16-mixed" and not has_bf16:
        raise IncompatibleError(
            "train.precision bf16-mixed: the GPU has no bf16; choose 16-mixed or 32, or auto, which finds out"
        )
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if has_bf16 else "16-mixed"


def _launcher(devices: int, nodes: int) -> ClusterEnvironment | None:
    """Return the environment of torchrun or srun, which Lightning looks for in this order; None without one."""
    kinds = (TorchElasticEnvironment, SLURMEnvironment)
    kind = next((each for each in kinds if each.detect()), None)
    if kind is None:
        if nodes > 1:
            raise IncompatibleError(
                f"--nodes {nodes}: no launcher has started this process; start the command on every node with "
                "torchrun or srun (docs/training.md), or train on one node"
            )
        return None
    environment = _made(kind)
    if environment.world_size() != devices * nodes:
        raise IncompatibleError(
            f"--devices {devices} --nodes {nodes}: expected {devices * nodes} processes, one for each device of "
            f"each node, found {environment.world_size()} that the launcher has started; change these numbers, or "
            "those of torchrun (--nproc-per-node, --nnodes) or srun (--ntasks-per-node, --nodes)"
        )
    return environment


def _made(kind: type[TorchElasticEnvironment | SLURMEnvironment]) -> ClusterEnvironment:
    try:
        return kind() if kind is TorchElasticEnvironment else SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:  # of srun's options
        raise IncompatibleError(f"srun: {error}") from None
