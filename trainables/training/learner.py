"""A model with its optimizer, and the average of its weights if one is kept."""

import copy
from typing import Any

import torch
from torch import Tensor

from model.transformer import Transformer
from trainables.base.errors import TooLarge
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.preparing import Prepared
from trainables.data.encoding.sequences import EncodedSplit
from trainables.training.device import set_up
from trainables.training.evaluation import reference_loss, translate
from trainables.training.initial import freeze, load_initial
from trainables.training.optimizer import Average, Optimizer


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
    """A model and its optimizer.

    Attributes:
        model: The one that is trained.
        evaluated: The one that is validated, saved and used: `model`, or the average of its weights.
    """

    def __init__(self, config: TranslationConfig, prepared: Prepared, device: torch.device):
        """Raises TooLarge, and UserError for `model.init_from`."""
        set_up(device)
        self.config, self.settings, self.device = config, config.training, device
        self._tokenizer = prepared.tokenizer
        self.model = build_model(config, prepared, device)
        load_initial(self.model, config)
        freeze(self.model, self.settings.freeze)
        self.evaluated = self.model
        self.average: Average | None = None
        self.optimizer = Optimizer(self.model, self.settings)
        if self.settings.ema_decay:
            self.evaluated = copy.deepcopy(self.model).requires_grad_(False)
            self.average = Average(self.model, self.evaluated, self.settings.ema_decay)

    def clip_and_step(self) -> Tensor:
        """Clip the gradients to `clip_norm` and take an optimizer step; returns their norm before clipping."""
        parameters = list(self.model.parameters())
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if norm.device.type != "cpu" or norm > self.settings.clip_norm:  # reading this would wait for a GPU
            torch.nn.utils.clip_grads_with_norm_(parameters, self.settings.clip_norm, norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return norm

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        state: dict[str, Any] = {"model": _weights(self.evaluated), "optimizer": self.optimizer.state_dict()}
        if self.average is not None:
            state |= {"trained": _weights(self.model), "average_steps": self.average.steps}
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint, whether it was trained alone, in a stack, or on another device."""
        self.evaluated.load_state_dict(state["model"])
        self.model.load_state_dict(state.get("trained", state["model"]))
        if self.average is not None and "average_steps" in state:
            self.average.steps.copy_(state["average_steps"])
        self.optimizer.restore(state["optimizer"]["state"])

    def best_weights(self) -> dict[str, Tensor]:
        """The weights of the validated model, on the CPU."""
        return {name: tensor.cpu() for name, tensor in _weights(self.evaluated).items()}  # clones, also on a CPU

    def keep(self, weights: dict[str, Tensor]) -> None:
        """Give the validated model these weights, for a training that has ended."""
        self.evaluated.load_state_dict(weights)

    def reference_loss(self, split: EncodedSplit) -> float:
        """See `evaluation.reference_loss`."""
        return reference_loss(self.evaluated, split)

    def translate(self, sentences: list[str]) -> list[str]:
        """Translations by greedy search, in the order of the sentences."""
        return translate(self.evaluated, self._tokenizer, sentences)


def _weights(model: Transformer) -> dict[str, Tensor]:
    """Clones, as a view into a stack would be saved with the whole stack; a matrix with two names stays one."""
    clones: dict[int, Tensor] = {}
    for tensor in model.state_dict().values():
        clones.setdefault(tensor.data_ptr(), tensor.clone())
    return {name: clones[tensor.data_ptr()] for name, tensor in model.state_dict().items()}
