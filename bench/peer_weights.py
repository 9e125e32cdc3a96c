"""Weights of one of our models for other people's transformers."""

from typing import Any

import torch
from torch import Tensor, nn

from model.attention import CrossAttention, SelfAttention
from model.transformer import Transformer


def copy_of(weight: Tensor) -> nn.Parameter:
    """A separate parameter with the same values."""
    return nn.Parameter(weight.detach().clone())


def copy_layers(model: Transformer, encoder: Any, encoder_names: str, decoder: Any, decoder_names: str) -> None:
    """Give a peer's layers the weights of ours; the names are its modules in the order of `weights`."""
    ours = "self_attention self_attention_residual.norm feed_forward.expand feed_forward.contract "
    ours_encoder = ours + "feed_forward_residual.norm"
    ours_decoder = ours_encoder.replace(" feed", " cross_attention cross_attention_residual.norm feed", 1)
    for layers, own, theirs, names in (
        (model.encoder, ours_encoder, encoder, encoder_names),
        (model.decoder, ours_decoder, decoder, decoder_names),
    ):
        for layer, other in zip(layers, theirs, strict=True):
            source, target = weights(layer, own), weights(other, names)
            with torch.no_grad():
                for (weight, bias), (their_weight, their_bias) in zip(source, target, strict=True):
                    their_weight.copy_(weight)
                    their_bias.copy_(bias)


def weights(layer: nn.Module, names: str) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each named module; of attention: queries, keys, values, output."""
    found: list[tuple[Tensor, Tensor]] = []
    output: Any
    for module in map(layer.get_submodule, names.split()):
        match module:
            case SelfAttention():
                joint, output = module.query_key_value, module.output
                found += zip(joint.weight.chunk(3), joint.bias.chunk(3), strict=True)
            case CrossAttention():
                found.append((module.query.weight, module.query.bias))
                found += zip(module.key_value.weight.chunk(2), module.key_value.bias.chunk(2), strict=True)
                output = module.output
            case nn.MultiheadAttention():
                found += zip(module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
                output = module.out_proj
            case _:
                output = module
        found.append((output.weight, output.bias))
    return found
