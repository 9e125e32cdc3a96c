"""The optimizer: Adam with decoupled weight decay, and the learning rate of each parameter."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from model.config import ModelConfig
from model.transformer import Transformer
from trainables.base.translation_config import TranslationTraining
from trainables.base.translator_config import TranslatorTraining


def learning_rate(step: int, total_steps: int, config: TranslatorTraining) -> float:
    """The rate of 1-based `step`: linear warm-up to the peak, then the schedule, but never below `final_rate`."""
    warmup = min(config.warmup_steps, total_steps)
    if step <= warmup:
        return config.learning_rate * step / warmup
    floor, progress = config.final_rate, (step - warmup) / max(1, total_steps - warmup + 1)
    if config.schedule == "cosine":
        return config.learning_rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
    if config.schedule == "linear":
        return config.learning_rate * (floor + (1 - floor) * (1 - progress))
    if config.schedule == "inverse_sqrt":
        return config.learning_rate * max(floor, math.sqrt(max(1, warmup) / step))
    return config.learning_rate


@dataclass
class Group:
    """Parameters with one learning rate and one decay."""

    parameters: list[nn.Parameter]
    scale: float  # of the learning rate
    decay: float
    rate: float | Tensor  # a tensor for a captured step, which reads it from there


class Optimizer:
    """AdamW (Loshchilov and Hutter 2019); without `weight_decay` it is Adam.

    Biases and the gains of norms do not decay. With `model.base_width`, matrices have rates that depend on their width.

    A step is PyTorch's fused one, and `state_dict` has the form of its own. The class `torch.optim.AdamW` would import
    PyTorch's compiler, which takes each process that trains more than a second.
    """

    def __init__(self, model: Transformer, settings: TranslationTraining):
        found: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter, scale in scales_of_rates(model):
            decay = settings.weight_decay if parameter.dim() > 1 else 0.0
            if parameter.requires_grad:  # a frozen one would decay where each parameter has a gradient, as in graphs
                found.setdefault((scale, decay), []).append(parameter)
        self.groups = [
            Group(parameters, scale, decay, settings.learning_rate) for (scale, decay), parameters in found.items()
        ]
        self.capturable = False  # whether steps are captured as CUDA graphs
        self._settings = settings
        self._moments: dict[nn.Parameter, dict[str, Tensor]] = {}  # of the parameters that have had a gradient

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that it trains, in the order of the state."""
        return [parameter for group in self.groups for parameter in group.parameters]

    def set_rate(self, rate: float) -> None:
        """Use this learning rate for the next steps."""
        for group in self.groups:
            if isinstance(group.rate, Tensor):
                group.rate.fill_(rate * group.scale)
            else:
                group.rate = rate * group.scale

    def zero_grad(self, keep: bool = False) -> None:
        """Forget the gradients. keep: fill them with zeros, so that they stay at their places in memory."""
        for parameter in self.parameters:
            if keep and parameter.grad is not None:
                parameter.grad.zero_()
            else:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters that have a gradient."""
        settings = self._settings
        for group in self.groups:
            moved = [(parameter, parameter.grad) for parameter in group.parameters if parameter.grad is not None]
            moments = [self._moments_of(parameter) for parameter, _ in moved]
            adamw(
                [parameter for parameter, _ in moved],
                [gradient for _, gradient in moved],
                [each["exp_avg"] for each in moments],
                [each["exp_avg_sq"] for each in moments],
                [],
                [each["step"] for each in moments],
                fused=True,
                capturable=self.capturable,
                amsgrad=False,
                beta1=settings.beta1,
                beta2=settings.beta2,
                lr=group.rate,
                weight_decay=group.decay,
                eps=settings.epsilon,
                maximize=False,
            )

    def _moments_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self._moments:
            self._moments[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self._moments[parameter]

    def state_dict(self) -> dict[str, Any]:
        """The moments and counts of the parameters, by number, and the settings of the groups."""
        numbers = {parameter: number for number, parameter in enumerate(self.parameters)}
        state = {numbers[parameter]: moments for parameter, moments in self._moments.items()}
        groups = [
            {"params": [numbers[p] for p in group.parameters], "lr": group.rate, "weight_decay": group.decay}
            for group in self.groups
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def restore(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Restore the moments and counts of a checkpoint; settings stay those of this optimizer."""
        parameters = self.parameters
        self._moments = {
            parameters[number]: {name: tensor.to(parameters[number].device) for name, tensor in moments.items()}
            for number, moments in state.items()
        }


def scales_of_rates(model: Transformer) -> Iterator[tuple[nn.Parameter, float]]:
    """Each parameter, with what its learning rate is multiplied by.

    That is 1 without `model.base_width`. With it, a rate that is right at that width is right at any other one (muP;
    Yang et al. 2022, arXiv 2203.03466, table 8). Adam moves each weight by about the rate, whatever the width d. A
    matrix of a layer adds up d such moves, so its rate falls with d. An embedding is multiplied by sqrt(d), and so its
    rate falls with sqrt(d); as an output matrix it adds up d moves, and the rest of 1/sqrt(d) is the network's
    `output_scale`. Biases, gains and tables of positions add up nothing.
    """
    config, seen = model.config, set()
    embeddings = {id(each.weight) for each in (model.source_embedding, model.target_embedding, model.output)}
    matrices = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    for parameter in model.parameters():
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield parameter, _scale(config, id(parameter) in embeddings, id(parameter) in matrices)


def _scale(config: ModelConfig, is_embedding: bool, is_matrix: bool) -> float:
    if config.base_width is None or not (is_embedding or is_matrix):
        return 1.0
    ratio = config.base_width / config.d_model
    return math.sqrt(ratio) if is_embedding else ratio


class Average:
    """An exponential moving average of a model's weights (Polyak and Juditsky 1992).

    Early weights are forgotten sooner: after n steps the decay is at most (1 + n) / (10 + n).
    """

    def __init__(self, model: nn.Module, averaged: nn.Module, decay: float):
        """averaged: a copy of the model, whose parameters become the average."""
        device = next(model.parameters()).device
        self._pairs = list(zip(averaged.parameters(), model.parameters(), strict=True))
        self._decay, self.steps = torch.tensor(decay, device=device), torch.zeros((), device=device)

    @property
    def tensors(self) -> list[Tensor]:
        """All that `update` writes."""
        return [self.steps, *(average for average, _ in self._pairs)]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after a step into the average; reads and writes tensors alone, so it can be captured."""
        self.steps += 1
        new = 1 - torch.minimum(self._decay, (1 + self.steps) / (10 + self.steps))
        for average, parameter in self._pairs:
            average.lerp_(parameter, new)
