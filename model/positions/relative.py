"""Learned vectors of the clipped distance."""

import math

from torch import Tensor, nn

from model.dropout import dropout as drop
from model.positions.attending import AttentionPositions, pick, relative_positions
from model.positions.shape import Shape


class RelativeVectors(AttentionPositions):
    """Shaw et al. 2018: vectors a^K and a^V of the clipped distance are added to keys and values; one table per layer.

    score_ij = q_i·(k_j + a^K_{j-i}) / sqrt(head_size); output_i = Σ_j softmax(score)_ij (v_j + a^V_{j-i}). Larger
    distances count as `max_distance`. The weights themselves are needed, so fused kernels can't be used.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.max_distance = shape.max_distance
        self.keys = nn.Embedding(2 * shape.max_distance + 1, shape.head_size)
        self.values = nn.Embedding(2 * shape.max_distance + 1, shape.head_size)

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        by_distance = query @ self.keys.weight.T  # (B, H, T, distances)
        return query, key, pick(by_distance, self._clipped(query, key)) / math.sqrt(query.shape[3])

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, dropout: float
    ) -> Tensor:
        weights = drop(self.weights(query, key, mask, causal), dropout)  # autocast: in single precision
        by_distance = weights.new_zeros(*weights.shape[:3], self.values.num_embeddings).scatter_add(
            3, self._clipped(query, key).expand_as(weights), weights
        )
        return weights.to(value.dtype) @ value + by_distance.to(value.dtype) @ self.values.weight

    def _clipped(self, query: Tensor, key: Tensor) -> Tensor:
        """Indices of the distances in the tables: (T, S)."""
        return relative_positions(query, key).clamp(-self.max_distance, self.max_distance) + self.max_distance
