"""Dropout against its definition: exact shares, no pattern, one mask for values and gradients, one seed one mask."""

import math

import pytest
import torch
from pretended import Pretended
from torch import Tensor

from model.attend import attend
from model.dropout import Dropout, dropout


def ones(size: int = 400_003) -> Tensor:
    return torch.ones(size, requires_grad=True)


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.9])
def test_a_share_is_dropped_and_the_rest_is_scaled_to_the_same_mean(probability: float) -> None:
    torch.manual_seed(1)
    y = dropout(ones(), probability).detach()
    share = float((y == 0).float().mean())
    assert abs(share - probability) < 5 * math.sqrt(probability * (1 - probability) / len(y))
    low, high = y[y != 0].aminmax()
    taken = round(probability * 2**16) / 2**16  # a CPU draws 16 bits
    assert low == high == pytest.approx(1 / (1 - taken), rel=1e-6)


def test_elements_are_dropped_independently() -> None:
    torch.manual_seed(2)
    dropped = (dropout(ones(), 0.3) == 0).double()
    for distance in (1, 2, 3, 4, 5, 8, 256):
        both = float((dropped[distance:] * dropped[:-distance]).mean())
        assert both == pytest.approx(0.09, abs=0.003), f"elements {distance} apart"


def test_the_gradient_passes_where_the_value_did() -> None:
    x = torch.randn(7, 5, 3, requires_grad=True)
    y = dropout(x, 0.4)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient * x, y)
    assert 0 < int((gradient == 0).sum()) < x.numel()


def test_the_seed_decides_the_mask() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(ones(1000), 0.5))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_it_keeps_the_type_and_leaves_evaluation_alone() -> None:
    x = torch.randn(4, 6, dtype=torch.bfloat16)
    module = Dropout(0.5)
    assert module(x).dtype == torch.bfloat16 and not torch.equal(module(x), x)
    assert torch.equal(module.eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)


def test_on_a_gpu_pytorch_draws_the_masks_to_the_same_definition() -> None:
    torch.manual_seed(3)
    y = dropout(ones(20_000).as_subclass(Pretended), 0.3).as_subclass(Tensor).detach()
    low, high = y[y != 0].aminmax()
    assert low == high == pytest.approx(1 / 0.7) and float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    masks = [dropout(ones(64).as_subclass(Pretended), 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("bias", [None, torch.zeros(1, 1, 4000, 2)], ids=["without a bias", "with a bias"])
@pytest.mark.parametrize("kind", [Tensor, Pretended])
def test_attention_drops_its_weights_on_every_device_and_padding_stays_unseen(
    kind: type[Tensor], bias: Tensor | None
) -> None:
    torch.manual_seed(4)
    query, key = torch.randn(1, 1, 4000, 6).as_subclass(kind), torch.randn(1, 1, 2, 6)
    value, mask = torch.tensor([1.0, 100.0]).view(1, 1, 2, 1).expand(1, 1, 2, 6), torch.tensor([[[[True, False]]]])
    y = attend(query, key, value, mask, dropout=0.3, bias=bias).as_subclass(Tensor)  # the one weight is 1
    torch.testing.assert_close(y[y != 0], torch.full((int((y != 0).sum()),), 1 / 0.7), atol=1e-4, rtol=0)
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.04)
    assert torch.equal(attend(query, key, value, mask, bias=bias).as_subclass(Tensor), torch.ones(1, 1, 4000, 6))
