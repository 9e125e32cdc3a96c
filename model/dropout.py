"""Dropout whose masks are cheap to draw on a CPU."""

import torch
from torch import Tensor, nn

STEPS = 2**16  # a CPU draws 16 bits an element


def dropout(x: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Zeros with that probability, the rest scaled so that the mean stays (Srivastava et al. 2014). Like x.

    PyTorch draws a Bernoulli number an element, on a CPU at the cost of a small matrix product. Here a CPU draws 64
    bits for four elements; so the probability is the nearest multiple of 1/65536, and the scale is that of the
    probability that is taken. Without a generator, PyTorch's own is drawn from.
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
    """`dropout` while training, nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        """The input with elements dropped while training; the shape stays."""
        return dropout(x, self.p) if self.training and self.p else x
