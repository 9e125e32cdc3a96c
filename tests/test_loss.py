"""The objective and the learning rate against plain formulas."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pretended import Pretended
from torch import Tensor

from model.special_tokens import PAD
from trainables.base.translation_config import TranslationTraining
from trainables.training.loss import CHUNK_TOKENS, _LinearCrossEntropy, linear_cross_entropy
from trainables.training.optimizer import learning_rate

VOCABULARY = 37


def random_inputs(tokens: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    hidden = torch.randn(tokens, 12, generator=generator, dtype=dtype)
    weight = torch.randn(VOCABULARY, 12, generator=generator, dtype=dtype)
    gold = torch.randint(1, VOCABULARY, (tokens,), generator=generator)  # without padding
    return hidden.requires_grad_(), weight.requires_grad_(), gold


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("tokens", [1, CHUNK_TOKENS, 2 * CHUNK_TOKENS + 7])
def test_it_is_the_cross_entropy_of_the_logits(tokens: int, smoothing: float) -> None:
    hidden, weight, gold = random_inputs(tokens)
    objective, nll = linear_cross_entropy(hidden, weight, gold, smoothing)
    gradients = torch.autograd.grad(0.3 * objective / tokens, (hidden, weight))  # a factor from above counts, too

    exact_hidden, exact_weight = (x.detach().double().requires_grad_() for x in (hidden, weight))
    logits = exact_hidden @ exact_weight.T
    expected = F.cross_entropy(logits, gold, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(objective.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(nll.double(), F.cross_entropy(logits, gold, reduction="sum"), rtol=1e-5, atol=1e-5)
    exact_gradients = torch.autograd.grad(0.3 * expected / tokens, (exact_hidden, exact_weight))
    for gradient, exact in zip(gradients, exact_gradients, strict=True):
        torch.testing.assert_close(gradient.double(), exact, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.02, torch.tensor(0.02)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_tokens_that_are_not_kept_count_nothing_and_the_rest_is_scaled(
    smoothing: float, scale: float | torch.Tensor
) -> None:
    """On a GPU padding is computed, and masked; on a CPU it is left out before."""
    hidden, weight, gold = random_inputs(2 * CHUNK_TOKENS + 7)
    kept = torch.rand(len(gold), generator=torch.Generator().manual_seed(1)) < 0.6
    padded = torch.where(kept, gold, PAD)
    results = []
    for kind in (Pretended, Tensor):
        objective, nll = linear_cross_entropy(hidden, weight, padded.as_subclass(kind), smoothing, scale)
        objective, nll = objective.as_subclass(Tensor), nll.as_subclass(Tensor)
        results.append((objective, nll, *torch.autograd.grad(objective, (hidden, weight))))
    torch.testing.assert_close(*results)
    plain, _ = linear_cross_entropy(hidden[kept], weight, gold[kept], smoothing)
    torch.testing.assert_close(results[1][0], plain * scale)


def test_under_autocast_logits_are_exact_and_gradients_are_products_of_low_precision() -> None:
    hidden, weight, gold = random_inputs(600)
    with torch.autocast("cpu", torch.bfloat16):
        objective, nll = linear_cross_entropy(hidden, weight, gold, 0.1)
    (objective / len(gold)).backward()  # type: ignore[no-untyped-call]
    expected = F.cross_entropy((hidden @ weight.T).detach(), gold, reduction="sum", label_smoothing=0.1)
    assert objective.dtype == nll.dtype == torch.float32
    torch.testing.assert_close(objective.detach(), expected, rtol=1e-6, atol=0)
    assert hidden.grad is not None and hidden.grad.dtype == torch.float32
    assert weight.grad is not None and weight.grad.dtype == torch.float32
    assert all(torch.equal(x.grad, x.grad.bfloat16().float()) for x in (hidden, weight) if x.grad is not None)
    exact = torch.autograd.grad(F.cross_entropy(hidden @ weight.T, gold, label_smoothing=0.1), (hidden, weight))
    for gradient, other in zip((hidden.grad, weight.grad), exact, strict=True):
        assert F.cosine_similarity(gradient.flatten(), other.flatten(), dim=0) > 0.999


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", [Tensor, Pretended])  # a GPU computes padding, too, and lets it count nothing
def test_padding_is_never_predicted(kind: type[Tensor], smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []

    apply = _LinearCrossEntropy.apply

    def noted(hidden: Tensor, *arguments: Any) -> Any:
        computed.append(len(hidden))
        return apply(hidden, *arguments)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(_LinearCrossEntropy, "apply", noted)
    hidden, weight, gold = random_inputs(12)
    gold = gold.clamp(min=1).view(3, 4)
    gold[0, 2:] = gold[1, 3:] = PAD
    objective, nll = linear_cross_entropy(hidden.view(3, 4, 12), weight, gold.as_subclass(kind), smoothing, 0.25)
    assert computed == [12 if kind is Pretended else 9], "no more than counts, but where to count is to wait"
    logits, rows = hidden @ weight.T, gold.flatten()
    expected = F.cross_entropy(logits, rows, reduction="sum", ignore_index=PAD, label_smoothing=smoothing)
    torch.testing.assert_close(objective.as_subclass(Tensor), expected / 4)
    plain = F.cross_entropy(logits, rows, reduction="sum", ignore_index=PAD)
    torch.testing.assert_close(nll.as_subclass(Tensor), plain)
    ours, theirs = (torch.autograd.grad(y, (hidden, weight)) for y in (objective.as_subclass(Tensor), expected / 4))
    torch.testing.assert_close(ours, theirs)


def test_the_plain_likelihood_has_no_gradient() -> None:
    hidden, weight, gold = random_inputs(3)
    assert not linear_cross_entropy(hidden, weight, gold, 0.1)[1].requires_grad


def rates(schedule: str, total: int, warmup: int) -> list[float]:
    config = TranslationTraining.model_validate(
        {"schedule": schedule, "learning_rate": 0.4, "warmup_steps": warmup, "epochs": 1}
    )
    return [learning_rate(step, total, config) for step in range(1, total + 1)]


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt", "constant"])
def test_the_warm_up_is_linear_and_reaches_the_peak(schedule: str) -> None:
    assert rates(schedule, 20, 5)[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])
    assert rates(schedule, 4, 100) == pytest.approx([0.1, 0.2, 0.3, 0.4])  # a run shorter than its warm-up


@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_the_schedules_after_the_warm_up(warmup: int) -> None:
    after = range(warmup + 1, 21)
    assert rates("constant", 20, warmup)[warmup:] == [0.4] * len(after)
    inverse = [0.4 * max(1, warmup) ** 0.5 * step**-0.5 for step in after]
    assert rates("inverse_sqrt", 20, warmup)[warmup:] == pytest.approx(inverse)
    # Half a cosine wave from the peak to zero, which the step after the last would reach.
    cosine = [0.2 + 0.2 * math.cos(math.pi * (step - warmup) / (21 - warmup)) for step in after]
    assert rates("cosine", 20, warmup)[warmup:] == pytest.approx(cosine)
    assert 0 < cosine[-1] < 0.01
