"""Cross-entropy straight from hidden states, so that the tokens × vocabulary matrix never exists whole."""

from typing import Any

import torch
from torch import Tensor

CHUNK_TOKENS = 512


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes its gradients in the forward pass, while a chunk's probabilities are at hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, gold: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        vocab = weight.shape[0]
        objective, total_nll = hidden.new_zeros(2, dtype=torch.float32).unbind()
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for start in range(0, len(hidden), CHUNK_TOKENS):
            part, labels = (
                hidden[start : start + CHUNK_TOKENS],
                gold[start : start + CHUNK_TOKENS].unsqueeze(1),
            )
            log_p = torch.log_softmax((part @ weight.T).float(), dim=-1)  # (chunk, vocabulary)
            nll = -log_p.gather(1, labels).sum()
            total_nll = total_nll + nll
            objective = objective + (1 - smoothing) * nll
            if smoothing:
                objective = objective - smoothing / vocab * log_p.sum()
            # d objective / d logits = p - target distribution
            grad = log_p.exp_()
            if smoothing:
                grad -= smoothing / vocab
            grad.scatter_add_(1, labels, torch.full_like(labels, smoothing - 1, dtype=grad.dtype))
            grad = grad.to(weight.dtype)
            torch.mm(grad, weight, out=grad_hidden[start : start + CHUNK_TOKENS])
            grad_weight.addmm_(grad.T, part)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.mark_non_differentiable(total_nll)
        return objective, total_nll

    @staticmethod
    def backward(ctx: Any, grad_objective: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return (
            grad_hidden * grad_objective.to(grad_hidden.dtype),
            grad_weight * grad_objective.to(grad_weight.dtype),
            None,
            None,
        )


def linear_cross_entropy(hidden: Tensor, weight: Tensor, gold: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """The smoothed objective and the plain negative log-likelihood of hidden @ weight.T, summed over tokens.

    hidden: (N, d_model); weight: (vocabulary, d_model); gold: (N,) ids. Smoothing spreads its mass over the
    whole vocabulary (Szegedy et al. 2016, section 7). Only the objective has a gradient.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        hidden, weight = (x.to(torch.get_autocast_dtype(hidden.device.type)) for x in (hidden, weight))
    objective, nll = _LinearCrossEntropy.apply(hidden, weight, gold, smoothing)  # type: ignore[no-untyped-call]
    return objective, nll
