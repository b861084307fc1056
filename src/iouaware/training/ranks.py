"""One process or many under torchrun: who we are, and sums over all of us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from iouaware.errors import TrainingError, one_line

# how gloo and NCCL begin to say, in a RuntimeError, that another process is gone
_LOST = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe")


@dataclass(frozen=True)
class Ranks:
    """This process among all that train together."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def sum(self, value: float, device: torch.device | str = "cpu") -> float:
        """Add a number over all processes."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return float(total)

    def any(self, flag: bool, device: torch.device | str = "cpu") -> bool:
        """Tell whether any process says yes."""
        return self.sum(float(flag), device) > 0

    def broadcast(self, value: Tensor) -> Tensor:
        """Return the first process's value in all."""
        if self.world_size > 1:
            dist.broadcast(value, src=0)
        return value

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world_size > 1:
            dist.barrier()


def join_ranks(device: str) -> Ranks:
    """Read torchrun's environment and join the group; alone where there is none."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return Ranks()
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # NCCL gathers objects through the current one
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Ranks(dist.get_rank(), int(os.environ.get("LOCAL_RANK", "0")), world_size)


@contextmanager
def telling_lost_ranks() -> Iterator[None]:
    """Turn the error that follows the end of another process into one line.

    Raises:
        TrainingError: another process is gone; what ended it is in its own error.
    """
    try:
        yield
    except RuntimeError as error:
        if not dist.is_initialized() or not any(word in str(error) for word in _LOST):
            raise
        raise TrainingError(
            f"process {dist.get_rank()} ends since another one has ended ({one_line(error, 120)}); "
            "the cause is what that one printed, or torchrun's last lines; go on with --resume RUN"
        ) from error
