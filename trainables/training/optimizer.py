"""The optimizer: Adam with decoupled weight decay, and the learning rate of each parameter."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

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


class Optimizer(torch.optim.AdamW):
    """AdamW (Loshchilov and Hutter 2019); without `weight_decay` it is Adam.

    Biases and the gains of norms do not decay. With `model.base_width`, matrices have rates that depend on their width.
    """

    def __init__(self, model: Transformer, settings: TranslationTraining):
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for parameter, scale in scales_of_rates(model):
            decays = settings.weight_decay > 0 and parameter.dim() > 1
            if parameter.requires_grad:  # a frozen one would decay where each parameter has a gradient, as in graphs
                groups.setdefault((scale, decays), []).append(parameter)
        rate, decay = settings.learning_rate, settings.weight_decay
        described: list[dict[str, Any]] = [
            {"params": parameters, "scale": scale, "weight_decay": decay if decays else 0.0}
            for (scale, decays), parameters in groups.items()
        ]
        super().__init__(described, rate, (settings.beta1, settings.beta2), settings.epsilon, fused=True)

    def set_rate(self, rate: float) -> None:
        """Use this learning rate for the next steps."""
        for group in self.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * group["scale"])  # a captured step reads it from there
            else:
                group["lr"] = rate * group["scale"]

    def restore(self, state: dict[int, Any]) -> None:
        """Restore the moments and counts of a checkpoint; settings stay those of this optimizer."""
        self.load_state_dict({"state": state, "param_groups": self.state_dict()["param_groups"]})


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
