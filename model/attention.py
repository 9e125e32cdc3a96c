"""Multi-head attention on PyTorch's fused kernel, with cached keys and values for decoding."""

import torch
from torch import Tensor, nn

from model.attend import attend, attention_weights
from model.config import ModelConfig
from model.positions.attending import AttentionPositions


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, T, d_model) -> (B, num_heads, T, head_size)."""
    return x.view(*x.shape[:-1], num_heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, num_heads, T, head_size) -> (B, T, d_model)."""
    return x.transpose(1, 2).flatten(2)


def share_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, kv_heads, T, head_size) -> (B, num_heads, T, head_size): a group of heads shares one of keys or values."""
    return x if x.shape[1] == num_heads else x.repeat_interleave(num_heads // x.shape[1], dim=1)


class KeyValueCache:
    """Keys and values of one attention block, (B, kv_heads, T, head_size) each; grows along T."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values, each (B, kv_heads, T, head_size); returns all so far."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat((self.keys, keys), dim=2), torch.cat((self.values, values), dim=2)
        self.keys, self.values = keys, values
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Keep the given batch rows, in that order."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys.index_select(0, rows), self.values.index_select(0, rows)


class SelfAttention(nn.Module):
    """Each position attends to the positions of its own sequence (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, config: ModelConfig, positions: AttentionPositions):
        """`positions` computes the attention, see `model.positions`; layers may share one module."""
        super().__init__()
        self.positions = positions
        self.num_heads, self.kv_heads, self.dropout = config.num_heads, config.kv_heads, config.attention_dropout
        self.widths = [config.d_model, config.kv_dim, config.kv_dim]
        self.query_key_value = nn.Linear(config.d_model, sum(self.widths))
        self.output = nn.Linear(config.d_model, config.d_model)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, causal: bool = False, cache: KeyValueCache | None = None
    ) -> Tensor:
        """x: (B, T, d_model); mask: (B, 1, 1, T), True where attention is allowed. -> (B, T, d_model).

        With a cache, x is the newest position and attends to all earlier ones.
        """
        query, key, value = self._project(x)
        if cache is not None:
            key, value = cache.append(key, value)
            causal = False
        key, value = share_heads(key, self.num_heads), share_heads(value, self.num_heads)
        dropout = self.dropout if self.training else 0.0
        return self.output(merge_heads(self.positions(query, key, value, mask, causal, dropout)))

    def weights(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """The attention weights of `forward`, before dropout: (B, num_heads, T, T), a row for each query."""
        query, key, _ = self._project(x)
        return self.positions.weights(query, share_heads(key, self.num_heads), mask, causal)

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, d_model) -> query (B, num_heads, T, head_size), key and value (B, kv_heads, T, head_size)."""
        query, key, value = self.query_key_value(x).split(self.widths, dim=-1)
        return split_heads(query, self.num_heads), split_heads(key, self.kv_heads), split_heads(value, self.kv_heads)


class CrossAttention(nn.Module):
    """Each target position attends to the encoded source."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.num_heads, self.kv_heads, self.dropout = config.num_heads, config.kv_heads, config.attention_dropout
        self.query = nn.Linear(config.d_model, config.d_model)
        self.key_value = nn.Linear(config.d_model, 2 * config.kv_dim)
        self.output = nn.Linear(config.d_model, config.d_model)

    def project_memory(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """memory: (B, S, d_model) -> keys and values, (B, kv_heads, S, head_size) each."""
        key, value = (split_heads(part, self.kv_heads) for part in self.key_value(memory).chunk(2, dim=-1))
        return key, value

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """x: (B·K, T, d_model), K rows for each of the B sources; mask: (B, 1, 1, S). -> (B·K, T, d_model).

        The K hypotheses of a beam are further query positions of one source, so its keys are stored once.
        """
        query = self._queries(x, len(keys))
        keys, values = share_heads(keys, self.num_heads), share_heads(values, self.num_heads)
        dropout = self.dropout if self.training else 0.0
        attended = attend(query, keys, values, mask, dropout=dropout)
        return self.output(merge_heads(attended)).view(x.shape)

    def weights(self, x: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
        """The attention weights of `forward`, before dropout: (B, num_heads, K·T, S)."""
        return attention_weights(self._queries(x, len(keys)), share_heads(keys, self.num_heads), mask)

    def _queries(self, x: Tensor, sources: int) -> Tensor:
        """(B·K, T, d_model) -> (B, num_heads, K·T, head_size)."""
        return split_heads(self.query(x).view(sources, -1, x.shape[2]), self.num_heads)
