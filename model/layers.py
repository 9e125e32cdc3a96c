"""The layers of the encoder and the decoder."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from model.attention import CrossAttention, KeyValueCache, SelfAttention
from model.config import ModelConfig
from model.dropout import Dropout
from model.positions.attending import AttentionPositions


def make_norm(config: ModelConfig) -> nn.Module:
    """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang and Sennrich 2019)."""
    return nn.LayerNorm(config.d_model) if config.norm_type == "layer" else nn.RMSNorm(config.d_model, eps=1e-5)


class Embedding(nn.Embedding):
    """An embedding whose matrix the output layer may share."""

    def __init__(self, vocabulary: int, d_model: int, is_output: bool = False):
        """is_output: whether the output layer shares the matrix."""
        super().__init__(vocabulary, d_model)
        self.is_output = is_output

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) ids -> (B, T, d_model)."""
        # The output layer's gradient of a shared matrix is dense: on a CPU, the gradient of the few rows that were
        # looked up is added to it. A dense gradient of the embedding would be another matrix full of zeros.
        sparse = self.is_output and self.weight.device.type == "cpu"
        return F.embedding(ids, self.weight, sparse=sparse)


class FeedForward(nn.Module):
    """Position-wise feed-forward block.

    The gated kinds (swiglu, geglu; Shazeer 2020) have two matrices where the others have one, so their width is two
    thirds of ffn_dim for equal parameters.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.activation = config.activation
        hidden = config.hidden_dim
        self.expand = nn.Linear(config.d_model, 2 * hidden if config.gated else hidden)
        self.dropout = Dropout(config.activation_dropout)
        self.contract = nn.Linear(hidden, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        hidden = self.expand(x)
        match self.activation:
            case "relu":
                hidden = F.relu(hidden, inplace=True)
            case "gelu":
                hidden = F.gelu(hidden)
            case gated:
                gate, hidden = hidden.chunk(2, dim=-1)
                hidden = (F.silu(gate) if gated == "swiglu" else F.gelu(gate)) * hidden
        return self.contract(self.dropout(hidden))


class Residual(nn.Module):
    """A sublayer f with its residual: x + f(norm(x)) for pre, norm(x + f(x)) for post, norm(α·x + f(x)) for deep."""

    def __init__(self, config: ModelConfig, alpha: float):
        """alpha: of DeepNorm, see `ModelConfig.deepnorm`."""
        super().__init__()
        self.pre = config.norm == "pre"
        self.alpha = alpha if config.norm == "deep" else 1.0
        self.norm = make_norm(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        if self.pre:
            return x + self.dropout(sublayer(self.norm(x)))
        kept = x if self.alpha == 1 else self.alpha * x
        return self.norm(kept + self.dropout(sublayer(x)))


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward block, each with its residual connection."""

    def __init__(self, config: ModelConfig, positions: AttentionPositions):
        super().__init__()
        alpha = config.deepnorm.encoder_alpha
        self.self_attention = SelfAttention(config, positions)
        self.self_attention_residual = Residual(config, alpha)
        self.feed_forward = FeedForward(config)
        self.feed_forward_residual = Residual(config, alpha)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x: (B, S, d_model); mask: (B, 1, 1, S), True where attention is allowed. -> (B, S, d_model)."""
        x = self.self_attention_residual(x, lambda y: self.self_attention(y, mask))
        return self.feed_forward_residual(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention and a feed-forward block, each with its residual connection."""

    def __init__(self, config: ModelConfig, positions: AttentionPositions):
        super().__init__()
        alpha = config.deepnorm.decoder_alpha
        self.self_attention = SelfAttention(config, positions)
        self.self_attention_residual = Residual(config, alpha)
        self.cross_attention = CrossAttention(config)
        self.cross_attention_residual = Residual(config, alpha)
        self.feed_forward = FeedForward(config)
        self.feed_forward_residual = Residual(config, alpha)

    def forward(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        memory_mask: Tensor | None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """x: (B·K, T, d_model); memory: this layer's projected source, see `CrossAttention`. -> like x."""
        x = self.self_attention_residual(x, lambda y: self.self_attention(y, causal=True, cache=cache))
        x = self.cross_attention_residual(x, lambda y: self.cross_attention(y, *memory, memory_mask))
        return self.feed_forward_residual(x, self.feed_forward)
