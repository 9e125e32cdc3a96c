"""Figures of a trial's GPU, for reports only."""

from contextlib import suppress
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class GpuFigures:
    """The figures since the last `start_measuring`. All None without a GPU."""

    memory_gib: float | None = None  # PyTorch's peak, captured steps and its reserve included
    utilization: float | None = None  # percent of the last second in which a kernel ran, from NVML


@dataclass(frozen=True)
class Need:
    """The GPU memory that a trial needs, in bytes."""

    peak: int  # the peak of the process, with the part of the CUDA driver
    total: int  # of the GPU


def start_measuring(device: torch.device) -> None:
    """Start to count the peak of a GPU's memory; nothing happens on a CPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def measure(device: torch.device) -> GpuFigures:
    """The figures; None for those that the GPU's driver does not give."""
    if device.type != "cuda":
        return GpuFigures()
    utilization = None
    with suppress(Exception):  # there is no NVML, or it does not support a share of a GPU
        utilization = float(torch.cuda.utilization(device))
    return GpuFigures(torch.cuda.max_memory_reserved(device) / 2**30, utilization)
