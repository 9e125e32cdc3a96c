"""One trial on several GPUs of its machine: one process for each, with the same batches and numbers as on one GPU."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainables.acceleration.group import Group, join, leave
from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.ending import end_with_parent
from trainables.base.errors import TooLarge
from trainables.base.files import make_folder
from trainables.base.report import EpochReport
from trainables.base.temporary import temporary_folder
from trainables.base.translator_config import TranslatorConfig
from trainables.data.encoding.preparing import PreparedText
from trainables.training.learner import Learner
from trainables.training.loop import EagerStep, Steps, train
from trainables.training.optimizer import learning_rate
from trainables.training.training_run import TrainingRun

TOO_LARGE = "too-large"  # a file beside the checkpoints
OTHER_MASKS = 104_729  # distance between the seeds of the processes


if TYPE_CHECKING:

    class LocalSteps:
        """What `SplitSteps` is mixed into: the steps of a problem by one process."""

        learner: Any
        _nll: Tensor

        def __init__(self, config: Any, prepared: Any, device: torch.device): ...
        def begin(self, seed: int) -> None: ...
        def _add_gradients(self, source: Tensor, target: Tensor, scale: float) -> None: ...
        def loss(self) -> float: ...

else:
    LocalSteps = object


class SplitSteps(LocalSteps):
    """Steps whose batches are split over the processes of a group; losses and gradients are of the whole batch."""

    def __init__(self, config: Any, prepared: Any, device: torch.device, group: Group):
        """Raises TooLarge."""
        super().__init__(config, prepared, device)
        self._group = group

    def begin(self, seed: int) -> None:
        super().begin(seed + self._group.rank * OTHER_MASKS)

    def _add_gradients(self, source: Tensor, target: Tensor, scale: float) -> None:
        rows = slice(self._group.rank, None, self._group.size)  # none if the batch has too few
        if len(source[rows]):
            super()._add_gradients(source[rows], target[rows], scale)
        trained = [parameter for parameter in self.learner.model.parameters() if parameter.requires_grad]
        self._group.sum([_gradient(parameter) for parameter in trained])

    def loss(self) -> float:
        self._group.sum([self._nll])
        return super().loss()


class ParallelStep(SplitSteps, EagerStep):
    """Those of a transformer of ours."""

    learner: Learner


@dataclass(frozen=True)
class Parts:
    """What the processes need to train a model; both are known by name, as the processes don't share memory.

    Attributes:
        prepare: The corpus of a trial, from its configuration and the cache.
        steps: A class of steps, `SplitSteps` of a problem.
    """

    prepare: Callable[[Any, Path], Any]
    steps: Callable[[Any, Any, torch.device, Group], Steps]


def _gradient(parameter: Tensor) -> Tensor:
    """The parameter's gradient, set to zeros if there is none, as in a process without rows."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def train_data_parallel(
    parts: Parts, config: TranslatorConfig, cache: Path, checkpoints: Path, size: int, keep: int
) -> Generator[tuple[EpochReport, torch.nn.Module]]:
    """`train` by `size` processes, of which this is the first and the only one that validates and saves.

    Gradients are summed over the whole batch, so without dropout the numbers are those of one process except for
    rounding; with dropout each process draws its own masks.
    """
    if (checkpoints / TOO_LARGE).exists():
        raise TooLarge(f"model: its part of a batch does not fit into one of its {size} GPUs")
    with temporary_folder() as folder:
        group = Group(0, size, folder / "rendezvous")
        with _others(parts, config, cache, checkpoints, group) as end_others:
            join(group)
            try:
                prepared, device = parts.prepare(config, cache), group.device()

                def make_step(config: Any, prepared: Any, device: torch.device) -> Steps:
                    return parts.steps(config, prepared, device, group)

                yield from train(config, prepared, checkpoints, device, keep=keep, make_step=make_step)
            finally:
                end_others()  # before `leave`, as they may wait for this process
                leave()


@contextmanager
def _others(
    parts: Parts, config: TranslatorConfig, cache: Path, checkpoints: Path, group: Group
) -> Iterator[Callable[[], None]]:
    """Start the other processes; yields a function that ends them. If one dies, this one exits, as it would hang."""
    spawn = multiprocessing.get_context("spawn")
    others = [
        spawn.Process(
            target=_follow,
            args=(parts, config, cache, checkpoints, replace(group, rank=rank), os.getpid()),
            daemon=True,
        )
        for rank in range(1, group.size)
    ]
    needed = threading.Event()
    needed.set()

    def end() -> None:
        needed.clear()
        for other in others:
            other.kill()
            other.join()

    for other in others:
        other.start()
    threading.Thread(target=_die_with_any, args=(others, needed), daemon=True).start()
    try:
        yield end
    finally:
        end()


def _die_with_any(others: list[SpawnProcess], needed: threading.Event) -> None:
    wait([other.sentinel for other in others])
    if needed.is_set() and any(other.exitcode for other in others):
        os._exit(1)


def _follow(parts: Parts, config: TranslatorConfig, cache: Path, checkpoints: Path, group: Group, parent: int) -> None:
    """Run one of the other processes, until the first one ends it or the last step is taken."""
    end_with_parent(parent)
    prepared = parts.prepare(config, cache)
    join(group)
    try:
        take_same_steps(parts, config, prepared, checkpoints, group)
    except (TooLarge, torch.OutOfMemoryError):
        make_folder(checkpoints)
        (checkpoints / TOO_LARGE).touch()  # the next start of the trial reports it
        raise


def take_same_steps(
    parts: Parts, config: TranslatorConfig, prepared: PreparedText, checkpoints: Path, group: Group
) -> None:
    """Take the steps of `train`, without validation, from the same checkpoint. Raises TooLarge."""
    step = parts.steps(config, prepared, group.device(), group)
    run = TrainingRun(config, prepared, step.learner, checkpoints)
    if found := newest_checkpoint(checkpoints):
        run.resume(*found)
    batches = run.batches()
    for progress, steps in run.steps():
        step.begin(run.seed(progress))
        for number in steps:
            step(*next(batches), learning_rate(number, run.rounds.total_steps, config.training))
        step.loss()
