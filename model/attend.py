"""Scaled dot-product attention and its weights (Vaswani et al. 2017, section 3.2.1)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from model.dropout import dropout as drop


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    causal: bool = False,
    dropout: float = 0.0,
    bias: Tensor | None = None,
) -> Tensor:
    """softmax(query keyᵀ / sqrt(head_size) + bias) value, on PyTorch's fused kernels.

    query: (B, H, T, head_size); key, value: (B, H, S, head_size); mask: (B, 1, 1, S), True where attention is
    allowed; causal: no query sees a later key (S = T);
    dropout: of the attention weights; bias: (1 or B, H, T, S). -> (B, H, T, head_size).
    """
    if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):  # its kernels are slow in bfloat16
        with torch.autocast("cpu", enabled=False):
            query, key, value = query.float(), key.float(), value.float()
            return attend(query, key, value, mask, causal, dropout, None if bias is None else bias.float())
    if dropout and query.device.type == "cpu":  # PyTorch's fused kernel does not support dropout there
        return drop(attention_weights(query, key, mask, causal, bias), dropout).to(value.dtype) @ value
    if bias is None:
        return F.scaled_dot_product_attention(query, key, value, mask, dropout, causal)
    return F.scaled_dot_product_attention(query, key, value, _forbid(bias, mask, causal).to(query.dtype), dropout)


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None, causal: bool = False, bias: Tensor | None = None
) -> Tensor:
    """The softmax of `attend`, which the fused kernels do not return: (B, H, T, S)."""
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    return _forbid(scores if bias is None else scores + bias, mask, causal).softmax(dim=-1)


def _forbid(scores: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """(B, H, T, S) scores with -inf where attention is not allowed."""
    if causal:
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return scores if mask is None else scores.masked_fill(~mask, float("-inf"))
