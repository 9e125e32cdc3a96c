"""The blocks that the encoder and the decoder are stacked of."""

import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import CrossAttention, KeyValueCache, SelfAttention
from model.config import ModelConfig


class FeedForward(nn.Module):
    """Position-wise feed-forward block; swiglu after Shazeer 2020, with 2/3 of ffn_dim for equal parameters."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.activation = config.activation
        self.gated = config.activation == "swiglu"
        hidden = config.ffn_dim * 2 // 3 if self.gated else config.ffn_dim
        self.expand = nn.Linear(config.d_model, 2 * hidden if self.gated else hidden)
        self.contract = nn.Linear(hidden, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        hidden = self.expand(x)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * hidden
        else:
            hidden = F.relu(hidden) if self.activation == "relu" else F.gelu(hidden)
        return self.contract(hidden)


class EncoderLayer(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.self_attention = SelfAttention(config)
        self.self_attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: (B, S, d_model); mask: (B, 1, 1, S), True where attention is allowed. -> (B, S, d_model)."""
        if self.pre_norm:
            x = x + self.dropout(self.self_attention(self.self_attention_norm(x), mask))
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.self_attention_norm(x + self.dropout(self.self_attention(x, mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.pre_norm = config.norm == "pre"
        self.self_attention = SelfAttention(config)
        self.self_attention_norm = nn.LayerNorm(config.d_model)
        self.cross_attention = CrossAttention(config)
        self.cross_attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        memory_mask: Tensor | None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """x: (B·K, T, d_model); memory: this layer's projected source, see `CrossAttention`. -> like x."""
        keys, values = memory
        if self.pre_norm:
            x = x + self.dropout(self.self_attention(self.self_attention_norm(x), causal=True, cache=cache))
            x = x + self.dropout(self.cross_attention(self.cross_attention_norm(x), keys, values, memory_mask))
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.self_attention_norm(x + self.dropout(self.self_attention(x, causal=True, cache=cache)))
        x = self.cross_attention_norm(x + self.dropout(self.cross_attention(x, keys, values, memory_mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
