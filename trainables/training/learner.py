"""A model with its optimizer, and the learning-rate schedule."""

import math
from typing import Any

import torch
from torch import Tensor

from model.transformer import Transformer
from trainables.base.errors import TooLarge
from trainables.base.translation_config import TranslationConfig
from trainables.base.translator_config import TranslatorTraining
from trainables.data.encoding.preparing import Prepared
from trainables.data.encoding.sequences import EncodedSplit
from trainables.training.device import set_up
from trainables.training.evaluation import reference_loss, translate
from trainables.training.initial import freeze, load_initial


def learning_rate(step: int, total_steps: int, config: TranslatorTraining) -> float:
    """The rate of 1-based `step`: linear warm-up to the peak, then the schedule (cosine and linear end near 0)."""
    warmup = min(config.warmup_steps, total_steps)
    if step <= warmup:
        return config.learning_rate * step / warmup
    progress = (step - warmup) / max(1, total_steps - warmup + 1)
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
    if config.schedule == "linear":
        return config.learning_rate * (1 - progress)
    if config.schedule == "inverse_sqrt":
        return config.learning_rate * math.sqrt(max(1, warmup) / step)
    return config.learning_rate


def build_model(config: TranslationConfig, prepared: Prepared, device: torch.device) -> Transformer:
    """A newly initialised model; the same seed gives the same weights. Raises TooLarge."""
    torch.manual_seed(config.seed)
    try:
        return Transformer(config.model, prepared.tokenizer.source_vocab, prepared.tokenizer.target_vocab).to(device)
    except RuntimeError as error:
        if device.type != "cpu" and not isinstance(error, torch.OutOfMemoryError):
            raise
        size = f"{config.num_parameters:,} parameters"
        raise TooLarge(f"model: its {size} don't fit into memory; lower model.d_model or the layers") from error


class Learner:
    """A model and its optimizer."""

    def __init__(self, config: TranslationConfig, prepared: Prepared, device: torch.device):
        """Raises TooLarge, and UserError for `model.init_from`."""
        set_up(device)
        self.config, self.settings, self.device = config, config.training, device
        self._tokenizer = prepared.tokenizer
        self.model = build_model(config, prepared, device)
        load_initial(self.model, config)
        freeze(self.model, self.settings.freeze)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.settings.learning_rate, betas=(0.9, 0.98), fused=True
        )

    def set_rate(self, rate: float) -> None:
        """Use this learning rate for the next steps."""
        (group,) = self.optimizer.param_groups
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)  # a captured step reads it from there
        else:
            group["lr"] = rate

    def clip_and_step(self) -> Tensor:
        """Clip the gradients to `clip_norm` and take an optimizer step; returns their norm before clipping."""
        parameters = list(self.model.parameters())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if norm.device.type != "cpu" or norm > self.settings.clip_norm:  # reading this would wait for a GPU
            torch.nn.utils.clip_grads_with_norm_(parameters, self.settings.clip_norm, norm)
        self.optimizer.step()
        return norm

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        # Clones, as a view into a stack would be saved with the whole stack; a matrix with two names stays one.
        clones: dict[int, Tensor] = {}
        for tensor in self.model.state_dict().values():
            clones.setdefault(tensor.data_ptr(), tensor.clone())
        weights = {name: clones[tensor.data_ptr()] for name, tensor in self.model.state_dict().items()}
        return {"model": weights, "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint, whether it was trained alone, in a stack, or on another device."""
        self.model.load_state_dict(state["model"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})

    def reference_loss(self, split: EncodedSplit) -> float:
        """See `evaluation.reference_loss`."""
        return reference_loss(self.model, split)

    def translate(self, sentences: list[str]) -> list[str]:
        """Translations by greedy search, in the order of the sentences."""
        return translate(self.model, self._tokenizer, sentences)
