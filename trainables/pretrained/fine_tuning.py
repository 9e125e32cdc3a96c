"""The steps of fine-tuning, for the loop of trainables/training/loop.py."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from model.special_tokens import PAD
from trainables.acceleration.data_parallel import SplitSteps
from trainables.base.errors import UserError
from trainables.base.pretrained_config import FineTunedConfig
from trainables.data.encoding.sequences import EncodedSplit
from trainables.pretrained.codec import Codec
from trainables.pretrained.generation import logits_of, reference_loss, translate
from trainables.pretrained.network import load_network, trained_parameters
from trainables.pretrained.preparing import PreparedPretrained
from trainables.training.device import set_up
from trainables.training.loop import passes, to_device
from trainables.training.precision import autocast


class FineTuner:
    """A pretrained network and its optimizer; see `trainables.training.loop.Learns`."""

    def __init__(self, config: FineTunedConfig, codec: Codec, device: torch.device):
        """Raises UserError, TooLarge."""
        set_up(device)
        self.config, self.settings, self.codec, self.device = config, config.training, codec, device
        self.model = load_network(config, device)
        self.trained = dict(trained_parameters(self.model))
        matrices = [parameter for parameter in self.trained.values() if parameter.ndim > 1]
        others = [parameter for parameter in self.trained.values() if parameter.ndim < 2]
        groups = [(matrices, self.settings.weight_decay), (others, 0.0)]
        self.optimizer = torch.optim.AdamW(
            [{"params": parameters, "weight_decay": decay} for parameters, decay in groups if parameters],
            lr=self.settings.learning_rate,
            fused=True,
        )

    @property
    def evaluated(self) -> Any:
        """The network."""
        return self.model

    def step(self, rate: float) -> Tensor:
        """Clip the gradients and take an optimizer step; returns their norm before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm

    def state(self) -> dict[str, Any]:
        """The weights that are trained, and the optimizer. Random numbers depend only on seed and step."""
        weights = {name: parameter.detach().clone() for name, parameter in self.trained.items()}
        return {"model": weights, "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint. Raises UserError if it is of another model."""
        self.load_weights(state["model"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set the weights that are trained. Raises UserError if they are of another model."""
        shapes = {name: tensor.shape for name, tensor in weights.items()}
        if shapes != {name: parameter.shape for name, parameter in self.trained.items()}:
            raise UserError(f"pretrained.model: {self.config.pretrained.model}: the checkpoint is of another model")
        for name, parameter in self.trained.items():
            parameter.copy_(weights[name])

    def best_weights(self) -> dict[str, Tensor]:
        """The weights that are trained, on the CPU."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.trained.items()}

    def keep(self, weights: dict[str, Tensor]) -> None:
        """Set the weights, for a training that has ended."""
        self.load_weights(weights)

    def reference_loss(self, split: EncodedSplit) -> float:
        """Negative log-likelihood of the references, in nats, summed over all their tokens, without label smoothing."""
        with autocast(self.device, self.settings.precision):
            return reference_loss(self.model, split, self.settings.forward_tokens)

    def translate(self, sentences: list[str]) -> list[str]:
        """Translations by greedy search, in the order of the sentences."""
        with autocast(self.device, self.settings.precision):
            return translate(self.model, self.codec, sentences)


class FineTuningSteps:
    """Steps of fine-tuning; see `trainables.training.loop.Steps`."""

    def __init__(self, config: FineTunedConfig, prepared: PreparedPretrained, device: torch.device):
        """Raises UserError, TooLarge."""
        self.learner = FineTuner(config, prepared.codec, device)
        self._nll = torch.zeros((), device=device, dtype=torch.float64 if device.type == "cpu" else torch.float32)

    def begin(self, seed: int) -> None:
        """Begin a round: set training mode and seed the random numbers."""
        self.learner.model.train()
        torch.manual_seed(seed)
        self._nll.zero_()

    def __call__(self, source: Tensor, target: Tensor, rate: float) -> float | None:
        """Take one step on a batch (B, S), (B, T) at a learning rate; returns the norm of the gradient."""
        tokens = int((target[:, 1:] != PAD).sum())
        self._add_gradients(source, target, 1 / tokens)
        norm = self.learner.step(rate)
        return float(norm) if self.learner.device.type == "cpu" else None

    def loss(self) -> float:
        """The negative log-likelihood of the target tokens, in nats, summed since `begin`."""
        return float(self._nll)

    def _add_gradients(self, source: Tensor, target: Tensor, scale: float) -> None:
        """Forward and backward passes of the objective, summed over the target's tokens, times a scale."""
        source, target = (to_device(ids, self.learner.device) for ids in (source, target))
        for rows in passes(source, target, self.learner.settings.forward_tokens):
            self._add_gradients_of_pass(source[rows], target[rows], scale)

    def _add_gradients_of_pass(self, source: Tensor, target: Tensor, scale: float) -> None:
        device, smoothing = self.learner.device, self.learner.settings.label_smoothing
        with autocast(device, self.learner.settings.precision):
            logits, gold = logits_of(self.learner.model, source, target)
        log_p = logits.log_softmax(dim=-1)
        nll = -log_p.gather(1, gold.unsqueeze(1)).sum()
        objective = (1 - smoothing) * nll - smoothing * log_p.mean(dim=-1).sum() if smoothing else nll
        if objective.requires_grad:  # not if layer drop skipped all layers with adapters
            (objective * scale).backward()  # type: ignore[no-untyped-call]
        self._nll += nll.detach()


class ParallelFineTuningSteps(SplitSteps, FineTuningSteps):
    """Those of one of several processes."""

    learner: FineTuner
