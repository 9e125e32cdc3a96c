"""The network: PyTorch's own layers with the same weights, plain formulas, and what a transformer promises."""

import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.testing import assert_close

from model.attention import CrossAttention, SelfAttention
from model.config import ModelConfig
from model.dropout import Dropout
from model.layers import FeedForward
from model.positions.absolute import sinusoids
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer

TINY = ModelConfig(encoder_layers=2, decoder_layers=3, d_model=16, num_heads=4, ffn_dim=32)
VOCAB = 11
SOURCES = [[5, 9, 4, 7, 5, 6, EOS], [8, 4, 10, EOS], [EOS]]
TARGETS = [[BOS, 6, 4], [BOS, 10, 7, 7, 5, 4], [BOS, 8, 9, 5]]

NAMES = {  # PyTorch's parameters -> ours, joined where there are two
    "self_attn.in_proj_": ["self_attention.query_key_value"],
    "self_attn.out_proj.": ["self_attention.output"],
    "linear1.": ["feed_forward.expand"],
    "linear2.": ["feed_forward.contract"],
    "norm1.": ["self_attention_residual.norm"],
}
ENCODER_NAMES = NAMES | {"norm2.": ["feed_forward_residual.norm"]}
DECODER_NAMES = NAMES | {
    "multihead_attn.in_proj_": ["cross_attention.query", "cross_attention.key_value"],
    "multihead_attn.out_proj.": ["cross_attention.output"],
    "norm2.": ["cross_attention_residual.norm"],
    "norm3.": ["feed_forward_residual.norm"],
}
# Another value for each field that doesn't list its own.
NUMBERS: dict[str, float] = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "d_model": 32,
    "num_heads": 2,
    "ffn_dim": 50,
    "dropout": 0.5,
    "max_length": 40,
    "max_distance": 2,
    "num_kv_heads": 2,
    "attention_dropout": 0.5,
    "activation_dropout": 0.5,
    "layer_drop": 0.5,
    "base_width": 8,
}
VALUES = {
    name: (getattr(TINY, name), NUMBERS[name]) if name in NUMBERS else get_args(field.annotation)
    for name, field in ModelConfig.model_fields.items()
    if name != "init_from"  # it says where weights come from: tests/test_initial.py
}
# Where a field acts only beside other values than TINY's.
CONTEXT = {"max_length": {"positions": "learned"}, "max_distance": {"positions": "relative"}}


def tiny(**changes: Any) -> Transformer:
    """Random everywhere: biases and norms too, which start at 0 and 1."""
    torch.manual_seed(0)
    model = Transformer(changed(**changes), VOCAB, VOCAB)
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=1.0 if parameter.dim() == 1 else 0.0, std=0.3)
    return model.eval()


def changed(**changes: Any) -> ModelConfig:
    return ModelConfig.model_validate(TINY.model_dump() | changes)


def padded(rows: list[list[int]], more: int = 0) -> Tensor:
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)
    return nn.functional.pad(ids, (0, more), value=PAD)


