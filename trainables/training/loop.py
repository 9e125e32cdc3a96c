"""The training loop: batch, forward, loss, backward, clip, update, and a report after each round of steps.

A round is an epoch, or as many steps or tokens as `training` says. Runs without Ray.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

import torch
from torch import Tensor

from model.special_tokens import PAD
from model.transformer import Transformer
from trainables.base.checkpoint_files import KEEP, newest_checkpoint
from trainables.base.errors import Diverged
from trainables.base.report import EpochReport
from trainables.base.translation_config import TranslationConfig
from trainables.base.translator_config import TranslatorConfig
from trainables.data.encoding.preparing import Prepared, PreparedText
from trainables.training.device import default_device
from trainables.training.gpu import measure, start_measuring
from trainables.training.learner import Learner
from trainables.training.loss import linear_cross_entropy
from trainables.training.optimizer import learning_rate
from trainables.training.precision import autocast
from trainables.training.training_run import Learns, Trained, TrainingRun

C = TypeVar("C", bound=TranslatorConfig)
P = TypeVar("P", bound=PreparedText)
MakeStep = Callable[[TranslationConfig, Prepared, torch.device], "Step"]


class Steps(Protocol):
    """The part of the loop that takes optimizer steps."""

    @property
    def learner(self) -> Learns:
        """The model that learns by them."""
        ...

    def begin(self, seed: int) -> None:
        """Begin a round. Its random numbers depend only on the seed, so checkpoints contain no random state."""
        ...

    def __call__(self, source: Tensor, target: Tensor, rate: float) -> float | None:
        """Take one step on a batch at a learning rate.

        Returns the norm of the gradient, or None if reading it would wait for a GPU.
        """
        ...

    def loss(self) -> float:
        """The negative log-likelihood of the target tokens, in nats, summed since `begin`; waits for a GPU."""
        ...


class Step(Steps, Protocol):
    """Steps of a transformer of ours: `EagerStep`, or one of trainables/acceleration/."""

    learner: Learner


class EagerStep:
    """Steps of one model on one device, without graphs or stacking."""

    def __init__(self, config: TranslationConfig, prepared: Prepared, device: torch.device):
        """Raises TooLarge."""
        self.learner = Learner(config, prepared, device)
        self._device, self._nll = device, torch.zeros((), device=device)

    def begin(self, seed: int) -> None:
        """Begin a round: set training mode and seed the random numbers."""
        self.learner.model.train()
        torch.manual_seed(seed)
        self._nll.zero_()

    def __call__(self, source: Tensor, target: Tensor, rate: float) -> float | None:
        """Take one step on a batch (B, T) at a learning rate; returns the norm of the gradient."""
        tokens = int((target[:, 1:] != PAD).sum())
        self.learner.optimizer.set_rate(rate)
        self.learner.optimizer.zero_grad()
        self._add_gradients(source, target, 1 / tokens)
        norm = self.learner.clip_and_step()
        return float(norm) if self._device.type == "cpu" else None

    def _add_gradients(self, source: Tensor, target: Tensor, scale: float) -> None:
        """Forward and backward passes of the objective, summed over the target's tokens, times a scale."""
        source, target = (to_device(ids, self._device) for ids in (source, target))
        model, settings = self.learner.model, self.learner.settings
        for rows in passes(source, target, settings.forward_tokens):
            with autocast(self._device, settings.precision):
                hidden, gold = model(source[rows], target[rows, :-1]), target[rows, 1:]
                weight, smoothing = model.output.weight, settings.label_smoothing
                objective, nll = linear_cross_entropy(hidden, weight, gold, smoothing, scale)
            objective.backward()  # type: ignore[no-untyped-call]
            self._nll += nll

    def loss(self) -> float:
        """The negative log-likelihood of the target tokens, in nats, summed since `begin`."""
        return float(self._nll)


def passes(source: Tensor, target: Tensor, most: int | None) -> Iterator[slice]:
    """The rows of each forward pass of a batch (B, S), (B, T): at most so many tokens, padding included; None: all."""
    columns = source.shape[1] + target.shape[1] - 1
    rows = len(source) if most is None else max(1, most // columns)
    for first in range(0, len(source), rows):
        yield slice(first, first + rows)


def to_device(ids: Tensor, device: torch.device) -> Tensor:
    """The ids on the device, without waiting for it."""
    return ids if device.type == "cpu" else ids.contiguous().pin_memory().to(device, non_blocking=True)


@overload
def train(
    config: TranslationConfig,
    prepared: Prepared,
    checkpoints: Path | None = None,
    device: torch.device | None = None,
    *,
    keep: int = KEEP,
    make_step: MakeStep = EagerStep,
) -> Generator[tuple[EpochReport, Transformer]]: ...
@overload
def train(
    config: C,
    prepared: P,
    checkpoints: Path | None = None,
    device: torch.device | None = None,
    *,
    keep: int = KEEP,
    make_step: Callable[[C, P, torch.device], Steps],
) -> Generator[tuple[EpochReport, torch.nn.Module]]: ...
def train(
    config: Any,
    prepared: Any,
    checkpoints: Path | None = None,
    device: torch.device | None = None,
    *,
    keep: int = KEEP,
    make_step: Callable[[Any, Any, torch.device], Steps] = EagerStep,
) -> Generator[tuple[EpochReport, Any]]:
    """Train, and yield the report and the model after each round, when its checkpoint is on disk.

    checkpoints: a folder, in which the last `keep` are kept. If it already has a checkpoint, its report comes first
    again, and training continues after it, with the numbers of an uninterrupted run. Raises Diverged if the loss or the
    gradient is not finite, TooLarge, and UserError if a round would be without a step.
    """
    device = device or default_device()
    step = make_step(config, prepared, device)
    run = TrainingRun(config, prepared, step.learner, checkpoints, keep)
    if checkpoints and (found := newest_checkpoint(checkpoints)):
        yield run.resume(*found), run.learner.evaluated.eval()
    batches = run.batches()
    for progress, steps in run.steps():
        if run.patience is not None and run.patience.is_over:
            yield run.repeat_best(progress), run.learner.evaluated
            continue
        start_measuring(device)
        started, tokens = time.perf_counter(), 0
        step.begin(run.seed(progress))
        for number in steps:
            source, target = next(batches)
            rate = learning_rate(number, run.rounds.total_steps, config.training)
            norm = step(source, target, rate)
            if norm is not None and not math.isfinite(norm):
                where = f"epoch {run.epoch(number)}, step {number}, at learning rate {rate:.3g}"
                raise Diverged(f"the gradient became {norm} in {where}")
            tokens += int((target[:, 1:] != PAD).sum())
        loss = step.loss() / tokens  # waits for a GPU only at the end of a round, to keep its queue full
        trained = Trained(loss, tokens, time.perf_counter() - started, measure(device))
        yield run.report(trained, progress), run.learner.evaluated
