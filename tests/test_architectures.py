"""What every architecture of the space promises, and what each block choice is."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from architectures import CONFIGS
from hypothesis import given, settings
from torch import Tensor, nn
from torch.testing import assert_close

from model.attention import SelfAttention
from model.config import ModelConfig
from model.decoding import beam_search, greedy_search
from model.dropout import dropout
from model.layers import FeedForward, Residual, make_norm
from model.positions.attending import NoPositions
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer

VOCAB = 11
SOURCE = torch.tensor([[5, 9, 4, 7, EOS], [8, 4, EOS, PAD, PAD]])
TARGET = torch.tensor([[BOS, 6, 4, 9], [BOS, 10, PAD, PAD]])


def shaped(**changes: Any) -> ModelConfig:
    return ModelConfig.model_validate({"d_model": 16, "num_heads": 4, "ffn_dim": 24, "dropout": 0.0} | changes)


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


@settings(max_examples=200, derandomize=True, deadline=None)
@given(CONFIGS)
def test_each_trains_and_decodes_and_sees_neither_padding_nor_the_future(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = Transformer(config, VOCAB, VOCAB)
    model.output(model(SOURCE, TARGET)).logsumexp(dim=-1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        hidden = model(SOURCE, TARGET)
        assert_close(model(SOURCE[1:, :3], TARGET[1:, :2])[0], hidden[1, :2], atol=1e-4, rtol=1e-4)  # padding
        assert_close(model(SOURCE.flip(0), TARGET.flip(0)).flip(0), hidden, atol=1e-4, rtol=1e-4)  # batch order
        later = TARGET.clone()
        later[0, 3] = 5
        assert_close(model(SOURCE, later)[0, :3], hidden[0, :3], atol=1e-4, rtol=1e-4)  # the future
        state = model.start_decoding(SOURCE)
        for step in range(2):
            logits = model.decode_step(TARGET[:, step], state)
        assert_close(logits, model.output(hidden[:, 1]), atol=1e-4, rtol=1e-4)  # cached = uncached
    assert beam_search(model, SOURCE, 1) == greedy_search(model, SOURCE)


@pytest.mark.parametrize(("activation", "gate"), [("swiglu", F.silu), ("geglu", F.gelu)])
def test_a_gated_block_is_its_formula_with_two_thirds_of_the_width(activation: str, gate: Any) -> None:
    block = randomised(FeedForward(shaped(activation=activation, ffn_dim=30)))
    assert isinstance(block, FeedForward) and block.expand.weight.shape == (40, 16)
    (first, second), (first_bias, second_bias) = block.expand.weight.chunk(2), block.expand.bias.chunk(2)
    x = torch.linspace(-3, 3, 160).view(2, 5, 16)
    hidden = gate(x @ first.T + first_bias) * (x @ second.T + second_bias)
    assert_close(block(x), hidden @ block.contract.weight.T + block.contract.bias, atol=1e-5, rtol=1e-5)


def test_rms_norm_is_its_formula() -> None:
    norm = randomised(make_norm(shaped(norm_type="rms")))
    x = torch.randn(3, 4, 16)
    assert isinstance(norm.weight, Tensor)
    assert_close(norm(x), x / (x.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * norm.weight)


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_heads_that_share_keys_and_values_equal_heads_with_equal_ones(kv_heads: int) -> None:
    shared = SelfAttention(shaped(num_kv_heads=kv_heads), NoPositions())
    full = SelfAttention(shaped(), NoPositions())
    query, key, value = shared.query_key_value.weight.split(shared.widths)  # type: ignore[no-untyped-call]
    repeated = [w.view(kv_heads, 4, 16).repeat_interleave(4 // kv_heads, dim=0).reshape(16, 16) for w in (key, value)]
    with torch.no_grad():
        full.query_key_value.weight.copy_(torch.cat((query, *repeated)))
        for attention in (shared, full):
            attention.query_key_value.bias.zero_()
        full.output.load_state_dict(shared.output.state_dict())
    x = torch.randn(2, 5, 16)
    assert_close(shared(x, causal=True), full(x, causal=True))


def test_deepnorm_has_the_scales_of_the_paper() -> None:
    scales = shaped(norm="deep", encoder_layers=18, decoder_layers=6).deepnorm
    assert scales.encoder_alpha == pytest.approx(0.81 * 18**0.25 * 6**0.0625)
    assert scales.encoder_beta == pytest.approx(0.87 / (18**0.25 * 6**0.0625))
    assert scales.decoder_alpha == pytest.approx(18**0.25)
    assert scales.decoder_beta == pytest.approx(1 / 72**0.25)


DEPTHS = {"encoder_layers": 2, "decoder_layers": 5, "num_kv_heads": 2}  # of 4: fewer rows of values than of queries


@pytest.mark.parametrize("norm", ["pre", "post", "deep"])
def test_deepnorm_scales_each_residual_by_the_depth_of_its_stack(norm: str) -> None:
    model, x = Transformer(shaped(norm=norm, **DEPTHS), VOCAB, VOCAB), torch.randn(2, 3, 16)
    alphas = (0.81 * (2**4 * 5) ** (1 / 16), (3 * 5) ** (1 / 4)) if norm == "deep" else (1.0, 1.0)
    for stack, alpha, sublayers in ((model.encoder, alphas[0], 2), (model.decoder, alphas[1], 3)):
        for layer in stack:
            residuals = [module for module in layer.modules() if isinstance(module, Residual)]
            assert len(residuals) == sublayers
            for residual in residuals:
                pre, post = x + F.layer_norm(x, (16,)).sin(), F.layer_norm(alpha * x + x.sin(), (16,))
                assert_close(residual(x, torch.sin), pre if norm == "pre" else post)


@pytest.mark.parametrize("activation", ["relu", "swiglu"])
def test_deepnorm_shrinks_values_outputs_and_feed_forward_blocks_and_nothing_else(activation: str) -> None:
    weights = []
    for norm in ("post", "deep"):
        torch.manual_seed(0)
        model = Transformer(shaped(norm=norm, activation=activation, **DEPTHS), VOCAB, VOCAB)
        weights.append(dict(model.named_parameters()))
    betas = {"encoder": 0.87 * (2**4 * 5) ** (-1 / 16), "decoder": (12 * 5) ** (-1 / 4)}
    shrunk = 0
    for name, plain in weights[0].items():
        expected, beta = plain.detach().clone(), betas.get(name.split(".")[0], 1.0)
        match name.split(".")[-3:]:
            case [_, "query_key_value", "weight"]:
                expected[16 + 8 :] *= beta  # 16 rows of queries, 8 of keys, 8 of values
            case [_, "key_value", "weight"]:
                expected[8:] *= beta
            case ["self_attention" | "cross_attention", "output", "weight"] | [_, "expand" | "contract", "weight"]:
                expected *= beta
        shrunk += not torch.equal(expected, plain)
        assert_close(weights[1][name].detach(), expected, msg=name)
    assert shrunk == 2 * 4 + 5 * 6


@pytest.mark.parametrize("norm_type", ["layer", "rms"])
@pytest.mark.parametrize("positions", ["learned", "relative", "transformer_xl", "t5"])
def test_a_fresh_model_is_xavier_with_embeddings_that_enter_at_variance_one(positions: str, norm_type: str) -> None:
    torch.manual_seed(0)
    config = shaped(d_model=64, positions=positions, norm_type=norm_type, tied_embeddings="decoder", num_kv_heads=2)
    model = Transformer(config, 400, 300)
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for name, parameter in model.named_parameters():
        if id(parameter) in tables:
            assert float(parameter.detach().std()) == pytest.approx(1 / 8, rel=0.2), name
        elif parameter.dim() == 2:
            bound = (6 / sum(parameter.shape)) ** 0.5  # of the uniform distribution; Glorot and Bengio 2010
            assert 0.95 * bound < float(parameter.detach().abs().max()) <= bound, name
        else:
            assert set(parameter.tolist()) == {float("_bias" not in name and name.endswith("norm.weight"))}, name
    ids = torch.arange(300).view(1, -1)
    assert float((model.target_embedding(ids) * model.scale).detach().var()) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(("norm", "alpha"), [("post", 1.0), ("deep", 2.5)])
@pytest.mark.parametrize("probability", [0.0, 0.4])
def test_a_residual_is_its_formula(norm: str, alpha: float, probability: float) -> None:
    def drop(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return dropout(x, probability)

    def out_of(norm: str) -> Tensor:
        residual = Residual(shaped(norm=norm, dropout=probability), alpha=2.5)
        torch.manual_seed(1)
        return residual(x, torch.sin)

    x = torch.randn(2, 3, 16)
    assert_close(out_of(norm), F.layer_norm(alpha * x + drop(x.sin()), (16,)))
    assert_close(out_of("pre"), x + drop(F.layer_norm(x, (16,)).sin()))


@pytest.mark.parametrize(
    ("activation", "function"), [("relu", F.relu), ("gelu", F.gelu), ("swiglu", F.silu), ("geglu", F.gelu)]
)
def test_activation_dropout_falls_on_what_the_activation_gives(activation: str, function: Any) -> None:
    block = randomised(FeedForward(shaped(activation=activation, activation_dropout=0.4)))
    assert isinstance(block, FeedForward)
    x = torch.randn(2, 5, 16)
    first, *second = block.expand(x).chunk(1 + activation.endswith("glu"), dim=-1)
    hidden = function(first) * (second[0] if second else 1)
    torch.manual_seed(1)
    expected = block.contract(dropout(hidden, 0.4))
    torch.manual_seed(1)
    assert_close(block(x), expected)
    assert_close(block.eval()(x), block.contract(hidden))


@pytest.mark.rare  # its numbers are tested one by one
def test_deepnorm_trains_twelve_layers() -> None:
    """Copying a sequence, a few steps: plain post-norm does not move at this depth."""

    def loss_after_training(norm: str) -> float:
        torch.manual_seed(0)
        config = shaped(norm=norm, encoder_layers=12, decoder_layers=12, d_model=32, ffn_dim=64)
        model = Transformer(config, 30, 30)
        ids = torch.randint(4, 30, (8, 9))
        optimizer = torch.optim.Adam(model.parameters(), 0.002, betas=(0.9, 0.98))
        for _ in range(60):
            logits = model.output(model(ids, ids[:, :-1]))
            loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return loss.item()

    post, deep, pre = (loss_after_training(norm) for norm in ("post", "deep", "pre"))
    assert deep < 0.75 * post and pre < 0.75 * post
