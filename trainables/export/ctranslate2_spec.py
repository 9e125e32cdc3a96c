"""A model in the layout of CTranslate2's TransformerSpec, which computes the same function.

DeepNorm's residual α·x + f(x) is folded into weights: a stack's hidden states are stored α times as large, so norms and
inputs have the factor α, and the layers that read them 1/α.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.attention import SelfAttention
from model.config import ModelConfig
from model.layers import DecoderLayer, EncoderLayer, FeedForward, Residual
from model.positions.absolute import sinusoids
from model.positions.alibi import LinearBias
from model.positions.kinds import T5
from model.positions.relative import RelativeVectors
from model.positions.t5 import BucketBias
from model.special_tokens import BOS, PAD
from model.transformer import Transformer
from trainables.data.encoding.tokenizer import Tokenizer

LONGEST = 2048  # tokens for which sinusoids are stored, and ALiBi in the encoder
NEVER = -1e4  # added to the logit of a token that can't be chosen; float16 has it, too


def write(model: Transformer, tokenizer: Tokenizer, folder: Path, quantization: str) -> None:
    """Write a model into a folder, for `ctranslate2.Translator`.

    quantization: of the weights, a name that CTranslate2 knows, such as float32 or int8.
    """
    spec = _spec(model.with_folded_scale())
    for register, side in (
        (spec.register_source_vocabulary, tokenizer.source),
        (spec.register_target_vocabulary, tokenizer.target),
    ):
        register([str(side.id_to_piece(piece)) for piece in range(side.get_piece_size())])
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = 1e-5
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))


def _spec(model: Transformer) -> Any:
    """The model as a TransformerSpec with weights in single precision."""
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.common_spec import Activation
    from ctranslate2.specs.transformer_spec import TransformerDecoderSpec, TransformerEncoderSpec

    config = model.config
    activations = {
        "relu": Activation.RELU,
        "gelu": Activation.GELU,
        "geglu": Activation.GELU,
        "swiglu": Activation.SWISH,
    }
    common: dict[str, Any] = {
        "num_heads": config.num_heads,
        "pre_norm": config.norm == "pre",
        "rms_norm": config.norm_type == "rms",
        "activation": activations[config.activation],
        "ffn_glu": config.gated,
        "num_heads_kv": None if config.kv_heads == config.num_heads else config.kv_heads,
        "relative_position": config.positions == "relative",
        "rotary_dim": 0 if config.positions == "rotary" else None,  # 0: all dimensions of a head
    }
    encoder = TransformerEncoderSpec(
        config.encoder_layers, relative_attention_bias=config.positions in ("t5", "alibi"), **common
    )
    decoder = TransformerDecoderSpec(
        config.decoder_layers,
        relative_attention_bias=config.positions == "t5",
        alibi=config.positions == "alibi",
        **common,
    )
    deep, scales = config.norm == "deep", config.deepnorm
    encoder_alpha, decoder_alpha = (scales.encoder_alpha, scales.decoder_alpha) if deep else (1.0, 1.0)
    encoder.embeddings[0].weight = _float(model.source_embedding.weight)
    decoder.embeddings.weight = _float(model.target_embedding.weight)
    _set_input(encoder, config, model.source_positions, encoder_alpha)
    _set_input(decoder, config, model.target_positions, decoder_alpha)
    _set_layers(encoder.layer, model.encoder_layers, encoder_alpha)
    _set_layers(decoder.layer, model.decoder_layers, decoder_alpha)
    if config.norm == "pre":
        _set_norm(encoder.layer_norm, model.encoder_norm)
        _set_norm(decoder.layer_norm, model.decoder_norm)
    decoder.projection.weight = _float(model.output.weight)
    decoder.projection.bias = torch.zeros(model.output.out_features)
    decoder.projection.bias[[PAD, BOS]] = NEVER
    return TransformerSpec(encoder, decoder)


def _set_input(spec: Any, config: ModelConfig, positions: nn.Module, alpha: float) -> None:
    """The scale of the embeddings, and the positions that are added to them."""
    if alpha != 1:
        spec.scale_embeddings = config.d_model**0.5 * alpha
    if config.positions == "sinusoidal":
        table = sinusoids(torch.arange(LONGEST), config.d_model)
    elif config.positions == "learned":
        table = _float(positions.get_parameter("table.weight"))
    elif config.positions == "none":
        table = torch.zeros(LONGEST, config.d_model)
    else:
        return
    spec.position_encodings.encodings = alpha * table


def _set_layers(specs: list[Any], layers: Sequence[EncoderLayer | DecoderLayer], alpha: float) -> None:
    """The layers of a stack; the outputs of the last one are as large as they are."""
    for spec, layer in zip(specs, layers, strict=True):
        _set_self_attention(spec.self_attention, layer.self_attention, layer.self_attention_residual, alpha)
        if isinstance(layer, DecoderLayer):
            cross = layer.cross_attention
            _set_linear(spec.attention.linear[0], cross.query, alpha)
            _set_linear(spec.attention.linear[1], cross.key_value)
            _set_linear(spec.attention.linear[2], cross.output)
            _set_norm(spec.attention.layer_norm, layer.cross_attention_residual.norm, alpha)
        last = layer is layers[-1]
        _set_feed_forward(spec.ffn, layer.feed_forward, layer.feed_forward_residual, alpha, 1.0 if last else alpha)


def _set_self_attention(spec: Any, attention: SelfAttention, residual: Residual, alpha: float) -> None:
    _set_linear(spec.linear[0], attention.query_key_value, alpha)
    _set_linear(spec.linear[1], attention.output)
    _set_norm(spec.layer_norm, residual.norm, alpha)
    positions = attention.positions
    if isinstance(positions, RelativeVectors):
        spec.relative_position_keys = _float(positions.keys.weight)
        spec.relative_position_values = _float(positions.values.weight)
    elif isinstance(positions, BucketBias):
        _set_bias(spec, positions, T5.FARTHEST)
    elif isinstance(positions, LinearBias) and hasattr(spec, "relative_attention_bias"):
        _set_bias(spec, positions, LONGEST)


def _set_feed_forward(spec: Any, block: FeedForward, residual: Residual, alpha: float, out_alpha: float) -> None:
    if hasattr(spec, "linear_0_noact"):
        for part, rows in zip((spec.linear_0, spec.linear_0_noact), (0, 1), strict=True):
            part.weight = _float(block.expand.weight).chunk(2)[rows] / alpha
            part.bias = _float(block.expand.bias).chunk(2)[rows]
    else:
        _set_linear(spec.linear_0, block.expand, alpha)
    _set_linear(spec.linear_1, block.contract)
    _set_norm(spec.layer_norm, residual.norm, out_alpha)


def _set_linear(spec: Any, linear: nn.Linear, alpha: float = 1.0) -> None:
    """A layer whose inputs are alpha times too large."""
    spec.weight, spec.bias = _float(linear.weight) / alpha, _float(linear.bias)


def _set_norm(spec: Any, norm: nn.Module, alpha: float = 1.0) -> None:
    """A norm whose outputs are to be alpha times as large."""
    spec.gamma = _float(norm.get_parameter("weight")) * alpha
    if hasattr(spec, "beta"):
        spec.beta = _float(norm.get_parameter("bias")) * alpha


def _set_bias(spec: Any, positions: BucketBias | LinearBias, exact: int) -> None:
    """The bias of each distance, as a table of buckets.

    CTranslate2 gives each distance below half of the buckets its own one, and logarithmically growing distances share
    those of the other half. Here the other half is for distances from `exact` on, and has their one bias. The encoder
    has as many buckets again for keys after the query.
    """
    distance = torch.arange(2 * exact).clamp(max=exact).unsqueeze(0)
    ways = [-distance] if isinstance(positions, BucketBias) and positions.causal else [-distance, distance]
    table = torch.cat([positions.bias(way) for way in ways], dim=2)  # (H, 1, buckets)
    spec.relative_attention_bias = _float(table.squeeze(1).T)
    spec.relative_attention_max_distance = np.int32(2 * exact)


def _float(tensor: Tensor) -> Tensor:
    """A copy in single precision, as CTranslate2 quantizes in place."""
    return tensor.detach().to("cpu", torch.float32, copy=True)
