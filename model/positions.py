"""How a token's position reaches the network."""

import math

import torch
from torch import Tensor


def sinusoidal(length: int, d_model: int, start: int = 0, device: torch.device | None = None) -> Tensor:
    """The fixed encoding of positions start .. start+length-1: (length, d_model).

    PE(pos, 2i) = sin(pos / 10000^(2i/d_model)), PE(pos, 2i+1) = cos(the same); Vaswani et al. 2017, section 3.5.
    """
    position = torch.arange(start, start + length, device=device, dtype=torch.float32).unsqueeze(1)  # (T, 1)
    even = torch.arange(0, d_model, 2, device=device, dtype=torch.float32)
    angle = position * torch.exp(even * (-math.log(10000.0) / d_model))  # (T, d_model / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)
