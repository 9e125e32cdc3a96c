"""A bias that grows with the distance."""

import math

import torch
from torch import Tensor

from model.positions.attending import AttentionPositions, relative_positions
from model.positions.shape import Shape


class LinearBias(AttentionPositions):
    """Press et al. 2022: the bias -m_h · |i - j|, with fixed slopes m_h, 2^(-8h/H) for h = 1 .. H.

    In the decoder j ≤ i; in the encoder the symmetric form. If the number of heads is not a power of two, the slopes of
    the next smaller power come first, then every other slope of twice that power, as in the paper's code.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.register_buffer("slopes", torch.tensor(_slopes(shape.num_heads)), persistent=False)

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return query, key, self.bias(relative_positions(query, key)).unsqueeze(0)

    def bias(self, relative: Tensor) -> Tensor:
        """The bias for key positions minus query positions (T, S): (H, T, S)."""
        return -self.get_buffer("slopes").view(-1, 1, 1) * relative.abs()


def _slopes(heads: int) -> list[float]:
    power = 2 ** int(math.log2(heads))
    slopes = [2.0 ** (-8 * h / power) for h in range(1, power + 1)]
    return slopes + [2.0 ** (-8 * h / (2 * power)) for h in range(1, 2 * (heads - power), 2)]
