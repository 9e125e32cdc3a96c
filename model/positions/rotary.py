"""Rotated queries and keys."""

import torch
from torch import Tensor

from model.positions.absolute import angles
from model.positions.attending import AttentionPositions


class Rotation(AttentionPositions):
    """Su et al. 2021 (RoFormer): queries and keys are rotated by their position, dimensions 2i and 2i+1 by pos·θ_i.

    θ_i = 10000^(-2i/head_size); so the product of a query and a key depends only on their distance.
    """

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        position = torch.arange(key.shape[2], device=key.device)
        angle = angles(position, key.shape[3])
        cos, sin = angle.cos().to(key.dtype), angle.sin().to(key.dtype)
        first = key.shape[2] - query.shape[2]
        return self._rotate(query, cos[first:], sin[first:]), self._rotate(key, cos, sin), None

    @staticmethod
    def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(3)
