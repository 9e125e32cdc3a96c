"""Steps of several models of one shape as one computation; on a GPU, as captured graphs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.special_tokens import PAD
from model.stacking import Stack
from trainables.acceleration.graphs import Capturable, StepGraphs, make_capturable
from trainables.base.translation_config import TranslationConfig
from trainables.data.encoding.batching import batch_sizes
from trainables.data.encoding.preparing import Prepared
from trainables.training.learner import Learner
from trainables.training.loop import to_device
from trainables.training.loss import linear_cross_entropy
from trainables.training.precision import autocast
from trainables.training.training_run import Batch


class StackedStep:
    """Steps of K models at a time, each with its own batch, learning rate and dropout masks.

    On a GPU, if batches have few shapes (`training.batch_shapes`), steps run as CUDA graphs; K may be 1 for that.
    """

    def __init__(self, configs: Sequence[TranslationConfig], prepared: Prepared, device: torch.device):
        """configs: those for which `can_train_as_one` is true. Raises TooLarge."""
        self.learners = [Learner(config, prepared, device) for config in configs]
        self._device = device
        self._generators = [torch.Generator(device) for _ in configs] if len(configs) > 1 else []
        self._stack = Stack([each.model for each in self.learners], self._generators) if self._generators else None
        self._nll = torch.zeros(len(configs), device=device)  # since `begin`
        settings = configs[0].training
        graphs = device.type == "cuda" and configs[0].captured
        self._sizes = batch_sizes(prepared.train, settings) if graphs else []
        self._captured: StepGraphs | None = None

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin a round, with a seed for each model's random numbers.

        The first call on a GPU captures the graphs, which takes about a second.
        """
        for learner in self.learners:
            learner.model.train()
        if self._stack is not None:
            self._stack.train()
        if self._sizes and self._captured is None:
            self._captured = self._capture()
        torch.manual_seed(seeds[0])  # the generator of a single model
        for generator, seed in zip(self._generators, seeds, strict=False):
            generator.manual_seed(seed)
        self._nll.zero_()

    def __call__(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Take one step of each model. If one diverges, its loss is not finite."""
        for learner, rate in zip(self.learners, rates, strict=True):
            learner.optimizer.set_rate(rate)
        source, target = (to_device(torch.stack(side), self._device) for side in zip(*batches, strict=True))
        if self._captured is not None:
            self._captured(source, target)
        else:
            self._compute(source, target)

    def losses(self) -> list[float]:
        """Summed negative log-likelihood of each model's target tokens since `begin`, in nats; waits for a GPU."""
        losses: list[float] = self._nll.tolist()
        return losses

    def _compute(self, source: Tensor, target: Tensor) -> None:
        """source: (K, B, S), target: (K, B, T), on the device. Works in place, and does not wait for the device."""
        self._clear_gradients()
        self._nll += self._add_gradients(source, target)
        for learner in self.learners:
            learner.clip_and_step()

    def _add_gradients(self, source: Tensor, target: Tensor) -> Tensor:
        """Add the gradients of each model's objective per token; returns their negative log-likelihoods, (K,)."""
        before, gold = target[..., :-1], target[..., 1:]
        # Without autocast's cache of cast weights: a captured step would not contain the casts of an earlier pass.
        with autocast(self._device, self.learners[0].settings.precision, cache_enabled=not self._sizes):
            hidden: Sequence[Tensor]
            weights: Sequence[Tensor]
            if self._stack is None:
                (learner,) = self.learners
                hidden, weights = (learner.model(source[0], before[0]),), (learner.model.output.weight,)
            else:
                hidden, weights = self._stack(source, before).unbind(), self._stack.output_weights()
            smoothing = [learner.settings.label_smoothing for learner in self.learners]
            scales = 1 / (gold != PAD).sum(dim=(1, 2))
            sums = list(map(linear_cross_entropy, hidden, weights, gold, smoothing, scales))
        objectives, nlls = (torch.stack(side) for side in zip(*sums, strict=True))
        objectives.sum().backward()  # type: ignore[no-untyped-call]
        return nlls

    def _clear_gradients(self) -> None:
        for learner in self.learners:
            learner.optimizer.zero_grad(keep=True)

    def _capture(self) -> StepGraphs:
        for learner in self.learners:
            make_capturable(learner)

        def rehearse(source: Tensor, target: Tensor) -> None:
            self._add_gradients(source, target)
            self._clear_gradients()

        computation = Capturable(self._compute, rehearse, self._generators)
        return StepGraphs(computation, len(self.learners), self._sizes, self._device)
