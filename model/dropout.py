"""Dropout with masks that are cheap to draw on a CPU."""

import torch
from torch import Tensor, nn

STEPS = 2**16  # a CPU draws 16 bits per element


def dropout(x: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Zero elements with that probability and scale the rest, which keeps the mean (Srivastava et al. 2014). Like x.

    PyTorch draws a Bernoulli number per element, which on a CPU costs as much as a small matrix product. Here a CPU
    draws 64 bits for four elements. So the probability is rounded to a multiple of 1/65536, and the scale fits the
    rounded one. Without a generator, PyTorch's own is used.
    """
    if not probability:
        return x
    if x.device.type != "cpu":
        return x * torch.empty_like(x).bernoulli_(1 - probability, generator=generator) * (1 / (1 - probability))
    dropped = round(probability * STEPS)
    if dropped == 0:
        return x
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64)
    bits = bits.random_(-(2**63), None, generator=generator).view(torch.int16)
    mask = torch.empty(x.shape, dtype=x.dtype)
    torch.ge(bits[: x.numel()].view(x.shape), dropped - STEPS // 2, out=mask)
    return x * mask.mul_(STEPS / (STEPS - dropped))


class Dropout(nn.Dropout):
    """`dropout` while training, the identity otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        """The input, with elements dropped while training. -> like x."""
        return dropout(x, self.p) if self.training and self.p else x
