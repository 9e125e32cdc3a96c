"""Training with a user's own class, whose objects train one epoch after another."""

import math
import random
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.errors import Diverged, TooLarge, UserError
from trainables.base.report import TAKEN, EpochReport, Report, read_report
from trainables.base.temporary import user_folder
from trainables.sharing.storage import Storage
from trainables.training.checkpoint import load_state, save_checkpoint
from trainables.training.device import default_device
from trainables.training.gpu import measure, start_measuring


class EpochTrainer(Protocol):
    """One training, made from the configuration of its trial.

    Random numbers of Python, NumPy and PyTorch are seeded before it is made and before each epoch, by the trial's seed
    and the number of the epoch. So an epoch that is trained again after a kill gives the same numbers, as long as
    everything that it changes is in the state.
    """

    def train_epoch(self) -> Mapping[str, float]:
        """Train one epoch, then validate.

        Returns:
            All metrics of the problem, and any other figures to show, by name.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that an epoch changes, as tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        ...

    def test(self) -> Sequence[float]:
        """The score on each item of the test data, which must not be used before."""
        ...


class EpochTraining:
    """Trains one trial by an `EpochTrainer`, with checkpoints, reports and resume; see `trainables.worker.Training`."""

    def __init__(self, make: Callable[[Any], EpochTrainer]):
        """make: The class, or a function that makes an object of it, from the configuration of a trial."""
        self.make = make

    def train(
        self, configs: Sequence[Any], cache: Path, folders: Sequence[Path], gpus: int, keep: int
    ) -> Generator[Report]:
        (config,), (folder,), device = configs, folders, default_device()
        seed_all(config.seed, 0)
        trainer, first = self._guarded(self.make, config), 1
        if found := newest_checkpoint(folder):
            path, values = found
            self._guarded(trainer.load_state_dict, load_state(path, device))
            known = read_report(values)
            first = int(known.epoch) + 1
            yield 0, known
        for epoch in range(first, int(config.training.epochs) + 1):
            seed_all(config.seed, epoch)
            start_measuring(device)
            started = time.perf_counter()
            figures = _checked(self._guarded(trainer.train_epoch))
            seconds, gpu = time.perf_counter() - started, measure(device)
            if wrong := [name for name, value in figures.items() if not math.isfinite(value)]:
                yield 0, Diverged(f"{wrong[0]} became {figures[wrong[0]]} in epoch {epoch}")
                return
            report = EpochReport(
                epoch=epoch,
                step=epoch,
                figures=figures,
                train_seconds=seconds,
                eval_seconds=0.0,
                gpu_memory_gib=gpu.memory_gib,
                gpu_utilization=gpu.utilization,
            )
            save_checkpoint(folder, "epoch", epoch, self._guarded(trainer.state_dict), report.stored(), keep)
            yield 0, report

    def load(self, config: Any, state: dict[str, Any]) -> EpochTrainer:
        """A trainer with the state of a checkpoint. Raises UserError."""
        seed_all(config.seed, 0)
        trainer: EpochTrainer = self._guarded(self.make, config)
        self._guarded(trainer.load_state_dict, state)
        return trainer

    def bring(self, config: Any, storage: Storage) -> Path:
        return user_folder()

    def _guarded(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The result of the user's code. Raises UserError with the place of an error, and TooLarge."""
        try:
            return call(*arguments)
        except (UserError, OSError, torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except MemoryError as error:
            raise TooLarge(f"memory is too small for it: {error}") from error
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise UserError(f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})") from error


def seed_all(seed: int, epoch: int) -> None:
    """Seed the random numbers of Python, NumPy and PyTorch for an epoch; 0 is before the first."""
    number = (seed * 1_000_003 + epoch) % 2**32
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def _checked(figures: Any) -> dict[str, float]:
    """The figures; raises UserError if they are not numbers by name, or have a name that reports need."""
    if not isinstance(figures, Mapping):
        raise UserError(f"train_epoch returned {type(figures).__name__}; return a dict of numbers by name")
    checked = {}
    for name, value in figures.items():
        if not isinstance(name, str) or name in TAKEN:
            raise UserError(f"train_epoch returned a figure {name!r}, a name that reports need; choose another")
        try:
            checked[name] = float(value)
        except (TypeError, ValueError):
            raise UserError(f"train_epoch returned {value!r} as {name}; return a number") from None
    return checked
