"""The attention weights of a whole model, for plots. Training and decoding do not depend on this."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.attention import CrossAttention, SelfAttention
from model.transformer import Transformer


@dataclass(frozen=True)
class AttentionMaps:
    """Weights of each layer: row i has the weights of all positions for query i; they sum to 1."""

    encoder: list[Tensor]  # self-attention, (B, H, S, S)
    decoder: list[Tensor]  # self-attention, (B, H, T, T)
    cross: list[Tensor]  # from the target to the source, (B, H, T, S)


@torch.inference_mode()
def attention_maps(model: Transformer, source: Tensor, target: Tensor) -> AttentionMaps:
    """The weights of a forward pass. source: (B, S), target: (B, T), both ids; the model is in eval mode.

    The fused kernels return no weights, so each attention block computes them again from its inputs.
    """
    given: dict[nn.Module, tuple[Any, ...]] = {}
    blocks = [module for module in model.modules() if isinstance(module, SelfAttention | CrossAttention)]
    hooks = [block.register_forward_pre_hook(given.__setitem__) for block in blocks]
    try:
        model(source, target)
    finally:
        for hook in hooks:
            hook.remove()
    maps = AttentionMaps([], [], [])
    for encoder_layer in model.encoder_layers:
        x, mask = given[encoder_layer.self_attention]
        maps.encoder.append(encoder_layer.self_attention.weights(x, mask))
    for decoder_layer in model.decoder_layers:
        (x,) = given[decoder_layer.self_attention]
        maps.decoder.append(decoder_layer.self_attention.weights(x, causal=True))
        x, keys, _, mask = given[decoder_layer.cross_attention]
        maps.cross.append(decoder_layer.cross_attention.weights(x, keys, mask))
    return maps
