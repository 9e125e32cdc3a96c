"""Dropout whose masks are cheap to draw on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS = 2**16  # a CPU draws 16 bits an element


def dropout(x: Tensor, probability: float) -> Tensor:
    """Zeros with that probability, the rest scaled so that the mean stays (Srivastava et al. 2014). Like x.

    PyTorch draws a Bernoulli number an element, on a CPU at the cost of a small matrix product. Here a CPU draws 64
    bits for four elements, from the same seeded generator; so the probability is the nearest multiple of 1/65536,
    and the scale is that of the probability that is taken.
    """
    if x.device.type != "cpu":
        return F.dropout(x, probability)
    dropped = round(probability * STEPS)
    if dropped == 0:
        return x
    bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    mask = torch.empty(x.shape, dtype=x.dtype)
    torch.ge(bits[: x.numel()].view(x.shape), dropped - STEPS // 2, out=mask)
    return x * mask.mul_(STEPS / (STEPS - dropped))


class Dropout(nn.Dropout):
    """`dropout` while training, nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training and self.p else x
