"""Several transformers of one shape computed as one: each product of matrices becomes one batched product.

Wang et al. 2021 (Horizontally Fused Training Array, arXiv 2102.02344). The batches of the K models are concatenated to
K·B rows. Each layer with weights is replaced by one that uses each model's weights for that model's rows; everything
else, attention included, is computed as for one model with a larger batch.
"""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.dropout import Dropout, dropout
from model.layers import Embedding
from model.transformer import Transformer


class Stack(nn.Module):
    """K models as one.

    Their weights and gradients become views into those of the stack: each model can still be used alone, with its own
    optimizer.
    """

    def __init__(self, models: list[Transformer], generators: list[torch.Generator]):
        """models: `stackable`, of one shape except dropout, on one device; generators: one for each model's dropout."""
        super().__init__()
        self.network = copy.deepcopy(models[0])
        stacked: dict[nn.Parameter, nn.Parameter] = {}  # by the first model's parameter: shared matrices stay shared

        def stack(parameters: list[nn.Parameter]) -> nn.Parameter:
            if parameters[0] not in stacked:
                stacked[parameters[0]] = _move(parameters)
            return stacked[parameters[0]]

        for name, _ in list(models[0].named_modules(remove_duplicate=False)):
            parts = [model.get_submodule(name) for model in models]
            if (layer := _stacked_layer(parts, generators, stack)) is not None:
                parent, _, child = name.rpartition(".")
                setattr(self.network.get_submodule(parent), child, layer)
        left = {id(p) for p in self.network.parameters()} - {id(p) for p in stacked.values()}
        assert not left, "a layer with weights that can't be stacked"

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """source: (K, B, S), target: (K, B, T), both ids. -> hidden states (K, B, T, d_model)."""
        hidden: Tensor = self.network(source.flatten(0, 1), target.flatten(0, 1))
        return hidden.view(*source.shape[:2], *hidden.shape[1:])

    def output_weights(self) -> tuple[Tensor, ...]:
        """The embeddings of each model: (vocabulary, d_model)."""
        return self.network.output.weight.unbind()


def _move(parameters: list[nn.Parameter]) -> nn.Parameter:
    """One parameter (K, ...); those given become views into its memory, and so do their gradients."""
    whole = nn.Parameter(torch.stack([parameter.detach() for parameter in parameters]))
    whole.grad = torch.zeros_like(whole)
    for parameter, data, gradient in zip(parameters, whole.data, whole.grad, strict=True):
        parameter.data, parameter.grad = data, gradient
    return whole


def _stacked_layer(
    parts: list[nn.Module],
    generators: list[torch.Generator],
    stack: Callable[[list[nn.Parameter]], nn.Parameter],
) -> nn.Module | None:
    """The layer that computes these layers, one of each model, as one; None if they have no weights and no dropout."""

    def of(name: str) -> nn.Parameter | None:
        found = [getattr(part, name, None) for part in parts]
        return None if found[0] is None else stack(found)  # type: ignore[arg-type]

    match parts[0]:
        case Embedding():
            return StackedEmbedding(stack([part.weight for part in parts]))  # type: ignore[misc]
        case nn.Linear():
            return StackedLinear(stack([part.weight for part in parts]), of("bias"))  # type: ignore[misc]
        case nn.LayerNorm() | nn.RMSNorm():
            return StackedNorm(stack([part.weight for part in parts]), of("bias"), parts[0].eps)  # type: ignore[misc, arg-type]
        case Dropout():
            return StackedDropout([part.p for part in parts], generators)  # type: ignore[misc]
    return None


class StackedEmbedding(nn.Module):
    """`Embedding` with a table for each of K models."""

    def __init__(self, weight: nn.Parameter):
        """weight: (K, vocabulary, d_model)."""
        super().__init__()
        self.weight = weight

    def forward(self, ids: Tensor) -> Tensor:
        """(K·B, T) ids -> (K·B, T, d_model)."""
        models, vocabulary, _ = self.weight.shape
        first = torch.arange(models, device=ids.device).view(-1, 1, 1) * vocabulary  # row of each model's table
        rows = ids.view(models, -1, ids.shape[1]) + first
        return F.embedding(rows.view(ids.shape), self.weight.flatten(0, 1))


class StackedLinear(nn.Module):
    """K linear layers, each for the rows of its model."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None):
        """weight: (K, out, in); bias: (K, out)."""
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """(K·B, T, in) -> (K·B, T, out)."""
        rows = x.reshape(len(self.weight), -1, x.shape[-1])
        if self.bias is None:
            return (rows @ self.weight.transpose(1, 2)).view(*x.shape[:-1], -1)
        return torch.baddbmm(self.bias.unsqueeze(1), rows, self.weight.transpose(1, 2)).view(*x.shape[:-1], -1)


class StackedNorm(nn.Module):
    """K norms: LayerNorm where there is a bias, else RMSNorm."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None, eps: float):
        """weight, bias: (K, d_model)."""
        super().__init__()
        self.weight, self.bias, self.eps = weight, bias, eps

    def forward(self, x: Tensor) -> Tensor:
        """(K·B, T, d_model) -> like x."""
        width = x.shape[-1:]
        if self.bias is None:
            normal = F.rms_norm(x, width, eps=self.eps)
            return (normal.view(len(self.weight), -1, *x.shape[1:]) * self.weight[:, None, None]).flatten(0, 1)
        normal = F.layer_norm(x, width, eps=self.eps).view(len(self.weight), -1, *x.shape[1:])
        return torch.addcmul(self.bias[:, None, None], normal, self.weight[:, None, None]).flatten(0, 1)


class StackedDropout(nn.Module):
    """K dropouts, each with its own probability and generator."""

    def __init__(self, probabilities: list[float], generators: list[torch.Generator]):
        super().__init__()
        self.probabilities, self.generators = probabilities, generators

    def forward(self, x: Tensor) -> Tensor:
        """(K·B, T, d_model) -> like x."""
        if not self.training or not any(self.probabilities):
            return x
        parts = zip(x.chunk(len(self.generators)), self.probabilities, self.generators, strict=True)
        return torch.cat([dropout(part, p, generator) if p else part for part, p, generator in parts])
