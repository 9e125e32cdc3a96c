"""Each kind of positions against its paper's formula, one pair of positions at a time, and what the kinds promise."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from model.attention import CrossAttention, SelfAttention
from model.config import ModelConfig
from model.counting import count_parameters
from model.positions.kinds import KINDS, PositionKind
from model.special_tokens import BOS, EOS, PAD
from model.transformer import Transformer

VOCAB = 11
SHAPE = {"encoder_layers": 2, "decoder_layers": 3, "d_model": 24, "num_heads": 4, "ffn_dim": 32, "max_distance": 3}
SIX_SLOPES = [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]


def shaped(kind: str, **changes: Any) -> ModelConfig:
    return ModelConfig.model_validate(SHAPE | {"positions": kind} | changes)


def random(module: nn.Module) -> None:
    """Random everywhere: also where training starts from 0 or 1."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, mean=float(parameter.dim() == 1), std=0.3)


def layer(config: ModelConfig, causal: bool) -> tuple[nn.Module, SelfAttention]:
    """What lies between the embeddings and the first layer's attention, and that attention."""
    torch.manual_seed(0)
    absolute = config.position_kind.added(config)
    attention = SelfAttention(config, config.position_kind.attending(config, 1, causal)[0])
    random(nn.ModuleList([absolute, attention]))
    return absolute, attention


def random_model(kind: str, **changes: Any) -> Transformer:
    torch.manual_seed(0)
    model = Transformer(shaped(kind, **changes), VOCAB, VOCAB).eval()
    random(model)
    return model


def ids(*shape: int) -> Tensor:
    return torch.randint(EOS + 1, VOCAB, shape, generator=torch.Generator().manual_seed(1))


