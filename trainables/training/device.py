"""The device that a process trains on."""

import torch

from trainables.training.freed_memory import keep_freed_memory

CPU = torch.device("cpu")


def default_device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def set_up(device: torch.device) -> None:
    """Make training and decoding in this process faster; numbers change only by rounding."""
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        # PyTorch prefers cuDNN, but that makes a plan for each new shape of a batch, which takes longer than the step.
        torch.backends.cuda.enable_cudnn_sdp(False)
