"""Positions in self-attention: a module defines the scores of queries and keys, and computes the attention.

Query i is at position i of its sequence; with cached keys, the queries are the last of the key positions.
"""

import torch
from torch import Tensor, nn

from model.attend import attend, attention_weights


def relative_positions(query: Tensor, key: Tensor) -> Tensor:
    """Key position minus query position: (T, S)."""
    queries, keys = query.shape[2], key.shape[2]
    position = torch.arange(keys, device=query.device)
    return position - position[keys - queries :].unsqueeze(1)


class AttentionPositions(nn.Module):
    """A kind of positions in self-attention. A kind defines only its scores; weights and outputs follow from them."""

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Query, key and bias, for scores query keyᵀ / sqrt(head_size) + bias; shapes as in `attend`."""
        raise NotImplementedError

    def weights(self, query: Tensor, key: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """The attention weights before dropout: (B, H, T, S), rows that sum to 1."""
        query, key, bias = self.score_terms(query, key)
        return attention_weights(query, key, mask, causal, bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, dropout: float
    ) -> Tensor:
        """The result of `attend` with these scores: (B, H, T, head_size)."""
        query, key, bias = self.score_terms(query, key)
        return attend(query, key, value, mask, causal, dropout, bias)


class NoPositions(AttentionPositions):
    """Attention that is blind to positions (Vaswani et al. 2017, section 3.2.1)."""

    def score_terms(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Query and key unchanged, without a bias."""
        return query, key, None


def pick(by_distance: Tensor, index: Tensor) -> Tensor:
    """For each query and key, the score of their distance: (B, H, T, distances) and (T, S) -> (B, H, T, S)."""
    # In single precision, as its gradient sums many terms of the same distance.
    return by_distance.float().gather(3, index.expand(*by_distance.shape[:2], -1, -1))