def sinusoid(position: int, width: int) -> Tensor:
    """Vaswani et al. 2017, section 3.5."""
    angles = [position / 10000 ** (2 * i / width) for i in range(width // 2)]
    return torch.tensor([f(angle) for angle in angles for f in (math.sin, math.cos)])


def rotation(position: int, width: int) -> Tensor:
    """Su et al. 2021, equation 15."""
    matrix = torch.zeros(width, width)
    for i in range(width // 2):
        angle = position * 10000 ** (-2 * i / width)
        matrix[2 * i, 2 * i] = matrix[2 * i + 1, 2 * i + 1] = math.cos(angle)
        matrix[2 * i, 2 * i + 1], matrix[2 * i + 1, 2 * i] = -math.sin(angle), math.sin(angle)
    return matrix


def bucket(query: int, key: int, causal: bool) -> int:
    """Raffel et al. 2020: 32 buckets in the decoder; in the encoder 16 for keys not after the query, 16 for others.

    Half of them hold one distance each. The other n share the distances from n to 128: the k-th of them starts at
    n·(128/n)^(k/n), here without roots; the last has no end.
    """
    n, distance = (16, max(query - key, 0)) if causal else (8, abs(query - key))
    later = 16 if key > query and not causal else 0
    if distance < n:
        return later + distance
    return later + n + max(k for k in range(n) if n**n * (128 // n) ** k <= distance**n)


def clipped(config: ModelConfig, i: int, j: int) -> int:
    """Shaw et al. 2018, section 3.2: clip(j - i, max_distance), as a row of a table that begins with the smallest."""
    return max(-config.max_distance, min(config.max_distance, j - i)) + config.max_distance


def score(
    config: ModelConfig, learned: dict[str, nn.Parameter], q: Tensor, k: Tensor, i: int, j: int, h: int, causal: bool
) -> Tensor:
    """The score of query i and key j in head h, by the paper of the kind.

    learned: the parameters of its module.
    """
    of_head, root = slice(h * config.head_size, (h + 1) * config.head_size), math.sqrt(config.head_size)
    match config.positions:
        case "rotary":  # equation 16
            return q @ rotation(j - i, config.head_size) @ k / root
        case "alibi":
            slope = SIX_SLOPES[h] if config.num_heads == 6 else 2 ** (-8 * (h + 1) / config.num_heads)
            return q @ k / root - slope * abs(i - j)
        case "t5":
            return q @ k / root + learned["table.weight"][bucket(i, j, causal), h]
        case "transformer_xl":  # the four terms of section 3.3
            u, v = learned["content_bias"][of_head], learned["position_bias"][of_head]
            r = learned["distance.weight"][of_head] @ sinusoid(i - j, config.d_model)
            return (q @ k + q @ r + u @ k + v @ r) / root
        case "relative":  # equation 4
            return q @ (k + learned["keys.weight"][clipped(config, i, j)]) / root
        case "none" | "sinusoidal" | "learned":
            return q @ k / root
    pytest.fail(f"say here what a score is by the paper of {config.positions}")


def plain(
    config: ModelConfig,
    absolute: nn.Module,
    attention: SelfAttention,
    x: Tensor,
    lengths: list[int],
    causal: bool,
    rows: range,
) -> Tensor:
    """Attention over sequences of these lengths, a query, a key and a head at a time: (B, rows, d_model)."""
    learned, size = dict(attention.positions.named_parameters()), config.head_size
    attended = []
    for sequence, length in zip(x, lengths, strict=True):
        inputs = list(sequence)
        if config.positions == "learned":
            inputs = [vector + absolute.get_parameter("table.weight")[i] for i, vector in enumerate(inputs)]
        if config.positions == "sinusoidal":
            inputs = [vector + sinusoid(i, config.d_model) for i, vector in enumerate(inputs)]
        projected = [attention.query_key_value(vector).view(3, config.num_heads, size) for vector in inputs]
        for i in rows:
            heads = []
            for h in range(config.num_heads):
                seen = range(min(i + 1, length) if causal else length)
                q, pairs = projected[i][0, h], [(projected[j][1, h], projected[j][2, h]) for j in seen]
                scores = [score(config, learned, q, k, i, j, h, causal) for j, (k, _) in enumerate(pairs)]
                values = [v for _, v in pairs]
                if config.positions == "relative":
                    values = [v + learned["values.weight"][clipped(config, i, j)] for j, v in enumerate(values)]
                heads.append(torch.stack(scores).softmax(dim=0) @ torch.stack(values))
            attended.append(attention.output(torch.cat(heads)))
    return torch.stack(attended).view(len(x), len(rows), -1)


@pytest.mark.parametrize("heads", [4, 6])
@pytest.mark.parametrize("causal", [False, True], ids=["encoder", "decoder"])
@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_the_formula_of_its_paper(kind: str, causal: bool, heads: int) -> None:
    config = shaped(kind, num_heads=heads)
    absolute, attention = layer(config, causal)
    length, step = (151, 50) if kind == "t5" else (9, 1)  # T5 tells distances up to 128 apart
    lengths, rows = [length, length if causal else length - 3], range(0, length, step)
    x = torch.randn(2, length, config.d_model, requires_grad=True)
    mask = None if causal else (torch.arange(length) < torch.tensor(lengths).unsqueeze(1))[:, None, None, :]

    ours = attention(absolute(x), mask, causal)[:, rows]
    expected = plain(config, absolute, attention, x, lengths, causal, rows)
    noise = torch.randn_like(ours)
    assert_close(ours, expected, atol=1e-5, rtol=1e-5)

    inputs = {"x": x} | dict(absolute.named_parameters()) | dict(attention.named_parameters())
    of_ours, of_expected = (torch.autograd.grad(y, list(inputs.values()), noise) for y in (ours, expected))
    gradients = dict(zip(inputs, of_ours, strict=True))
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients.values())
    assert_close(gradients, dict(zip(inputs, of_expected, strict=True)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True], ids=["encoder", "decoder"])
@pytest.mark.parametrize("kind", KINDS)
def test_only_distances_count_unless_positions_are_absolute(kind: str, causal: bool) -> None:
    absolute, attention = layer(shaped(kind), causal)
    x = torch.randn(1, 12, 24)
    hidden = (torch.arange(12) < 5)[None, None, None, :]
    shifted, alone = attention(absolute(x), ~hidden)[:, 5:], attention(absolute(x[:, 5:]))
    change = (shifted - alone).abs().max()
    assert change > 1e-2 if kind in ("sinusoidal", "learned") else change < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_source_counts_unless_there_are_no_positions(kind: str) -> None:
    model, source, order = random_model(kind), ids(1, 9), torch.randperm(9)
    change = (model.encode(source)[0][:, order] - model.encode(source[:, order])[0]).abs().max()
    assert change < 1e-5 if kind == "none" else change > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_cross_attention_is_blind_to_positions(kind: str) -> None:
    torch.manual_seed(0)
    attention, memory, x = CrossAttention(shaped(kind)), torch.randn(2, 7, 24), torch.randn(2, 5, 24)
    ordered, mixed = (attention(x, *attention.project_memory(m)) for m in (memory, memory[:, torch.randperm(7)]))
    assert_close(ordered, mixed, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_described_and_its_settings_are_keys_of_the_model(kind: str) -> None:
    made = KINDS[kind]
    assert type(made).__doc__ != PositionKind.__doc__, f"say in the docstring of {type(made).__name__} what {kind} is"
    for key in (*made.settings, *([made.limit] if made.limit else [])):
        assert key in ModelConfig.model_fields, f"add {key}, which {kind} uses, to ModelConfig"


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_own_parameters_and_no_others(kind: str) -> None:
    """2 encoder and 3 decoder layers, 4 heads of 6: what a kind adds to the model without positions."""
    added = {
        "learned": 2 * 512 * 24,  # a table for the source, one for the target
        "relative": 5 * 2 * 7 * 6,  # a layer: keys and values of -3 .. 3, the same for all heads
        "transformer_xl": 5 * (24 * 24 + 24 + 24),  # a layer: W, u, v
        "t5": 2 * 32 * 4,  # the encoder's and the decoder's
    }
    config, without = shaped(kind), count_parameters(shaped("none"), VOCAB, VOCAB)
    assert count_parameters(config, VOCAB, VOCAB) - without == added.get(kind, 0), f"say here what {kind} adds"
    names = {name for name, _ in Transformer(config, VOCAB, VOCAB).named_parameters(remove_duplicate=False)}
    names -= {name for name, _ in Transformer(shaped("none"), VOCAB, VOCAB).named_parameters(remove_duplicate=False)}
    assert all(".self_attention.positions." in name or "_positions.table" in name for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_may_be_longer_than_any_seen_unless_positions_are_learned(kind: str) -> None:
    model, long = random_model(kind, max_length=699), ids(1, 700)
    assert model(long[:, :699], long[:, :699]).isfinite().all()
    if model.config.longest is None:
        assert model(long, long).isfinite().all()
        return
    for source, target in ((long, long[:, :5]), (long[:, :5], long)):
        with pytest.raises(ValueError, match=r"learned positions end at 699 \(model\.max_length\).* 700 tokens"):
            model(source, target)


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_in_steps_reaches_as_far_as_the_whole(kind: str) -> None:
    """Beams and all: see test_decoding.py. Here a prefix beyond T5's 128 and ten times `max_distance`."""
    model, source, target = random_model(kind, max_length=140), ids(2, 6), ids(2, 140)
    target[:, 0] = BOS
    source[1, 4:] = torch.tensor([EOS, PAD])
    with torch.no_grad():
        state = model.start_decoding(source)
        steps = torch.stack([model.decode_step(tokens, state) for tokens in target.T], dim=1)
        assert_close(steps, model.output(model(source, target)), atol=1e-4, rtol=1e-4)
        if model.config.longest is not None:
            with pytest.raises(ValueError, match=r"model\.max_length"):
                model.decode_step(target[:, 0], state)


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_it_is_nearly_the_same(kind: str) -> None:
    torch.manual_seed(0)
    model, source, target = Transformer(shaped(kind), VOCAB, VOCAB).eval(), ids(3, 40), ids(3, 40)
    source[1, 30:] = PAD
    expected = model(source, target)
    with torch.autocast("cpu", torch.bfloat16):
        hidden, logits = model(source, target), model.decode_step(target[:, 0], model.start_decoding(source))
    assert_close(hidden.float(), expected, atol=0.1, rtol=0.1)
    assert_close(logits.float(), model.output(expected[:, 0]), atol=0.1, rtol=0.1)
    model.output(hidden.float()).square().mean().backward()
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.grad.dtype == torch.float32
        assert parameter.grad.isfinite().all()
