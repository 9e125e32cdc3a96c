"""Scores by content and by the sinusoid of the distance."""

import math

import torch
from torch import Tensor, nn

from model.positions.absolute import sinusoids
from model.positions.attending import AttentionPositions, pick, relative_positions
from model.positions.shape import Shape


class RelativeSinusoids(AttentionPositions):
    """Dai et al. 2019, section 3.3: scores (q_i + u)·k_j + (q_i + v)·(W R_{i-j}), over sqrt(head_size).

    R is the sinusoid of the distance i - j, W a matrix of this layer, u and v one vector per head.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.num_heads, self.width = shape.num_heads, shape.d_model
        self.distance = nn.Linear(shape.d_model, shape.d_model, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(shape.d_model))  # u, for all heads
        self.position_bias = nn.Parameter(torch.zeros(shape.d_model))  # v

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        u, v = (bias.view(self.num_heads, 1, -1) for bias in (self.content_bias, self.position_bias))
        first = 1 - key.shape[2]  # j - i of the last query and the first key; up to that of the first query
        distances = -torch.arange(first, query.shape[2], device=query.device)
        encoded = self.distance(sinusoids(distances, self.width).to(query.dtype))
        encoded = encoded.view(len(distances), self.num_heads, -1).transpose(0, 1)  # (H, distances, head_size)
        by_distance = (query + v) @ encoded.transpose(1, 2)  # (B, H, T, distances)
        bias = pick(by_distance, relative_positions(query, key) - first) / math.sqrt(query.shape[3])
        return query + u, key, bias
