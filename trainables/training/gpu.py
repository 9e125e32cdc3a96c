"""What a trial's GPU does, for people to see; nothing depends on it."""

from contextlib import suppress
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class GpuFigures:
    """Since the last `start_measuring`. All None without a GPU."""

    memory_gib: float | None = None  # peak of what PyTorch held, captured steps and its reserve included
    utilization: float | None = None  # percent of the last second in which a kernel ran, as NVML sees it


@dataclass(frozen=True)
class Need:
    """The memory that a trial takes of a GPU, in bytes."""

    peak: int  # what a process holds of its GPU at most, the driver's own part included
    total: int  # of the GPU


def start_measuring(device: torch.device) -> None:
    """Count the peak of a GPU's memory from here on; on a CPU nothing."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def measure(device: torch.device) -> GpuFigures:
    """The figures; never raises for what a driver does not tell."""
    if device.type != "cuda":
        return GpuFigures()
    utilization = None
    with suppress(Exception):  # no NVML here, or not for a share of a GPU
        utilization = float(torch.cuda.utilization(device))
    return GpuFigures(torch.cuda.max_memory_reserved(device) / 2**30, utilization)
