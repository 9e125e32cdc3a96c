"""Absolute positions, added to the embeddings: self-attention is then blind to them."""

import math

import torch
from torch import Tensor, nn

from model.positions.shape import Shape


def sinusoids(position: Tensor, width: int) -> Tensor:
    """The fixed encoding of positions (T,): (T, width).

    PE(pos, 2i) = sin(pos / 10000^(2i/width)), PE(pos, 2i+1) = cos(the same); Vaswani et al. 2017, section 3.5.
    """
    angle = angles(position, width)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def angles(position: Tensor, width: int) -> Tensor:
    """The angles pos / 10000^(2i/width): (T, width / 2)."""
    even = torch.arange(0, width, 2, device=position.device, dtype=torch.float32)
    return position.float().unsqueeze(1) * torch.exp(even * (-math.log(10000.0) / width))


class Unchanged(nn.Module):
    """Adds nothing: positions are in self-attention, or not used."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x: (B, T, d_model) -> x."""
        return x


class AddedSinusoids(nn.Module):
    """Vaswani et al. 2017, section 3.5."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.width = shape.d_model

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x: (B, T, d_model), at positions start .. start+T-1 -> like x."""
        return x + sinusoids(_positions(x, start), self.width)


class LearnedTable(nn.Module):
    """A learned vector for each position, up to `max_length` (Gehring et al. 2017)."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.table = nn.Embedding(shape.max_length, shape.d_model)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """x: (B, T, d_model), at positions start .. start+T-1 -> like x. Raises ValueError beyond the table."""
        if start + x.shape[1] > self.table.num_embeddings:
            raise ValueError(
                f"model.positions: learned positions end at {self.table.num_embeddings} (model.max_length), but a "
                f"sequence has {start + x.shape[1]} tokens; raise model.max_length, or use another kind"
            )
        learned: Tensor = self.table(_positions(x, start))
        return x + learned


def _positions(x: Tensor, start: int) -> Tensor:
    return torch.arange(start, start + x.shape[1], device=x.device)
