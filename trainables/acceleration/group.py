"""Processes of one machine that exchange tensors, each with a GPU of its own where there are any."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

from trainables.acceleration.torch_internals import abort_process_group

FOREVER = timedelta(days=7)  # the others wait while one validates
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}  # all are on one machine


@dataclass(frozen=True)
class Group:
    """This process, as one of several."""

    rank: int  # from 0
    size: int
    meeting: Path  # a file, not there yet, at which they find each other

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Put the sum over the group in the place of each; in one message, so all must be of one type."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))

    def device(self) -> torch.device:
        """The GPU of this process, of those that it sees; a CPU where there are none."""
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
        init_method=group.meeting.as_uri(),
        rank=group.rank,
        world_size=group.size,
        timeout=FOREVER,
    )


def leave() -> None:
    """Leave the group that this process has joined, whatever the others do: they may wait for it, or be gone."""
    if distributed.get_backend() == "nccl":
        abort_process_group()
    else:
        distributed.destroy_process_group()
