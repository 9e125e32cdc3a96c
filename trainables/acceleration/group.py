"""Processes of one machine that exchange tensors, each with its own GPU if there are GPUs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from trainables.acceleration.torch_internals import abort_process_group

FOREVER = timedelta(days=7)  # the others wait while the first validates
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}  # all are on one machine


@dataclass(frozen=True)
class Group:
    """This process, as one of several."""

    rank: int  # from 0
    size: int
    rendezvous: Path  # a file that does not exist yet, through which they find each other

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the group, in one message; all must be of one type."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def device(self) -> torch.device:
        """The GPU of this process; the CPU if there are none."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", self.rank)


def join(group: Group) -> None:
    """Wait for the others of the group."""
    os.environ |= LOOPBACK
    device = group.device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=group.rendezvous.as_uri(),
        rank=group.rank,
        world_size=group.size,
        timeout=FOREVER,
    )


def leave() -> None:
    """Leave the group without waiting for the others, which may wait for this process or be dead."""
    if distributed.get_backend() == "nccl":
        abort_process_group()
    else:
        distributed.destroy_process_group()
