"""The weights that are drawn are the ones the model attends with: they give its outputs back."""

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from model.attention import CrossAttention, SelfAttention, merge_heads, share_heads, split_heads
from model.attention_maps import attention_maps
from model.config import ModelConfig
from model.positions.relative import RelativeVectors
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer

KINDS = get_args(ModelConfig.model_fields["positions"].annotation)
VOCAB = 11
SOURCE = torch.tensor([[5, 9, 4, 7, 6, EOS], [8, 4, EOS, PAD, PAD, PAD]])
TARGET = torch.tensor([[BOS, 6, 4, 9, 10], [BOS, 10, 7, PAD, PAD]])


def random_model(kind: str, **changes: Any) -> Transformer:
    torch.manual_seed(0)
    shape = {"encoder_layers": 2, "decoder_layers": 3, "d_model": 24, "num_heads": 4, "ffn_dim": 32, "max_distance": 2}
    model = Transformer(ModelConfig.model_validate(shape | {"positions": kind} | changes), VOCAB, VOCAB).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=float(parameter.dim() == 1), std=0.3)
    return model


def seen_by(block: nn.Module, model: Transformer) -> tuple[Tensor, Tensor]:
    """What went into the block, and what came out, in a plain pass of the model."""
    passed: list[tuple[Tensor, Tensor]] = []
    hook = block.register_forward_hook(lambda _, given, output: passed.append((given[0], output)))
    model(SOURCE, TARGET)
    hook.remove()
    return passed[0]


def from_weights(block: SelfAttention | CrossAttention, weights: Tensor, read: Tensor) -> Tensor:
    """The block's output by the textbook: projected values of what is read, weighed and summed."""
    linear = block.query_key_value if isinstance(block, SelfAttention) else block.key_value
    width = block.kv_heads * (block.output.in_features // block.num_heads)
    values = nn.functional.linear(read, linear.weight[-width:], linear.bias[-width:])
    attended = weights @ share_heads(split_heads(values, block.kv_heads), block.num_heads)
    if isinstance(block, SelfAttention) and isinstance(block.positions, RelativeVectors):  # values have a distance, too
        for i in range(weights.shape[2]):
            distances = [max(-2, min(2, j - i)) + 2 for j in range(weights.shape[3])]
            attended[:, :, i] += weights[:, :, i] @ block.positions.values.weight[distances]
    return block.output(merge_heads(attended))


def blocks_of(model: Transformer) -> list[tuple[SelfAttention | CrossAttention, Tensor, Tensor, int]]:
    """Each attention block, its weights, True where they must be 0, and the number of its queries."""
    maps = attention_maps(model, SOURCE, TARGET)
    padding = (SOURCE == PAD)[:, None, None, :]
    later = torch.ones(TARGET.shape[1], TARGET.shape[1], dtype=torch.bool).triu(1)
    return [
        *((layer.self_attention, w, padding, 6) for layer, w in zip(model.encoder_layers, maps.encoder, strict=True)),
        *((layer.self_attention, w, later, 5) for layer, w in zip(model.decoder_layers, maps.decoder, strict=True)),
        *((layer.cross_attention, w, padding, 5) for layer, w in zip(model.decoder_layers, maps.cross, strict=True)),
    ]


@pytest.mark.parametrize("kv_heads", [None, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_weights_are_those_of_the_model_and_forbid_padding_and_future(kind: str, kv_heads: int | None) -> None:
    model = random_model(kind, num_kv_heads=kv_heads)
    blocks, (memory, _) = blocks_of(model), model.encode(SOURCE)
    assert len(blocks) == 2 + 3 + 3
    for block, weights, forbidden, queries in blocks:
        given, output = seen_by(block, model)
        read = memory if isinstance(block, CrossAttention) else given
        assert weights.shape == (2, 4, queries, read.shape[1])
        assert (weights >= 0).all()
        assert not weights[forbidden.expand_as(weights)].any()
        assert_close(weights.sum(dim=3), torch.ones(2, 4, queries))
        assert weights.std() > 0.05, "far from uniform, or the next line proves little"
        assert_close(from_weights(block, weights, read), output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kv_heads", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_dropout_thins_these_weights_in_training_and_changes_nothing_else(
    kind: str, kv_heads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fused kernels have no dropout on a CPU, so training takes another way than evaluation."""
    probabilities: list[float] = []

    def thin(weights: Tensor, probability: float) -> Tensor:
        probabilities.append(probability)
        kept = torch.arange(weights.numel()).view(weights.shape) % 3 > 0
        return weights * kept * 1.5 if probability else weights

    for place in ("model.attend.drop", "model.positions.relative.drop"):
        monkeypatch.setattr(place, thin)
    model = random_model(kind, num_kv_heads=kv_heads, attention_dropout=0.3, dropout=0.0)
    assert torch.equal(model(SOURCE, TARGET), random_model(kind, num_kv_heads=kv_heads)(SOURCE, TARGET))
    assert not any(probabilities), "none in evaluation"
    probabilities.clear()
    model.train()(SOURCE, TARGET)
    assert probabilities == [0.3] * (2 + 3 + 3)
    blocks, (memory, _) = blocks_of(model), model.encode(SOURCE)
    for block, weights, forbidden, _ in blocks:
        given, output = seen_by(block, model)
        read = memory if isinstance(block, CrossAttention) else given
        assert not weights[forbidden.expand_as(weights)].any()
        assert_close(from_weights(block, thin(weights, 0.3), read), output, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_looking_leaves_no_trace(kind: str) -> None:
    model = random_model(kind)
    before = model(SOURCE, TARGET)
    maps = attention_maps(model, SOURCE, TARGET)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert torch.equal(model(SOURCE, TARGET), before)
    assert not any(weights.requires_grad for weights in (*maps.encoder, *maps.decoder, *maps.cross))
