"""A model that learns: its objective, its learning rate, its optimizer."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from model.stacking import can_stack
from model.transformer import PAD, Transformer
from trainables.base.config import TrainingConfig, TrialConfig, flatten
from trainables.base.errors import TooLarge
from trainables.data.preparing import Prepared
from trainables.training.loss import linear_cross_entropy

OWN = (  # what may differ between trials that are computed as one
    "seed",
    "model.dropout",
    "model.activation_dropout",
    *(f"training.{name}" for name in ("learning_rate", "warmup_steps", "schedule", "label_smoothing", "clip_norm")),
)


def learning_rate(step: int, total_steps: int, config: TrainingConfig) -> float:
    """The rate of 1-based `step`: linear warm-up to the peak, then the schedule (cosine ends near 0)."""
    warmup = min(config.warmup_steps, total_steps)
    if step <= warmup:
        return config.learning_rate * step / warmup
    if config.schedule == "cosine":
        progress = (step - warmup) / max(1, total_steps - warmup + 1)
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    if config.schedule == "inverse_sqrt":
        return config.learning_rate * math.sqrt(max(1, warmup) / step)
    return config.learning_rate


def can_learn_together(configs: Sequence[TrialConfig]) -> bool:
    """Whether a Team takes them: a single one always, several if they differ in nothing but what each has of its own,
    and their batches have equal shapes."""
    if len(configs) == 1:
        return True
    first, *others = ({k: v for k, v in flatten(config.model_dump()).items() if k not in OWN} for config in configs)
    shaped = configs[0].training.batch_shapes is not None
    return shaped and can_stack(configs[0].model) and all(other == first for other in others)


def build_model(config: TrialConfig, prepared: Prepared, device: torch.device) -> Transformer:
    """A freshly initialised model; the same seed gives the same weights. Raises TooLarge."""
    torch.manual_seed(config.seed)
    try:
        return Transformer(config.model, prepared.tokenizer.source_vocab, prepared.tokenizer.target_vocab).to(device)
    except RuntimeError as error:
        if device.type != "cpu" and not isinstance(error, torch.OutOfMemoryError):
            raise
        size = f"{config.num_parameters:,} parameters"
        raise TooLarge(f"model: its {size} don't fit into memory; lower model.d_model or the layers") from error


def loss_sums(
    model: Transformer, source: Tensor, target: Tensor, smoothing: float, scale: float | Tensor = 1.0
) -> tuple[Tensor, Tensor]:
    """The smoothed objective, times a scale, and the plain negative log-likelihood, both summed over the target's
    tokens. Padding is never predicted."""
    return hidden_loss(model(source, target[:, :-1]), model.output.weight, target[:, 1:], smoothing, scale)


def hidden_loss(
    hidden: Tensor, weight: Tensor, gold: Tensor, smoothing: float, scale: float | Tensor
) -> tuple[Tensor, Tensor]:
    """`loss_sums` of hidden states (B, T, d_model), for the output's weight and the ids to predict, (B, T), padded."""
    predicted = gold != PAD
    if gold.device.type == "cpu":
        return linear_cross_entropy(hidden[predicted], weight, gold[predicted], smoothing, None, scale)
    # To choose rows on a GPU is to wait for their number.
    return linear_cross_entropy(hidden.flatten(0, 1), weight, gold.flatten(), smoothing, predicted.flatten(), scale)


class Learner:
    """A model and its optimizer."""

    def __init__(self, config: TrialConfig, prepared: Prepared, device: torch.device):
        """Raises TooLarge."""
        self.config, self.settings = config, config.training
        self.model = build_model(config, prepared, device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.settings.learning_rate, betas=(0.9, 0.98), fused=True
        )

    def state(self) -> dict[str, Any]:
        # Clones, as a part of a stack would be saved with all of it; a matrix with two names stays one.
        clones: dict[int, Tensor] = {}
        for tensor in self.model.state_dict().values():
            clones.setdefault(tensor.data_ptr(), tensor.clone())
        weights = {name: clones[tensor.data_ptr()] for name, tensor in self.model.state_dict().items()}
        return {"model": weights, "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take the state of a checkpoint, however that was trained: alone, beside others, or on another device."""
        self.model.load_state_dict(state["model"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})

    def set_rate(self, rate: float) -> None:
        (group,) = self.optimizer.param_groups
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)  # a captured step reads it there
        else:
            group["lr"] = rate

    def stay_in_place(self) -> None:
        """Put all that a step reads and writes where it stays, so that the step can be captured."""
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.zero_()
        (group,) = self.optimizer.param_groups
        group["lr"] = torch.zeros((), device=self.model.output.weight.device)
        before = copy.deepcopy(self.optimizer.state_dict()["state"])
        self.update()  # at rate 0, along no gradient: makes what is made at a first step, and leaves the weights
        for number, values in self.optimizer.state_dict()["state"].items():
            for name, tensor in values.items():
                tensor.copy_(before[number][name] if before else torch.zeros_like(tensor))
        group["capturable"] = True

    def update(self) -> Tensor:
        """Step along the gradients; returns the norm that they had."""
        parameters = list(self.model.parameters())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if norm.device.type != "cpu" or norm > self.settings.clip_norm:  # to ask a GPU is to wait for it
            torch.nn.utils.clip_grads_with_norm_(parameters, self.settings.clip_norm, norm)
        self.optimizer.step()
        return norm