def positions(length: int, d_model: int, start: int = 0) -> Tensor:
    """Vaswani et al. 2017, section 3.5."""
    rows = [[pos / 10000 ** (2 * i / d_model) for i in range(d_model // 2)] for pos in range(start, start + length)]
    return torch.tensor([[f(angle) for angle in row for f in (math.sin, math.cos)] for row in rows])


def in_torch_names(layer: nn.Module, of: str = "data") -> dict[str, Tensor]:
    """Our layer's parameters, their data or their grad, under the names of PyTorch's layer."""
    return {
        prefix + kind: torch.cat([getattr(layer.get_parameter(f"{name}.{kind}"), of) for name in ours])
        for prefix, ours in (DECODER_NAMES if hasattr(layer, "cross_attention") else ENCODER_NAMES).items()
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_it_is_the_transformer_of_torch_nn(norm: str, activation: str) -> None:
    ours = tiny(norm=norm, activation=activation, tied_embeddings="none")
    pre, final_norms = norm == "pre", [ours.encoder_norm, ours.decoder_norm]
    assert all(isinstance(final, nn.LayerNorm if pre else nn.Identity) for final in final_norms)
    encoder_layer = nn.TransformerEncoderLayer(16, 4, 32, 0.0, activation, batch_first=True, norm_first=pre)
    decoder_layer = nn.TransformerDecoderLayer(16, 4, 32, 0.0, activation, batch_first=True, norm_first=pre)
    encoder = nn.TransformerEncoder(encoder_layer, 2, final_norms[0], enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(decoder_layer, 3, final_norms[1])
    pairs = list(zip([*ours.encoder, *ours.decoder], [*encoder.layers, *decoder.layers], strict=True))
    for layer, twin in pairs:
        twin.load_state_dict(in_torch_names(layer))

    source, target = padded(SOURCES), padded(TARGETS)
    no_source, no_target = source == PAD, target == PAD
    x = ours.source_embedding(source) * math.sqrt(16) + positions(source.shape[1], 16)
    y = ours.target_embedding(target) * math.sqrt(16) + positions(target.shape[1], 16)
    future = torch.ones(y.shape[1], y.shape[1], dtype=torch.bool).triu(1)
    memory = encoder(x, src_key_padding_mask=no_source)
    assert_close(ours.encode(source)[0][~no_source], memory[~no_source], atol=1e-5, rtol=1e-5)
    twin_hidden = decoder(y, memory, future, None, no_target, no_source)[~no_target]
    hidden = ours(source, target)[~no_target]
    assert_close(hidden, twin_hidden, atol=1e-5, rtol=1e-5)

    # The gradient of the difference: opposite in the twins' parameters, none in what they share.
    ((hidden - twin_hidden) * torch.randn_like(hidden)).sum().backward()
    for layer, twin in pairs:
        gradients = in_torch_names(layer, of="grad")
        for name, parameter in twin.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 1e-3
            assert_close(gradients[name], -parameter.grad, atol=1e-4, rtol=1e-4)
    for shared in (ours.source_embedding, ours.target_embedding, *final_norms):
        for parameter in shared.parameters():
            assert_close(parameter.grad, torch.zeros_like(parameter), atol=1e-4, rtol=0.0)


def test_positions_are_those_of_the_paper() -> None:
    assert_close(sinusoids(torch.arange(40), 16), positions(40, 16), atol=1e-5, rtol=0.0)
    assert_close(sinusoids(torch.arange(30, 32), 6), positions(2, 6, start=30), atol=1e-5, rtol=0.0)


SENTENCES = st.lists(st.integers(4, VOCAB - 1), max_size=6)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4),
    st.integers(0, 3),
    st.sampled_from(VALUES["norm"]),
    st.sampled_from(VALUES["positions"]),
)
def test_each_pair_of_a_padded_batch_comes_out_as_if_alone(
    pairs: list[tuple[list[int], list[int]]], more: int, norm: str, kind: str
) -> None:
    model = tiny(norm=norm, positions=kind, activation="swiglu", max_distance=2)
    sources, targets = [[*source, EOS] for source, _ in pairs], [[BOS, *target] for _, target in pairs]
    hidden = model(padded(sources, more), padded(targets, more))
    for source, target, row in zip(sources, targets, hidden, strict=True):
        alone = model(torch.tensor([source]), torch.tensor([target]))[0]
        assert_close(row[: len(target)], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", VALUES["positions"])
def test_a_position_sees_the_whole_source_and_its_past_but_no_future(kind: str) -> None:
    model = tiny(positions=kind)
    source, target = torch.tensor(SOURCES[:1]), torch.tensor(TARGETS[1:2])
    before = model(source, target)[0]

    def differs(source: Tensor, target: Tensor) -> list[bool]:
        change = (model(source, target)[0] - before).abs().amax(dim=-1)
        assert ((change < 1e-5) | (change > 1e-3)).all()
        return (change > 1e-3).tolist()

    for t in range(target.shape[1]):
        other = target.clone()
        other[0, t] = 9
        assert differs(source, other) == [False] * t + [True] * (target.shape[1] - t)
    for s in range(source.shape[1]):
        other = source.clone()
        other[0, s] = 8
        assert all(differs(other, target))


@pytest.mark.parametrize(("tied", "matrices"), [("all", 1), ("decoder", 2), ("none", 3)])
def test_tied_embeddings_are_one_matrix(tied: str, matrices: int) -> None:
    model = Transformer(changed(tied_embeddings=tied), VOCAB, VOCAB)
    source, target, output = model.source_embedding.weight, model.target_embedding.weight, model.output.weight
    assert len({id(source), id(target), id(output)}) == matrices
    assert (source is target, target is output) == (tied == "all", tied != "none")


@pytest.mark.parametrize("tied", ["all", "decoder"])
def test_the_gradient_of_a_tied_matrix_is_the_sum_of_what_its_parts_get(tied: str) -> None:
    tied_model, untied = tiny(tied_embeddings=tied), tiny(tied_embeddings="none")
    untied.load_state_dict(tied_model.state_dict())
    for model in (tied_model, untied):
        hidden = model(padded(SOURCES), padded(TARGETS))
        model.output(hidden).log_softmax(dim=-1)[..., EOS].sum().backward()
    parts = [untied.output.weight.grad, untied.target_embedding.weight.grad, untied.source_embedding.weight.grad]
    gradients = [part for part in parts if part is not None]
    together = sum(gradients[: {"all": 3, "decoder": 2}[tied]], torch.zeros(VOCAB, TINY.d_model))
    assert tied_model.output.weight.grad is not None
    assert_close(tied_model.output.weight.grad, together)
    assert_close(tied_model.source_embedding.weight.grad, together if tied == "all" else gradients[2])


@pytest.mark.parametrize("norm", VALUES["norm"])
def test_dropout_falls_on_both_embeddings_and_on_every_sublayer(norm: str) -> None:
    model = tiny(dropout=0.25, norm=norm).train()
    shares: list[float] = []
    for stack in (model.encoder, model.decoder):  # what the first layer gets: positions are in it by then
        stack[0].register_forward_pre_hook(lambda _m, given: shares.append((given[0] == 0).float().mean().item()))
    for module in model.modules():
        if isinstance(module, nn.Dropout) and module.p:
            module.register_forward_hook(lambda _m, _x, out: shares.append((out == 0).float().mean().item()))
    model(torch.randint(4, VOCAB, (20, 20)), torch.randint(4, VOCAB, (20, 20)))
    assert len(shares) == 2 * 2 + 2 * TINY.encoder_layers + 3 * TINY.decoder_layers
    assert shares == pytest.approx([0.25] * len(shares), abs=0.03)


@pytest.mark.parametrize(
    ("field", "random"),
    [
        ("dropout", {Dropout}),
        ("attention_dropout", {SelfAttention, CrossAttention}),
        ("activation_dropout", {Dropout, FeedForward}),
    ],
)
@torch.no_grad()
def test_each_block_is_random_in_training_where_its_dropout_is_on_and_never_in_evaluation(
    field: str, random: set[type[nn.Module]]
) -> None:
    off = dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0)
    model, without = tiny(**off | {field: 0.5}), tiny(**off)
    assert torch.equal(model(padded(SOURCES), padded(TARGETS)), without(padded(SOURCES), padded(TARGETS)))

    given: dict[nn.Module, tuple[Any, ...]] = {}
    for module in model.modules():
        if isinstance(module, Dropout | SelfAttention | CrossAttention | FeedForward):
            module.register_forward_pre_hook(given.__setitem__)
    model.train()(padded(SOURCES), padded(TARGETS))
    seen = set()
    for module, inputs in given.copy().items():
        drawn = not isinstance(module, Dropout) or module.p > 0  # of Dropout, those of the field alone
        differs = not torch.equal(module(*inputs), module(*inputs))
        assert differs == (type(module) in random and drawn), module
        seen |= {type(module)} if differs else set()
        assert torch.equal(module.eval()(*inputs), module(*inputs)), module
        module.train()
    assert seen == random


@pytest.mark.parametrize("field", VALUES)
def test_every_field_changes_the_model(field: str) -> None:
    def behaviour(config: ModelConfig) -> tuple[dict[str, torch.Size], list[float]]:
        torch.manual_seed(0)
        model = Transformer(config, VOCAB, VOCAB)
        logits = model.output(model(padded(SOURCES), padded(TARGETS)))  # with dropout
        return {name: p.shape for name, p in model.named_parameters()}, logits.flatten().tolist()

    if len(VALUES[field]) == 1:
        pytest.skip(f"{field} has one value so far")
    seen = [behaviour(changed(**CONTEXT.get(field, {}), **{field: value})) for value in VALUES[field]]
    assert all(one != other for index, one in enumerate(seen) for other in seen[:index])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 20, "num_heads": 6}, "num_heads: 6 does not divide d_model 20; use one of 1, 2, 4, 5, 10, 20"),
        ({"d_model": 15, "num_heads": 5}, "d_model: 15 is odd, but sinusoidal positions pair its dimensions; use 20"),
        (
            {"d_model": 15, "num_heads": 5, "positions": "transformer_xl"},
            "d_model: 15 is odd, but transformer_xl positions pair its dimensions; use 20",
        ),
        (
            {"d_model": 20, "num_heads": 4, "positions": "rotary"},
            "num_heads: 4 heads of d_model 20 have 5 dimensions each, but rotary positions pair them; "
            "use heads of an even size",
        ),
    ],
)
def test_an_impossible_shape_is_refused_with_a_way_out(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        changed(**changes)
    assert refused.value.errors()[0]["msg"] == f"Value error, {message}"


def test_one_matrix_for_two_vocabularies_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tied_embeddings: 'all' needs one vocabulary.*10 source and 12 target"):
        Transformer(TINY, 10, 12)
