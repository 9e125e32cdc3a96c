"""Learners that step together: one as a rule, or several of one shape whose models are computed as one."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from model.stacking import Stack
from model.transformer import PAD
from trainables.base.config import TrialConfig
from trainables.base.errors import Diverged
from trainables.data.batching import batch_sizes
from trainables.data.preparing import Prepared
from trainables.training.capturing import CapturedSteps
from trainables.training.group import ALONE, Group
from trainables.training.learning import Learner, hidden_loss, learning_rate, loss_sums

Batch = tuple[Tensor, Tensor]  # source (B, S) and target (B, T), ids
OTHER_MASKS = 104_729  # seeds of the processes of a group lie so far apart


class Team:
    """What trains: takes a batch for each learner, and leaves their weights a step further.

    On a GPU, where batches have few shapes (`training.batch_shapes`), steps run as captured graphs.
    """

    def __init__(self, configs: Sequence[TrialConfig], prepared: Prepared, device: torch.device, group: Group = ALONE):
        """configs: such that `can_learn_together`; with a group just one. Raises TooLarge."""
        if device.type == "cuda":
            # It makes a plan for each new shape of a batch, which takes longer than the step; PyTorch prefers it.
            torch.backends.cuda.enable_cudnn_sdp(False)
        self.device, self.group = device, group
        self.learners = [Learner(config, prepared, device) for config in configs]
        self._generators = [torch.Generator(device) for _ in configs] if len(configs) > 1 else []
        self._stack = Stack([each.model for each in self.learners], self._generators) if self._generators else None
        self._nll = torch.zeros(len(configs), device=device)  # since `begin`
        settings = configs[0].training
        graphs = device.type == "cuda" and settings.batch_shapes is not None and group.size == 1
        self._sizes = batch_sizes(prepared.train, settings) if graphs else []
        self._captured: CapturedSteps | None = None

    def begin(self, number: int) -> None:
        """Before the steps of a round; all their randomness follows from seeds and number, so that a checkpoint holds
        none. The first time on a GPU it takes a second or so."""
        for learner in self.learners:
            learner.model.train()
        if self._stack is not None:
            self._stack.train()
        if self._sizes and self._captured is None:
            self._captured = self._capture()
        seeds = [learner.config.seed * 1_000_003 + number + self.group.rank * OTHER_MASKS for learner in self.learners]
        torch.manual_seed(seeds[0])  # what one by itself draws from
        for generator, seed in zip(self._generators, seeds, strict=False):
            generator.manual_seed(seed)
        self._nll.zero_()

    def step(self, batches: Sequence[Batch], number: int, epoch_steps: int) -> None:
        """The optimizer step of that number, counted from 1 over all epochs; a batch for each learner. Raises Diverged
        where a single one's gradient does on a CPU; else `losses` are no numbers then."""
        for learner in self.learners:
            learner.set_rate(learning_rate(number, epoch_steps * learner.settings.epochs, learner.settings))
        sides = list(zip(*batches, strict=True))
        if self._captured is not None:
            self._captured(*(_sent(torch.stack(side), self.device) for side in sides))
        elif self._stack is not None:
            self._step_as_one(*(_sent(torch.stack(side), self.device) for side in sides))
        else:
            norm = self._step_alone(*batches[0])
            if self.device.type == "cpu" and not math.isfinite(float(norm)):
                rate = self.learners[0].optimizer.param_groups[0]["lr"]
                epoch = -(-number // epoch_steps)
                raise Diverged(
                    f"the gradient became {float(norm)} in epoch {epoch}, step {number}, at learning rate {rate:.3g}"
                )

    def losses(self) -> list[float]:
        """Summed negative log-likelihood of each learner's target tokens since `begin`; waits for a GPU."""
        self.group.sum([self._nll])
        losses: list[float] = self._nll.tolist()
        return losses

    def _step_alone(self, source: Tensor, target: Tensor) -> Tensor:
        """The norm of the gradient. That and the loss are of the whole batch, not of this process' part."""
        (learner,) = self.learners
        count = int((target[:, 1:] != PAD).sum())
        learner.optimizer.zero_grad()
        source, target = (_sent(self.group.part(side), self.device) for side in (source, target))
        if len(source):
            with self._autocast():
                objective, nll = loss_sums(learner.model, source, target, learner.settings.label_smoothing, 1 / count)
            objective.backward()  # type: ignore[no-untyped-call]
            self._nll += nll
        if self.group.size > 1:
            self.group.sum([_gradient(parameter) for parameter in learner.model.parameters()])
        return learner.update()

    def _step_as_one(self, source: Tensor, target: Tensor) -> None:
        """source: (K, B, S), target: (K, B, T), on the device. Works in place, and asks the device for nothing."""
        self._clear_gradients()
        self._nll += self._add_gradients(source, target)
        for learner in self.learners:
            learner.update()

    def _add_gradients(self, source: Tensor, target: Tensor) -> Tensor:
        """Add the gradients of each learner's objective per token; returns their negative log-likelihoods, (K,)."""
        before, gold = target[..., :-1], target[..., 1:]
        with self._autocast():
            hidden: Sequence[Tensor]
            weights: Sequence[Tensor]
            if self._stack is None:
                (learner,) = self.learners
                hidden, weights = (learner.model(source[0], before[0]),), (learner.model.output.weight,)
            else:
                hidden, weights = self._stack(source, before).unbind(), self._stack.output_weights()
            smoothing = [learner.settings.label_smoothing for learner in self.learners]
            scales = 1 / (gold != PAD).sum(dim=(1, 2))
            sums = list(map(hidden_loss, hidden, weights, gold, smoothing, scales))
        objectives, nlls = (torch.stack(side) for side in zip(*sums, strict=True))
        objectives.sum().backward()  # type: ignore[no-untyped-call]
        return nlls

    def _clear_gradients(self) -> None:
        for learner in self.learners:
            learner.optimizer.zero_grad(set_to_none=False)

    def _capture(self) -> CapturedSteps:
        for learner in self.learners:
            learner.stay_in_place()

        def rehearse(source: Tensor, target: Tensor) -> None:
            self._add_gradients(source, target)
            self._clear_gradients()

        return CapturedSteps(
            self._step_as_one, rehearse, len(self.learners), self._sizes, self.device, self._generators
        )

    def _autocast(self) -> torch.autocast:
        # Casts of weights are not kept from one pass to the next: a captured step would miss those of the first.
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.device.type == "cuda", cache_enabled=not self._sizes
        )


def _sent(ids: Tensor, device: torch.device) -> Tensor:
    """On the device, without waiting for it."""
    return ids if device.type == "cpu" else ids.contiguous().pin_memory().to(device, non_blocking=True)


def _gradient(parameter: Tensor) -> Tensor:
    """Where it is None, as where a process had no rows, zeros in its place."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
