"""Cross-entropy from hidden states in chunks, so that the tokens × vocabulary matrix never exists as a whole."""

import math
from typing import Any

import torch
from torch import Tensor

from model.special_tokens import PAD

CHUNK_TOKENS = 512


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes its gradients in the forward pass, while a chunk's probabilities exist."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        gold: Tensor,
        smoothing: float,
        kept: Tensor | None,
        scale: float | Tensor,
        gradients: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        vocab = weight.shape[0]
        objective, total_nll = hidden.new_zeros(2, dtype=torch.float32).unbind()
        rounded, matrix = hidden.to(gradients), weight.to(gradients)
        grad_hidden, grad_weight = torch.empty_like(rounded), torch.empty_like(matrix)
        chunks = max(1, math.ceil(len(hidden) / CHUNK_TOKENS))  # of similar size, as a product of few rows is slow
        kept = None if kept is None else kept.unsqueeze(1).to(torch.float32)
        parts = zip(
            hidden.chunk(chunks),
            rounded.chunk(chunks),
            gold.unsqueeze(1).chunk(chunks),
            grad_hidden.chunk(chunks),
            [None] * chunks if kept is None else kept.chunk(chunks),
            strict=True,
        )
        for place, (part, rounded_part, labels, grad_part, kept_part) in enumerate(parts):
            # As few passes over (chunk, vocabulary) as possible: PyTorch's softmax replaces several.
            logits = (part @ weight.T).float()
            chosen, top = logits.gather(1, labels), logits.amax(dim=1, keepdim=True)
            total = logits.sum(dim=1, keepdim=True) if smoothing else 0.0
            grad = torch.softmax(logits, dim=1, out=logits if logits.device.type == "cpu" else None)  # in place there
            log_norm = top - grad.amax(dim=1, keepdim=True).log()
            nll = log_norm - chosen
            smoothed = log_norm - (1 - smoothing) * chosen - smoothing / vocab * total
            # d smoothed / d logits = p - target distribution
            if smoothing:
                grad -= smoothing / vocab
            grad.scatter_add_(1, labels, torch.full_like(top, smoothing - 1))
            if kept_part is not None:
                nll, smoothed = nll * kept_part, smoothed * kept_part
                grad *= kept_part
            total_nll = total_nll + nll.sum()
            objective = objective + smoothed.sum()
            grad = grad.to(gradients)
            torch.mm(grad, matrix, out=grad_part)
            scaled = (rounded_part.float() * scale).to(gradients)  # the scale itself would be rounded to bfloat16
            torch.addmm(grad_weight, grad.T, scaled, beta=1 if place else 0, out=grad_weight)
        grad_hidden = (grad_hidden.float() * scale).to(grad_hidden.dtype)
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.mark_non_differentiable(total_nll)
        return objective * scale, total_nll

    @staticmethod
    def backward(ctx: Any, grad_objective: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        if grad_objective.device.type == "cpu" and grad_objective == 1:
            return grad_hidden, grad_weight, None, None, None, None, None
        # In place: a second backward pass would be an error.
        return (
            grad_hidden.mul_(grad_objective.to(grad_hidden.dtype)),
            grad_weight.mul_(grad_objective.to(grad_weight.dtype)),
            None,
            None,
            None,
            None,
            None,
        )


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, gold: Tensor, smoothing: float = 0.0, scale: float | Tensor = 1.0
) -> tuple[Tensor, Tensor]:
    """The smoothed objective, times a scale, and the plain negative log-likelihood, of hidden @ weight.T.

    Both are in nats and summed over tokens. Padding is never predicted.

    hidden: (..., d_model); weight: (vocabulary, d_model); gold: (...), the ids to predict, padded. Smoothing spreads
    its mass over the whole vocabulary (Szegedy et al. 2016, section 7). Only the objective has a gradient.
    """
    kept: Tensor | None = gold != PAD
    if gold.device.type == "cpu":
        hidden, gold, kept = hidden[kept], gold[kept], None
    else:  # to choose rows on a GPU is to wait for their number
        hidden, gold, kept = hidden.flatten(0, -2), gold.flatten(), (gold != PAD).flatten()
    device, gradients = hidden.device.type, hidden.dtype
    if torch.is_autocast_enabled(device):
        gradients = torch.get_autocast_dtype(device)
        # A CPU rounds the results of such products, too: rounded logits cost .3 BLEU (docs/performance.md).
        hidden, weight = (x.to(torch.float32 if device == "cpu" else gradients) for x in (hidden, weight))
    with torch.autocast(device, enabled=False):
        objective, nll = _LinearCrossEntropy.apply(hidden, weight, gold, smoothing, kept, scale, gradients)  # type: ignore[no-untyped-call]
    return objective, nll
