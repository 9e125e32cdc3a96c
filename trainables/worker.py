"""The trainable that Ray Tune runs: one assignment of the search, epoch by epoch, for any problem."""

import gc
import os
import platform
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import ray
import torch
from ray import tune

from trainables.assignment import (
    Answer,
    Assignment,
    Ended,
    Halted,
    Reported,
    WorkerSetup,
    read_assignment,
    read_setup,
    to_result,
)
from trainables.base.checkpoint_files import KEEP
from trainables.base.config import TrialConfig
from trainables.base.errors import Diverged, MachineLeaves, MetricFails, StorageFails, TooLarge, UserError
from trainables.base.files import unwritable
from trainables.base.installed import find_other_versions, own_versions
from trainables.base.locks import join_driver
from trainables.base.metrics import Metric
from trainables.base.outcomes import Outcome
from trainables.base.ray_internals import draining_nodes
from trainables.base.report import Report
from trainables.base.user_code import import_named
from trainables.sharing.storage import Storage


class Training(Protocol):
    """How the trials of a problem are trained; the second part of a problem."""

    def train(
        self, configs: Sequence[Any], cache: Path, folders: Sequence[Path], gpus: int, keep: int
    ) -> Generator[Report]:
        """Train one trial, or several as one, on this process's device.

        Args:
            configs: The configurations; several only if the problem said that they can be trained as one.
            cache: The folder that trials share; it may be written.
            folders: The trials' folders of checkpoints, named as in `checkpoint_files`. If a trial already has a
            checkpoint, its report comes first again, and training continues after it, with the numbers of an
            uninterrupted run.
            gpus: How many GPUs to train on, if more than one; 0 or 1 otherwise.
            keep: How many of the last checkpoints to keep.

        Yields:
            After each round its report, with the checkpoint already on disk; or Diverged, which ends a trial.

        Raises:
            TooLarge: If a trial does not fit into memory.
            UserError, ValueError, RuntimeError: For errors that end these trials as failed.
        """
        ...

    def bring(self, config: Any, storage: Storage) -> Path:
        """Make the cache on a node that shares no folder with the driver."""
        ...


class Trained(Protocol):
    """The part of `search.settings.problem.Problem` that a worker uses."""

    config: type[TrialConfig]
    metrics: Mapping[str, Metric]

    def part(self, name: str) -> Any:
        """The part of the problem with this name."""
        ...


def find_trained(name: str, home: Path) -> Trained:
    """The problem module:NAME, in a process whose working directory is not the driver's. Raises UserError."""
    if str(home) not in sys.path:
        sys.path.append(str(home))
    found: Trained = import_named(name, "problem")
    return found


def train_trials(given: dict[str, Any]) -> None:
    """Train, reporting each epoch to Tune once its checkpoint is on disk.

    given: an assignment and the worker's setup, as `to_tune` makes them. An exception means that the process is broken,
    never that the configuration is bad; MachineLeaves, that the trial should continue on another machine.
    """
    setup = read_setup(given)
    if others := find_other_versions(setup.versions, own_versions()):  # on a node that joined during the search
        _answer(Halted(f"node {platform.node()}: {'; '.join(others)}; then resume"))
        return
    try:
        if setup.storage is None:
            join_driver(setup.driver_lock)
    except FileNotFoundError as error:
        reason = f"{error.filename}: node {platform.node()} lacks it; mount there what holds output_dir, then resume"
        _answer(Halted(reason))
        return
    except UserError as error:
        _answer(Halted(str(error)))
        return
    _leave_drained_node()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if torch.cuda.is_available() and 0 < setup.gpus < 1:  # others use the rest
        torch.cuda.set_per_process_memory_fraction(setup.gpus)
    problem = find_trained(setup.problem, setup.home)
    assignment = read_assignment(given, problem.config)
    trials = assignment.group
    configs, running = [trial.config for trial in trials], set(range(len(trials)))
    training: Training = problem.part("training")
    try:
        with (
            _folders(trials, setup, training) as (cache, folders),
            closing(training.train(configs, cache, folders, int(setup.gpus), setup.keep)) as reports,
        ):
            for place, report in reports:
                number = trials[place].number
                if isinstance(report, Diverged):
                    running.discard(place)
                    _answer(Ended(number, Outcome.DIVERGED, str(report)))
                    continue
                if missing := problem.metrics.keys() - report.figures.keys():
                    raise UserError(f"training reported no {', '.join(sorted(missing))}, which the problem promises")
                if setup.storage:
                    setup.storage.send(folders[place], trials[place].key, setup.keep)
                _answer(Reported(number, replace(report, devices=(setup.gpus or 1.0) * report.devices)))
                _leave_drained_node()
    except (StorageFails, MetricFails) as error:
        _answer(Halted(str(error)))
    except OSError as error:
        _answer(Halted(str(unwritable(assignment.checkpoints, error))))
    except (UserError, ValueError, RuntimeError) as error:
        if isinstance(error, torch.AcceleratorError) and not _lacks_memory(error):
            raise  # the GPU, or this process's state of it, is broken
        outcome, message = _outcome_of(error)
        for place in running:
            _answer(Ended(trials[place].number, outcome, message))
    finally:
        if torch.cuda.is_available():  # the next trial runs in this process
            gc.collect()
            torch.cuda.empty_cache()


def _answer(answer: Answer) -> None:
    tune.report(to_result(answer))


@contextmanager
def _folders(trials: Sequence[Assignment], setup: WorkerSetup, training: Training) -> Iterator[tuple[Path, list[Path]]]:
    """The cache and each trial's folder of checkpoints on this node."""
    storage = setup.storage
    if storage is None:
        yield setup.cache, [trial.checkpoints for trial in trials]
        return
    with ExitStack() as stack:
        folders = [stack.enter_context(storage.scratch(trial.key)) for trial in trials]
        for trial, folder in zip(trials, folders, strict=True):
            # The last seconds of a driver may be lost, so checkpoints may be ahead of the next driver's study. Then the
            # worker starts from an older one, or from the beginning, with the same numbers, as these follow from
            # configuration and seed.
            newest = trial.progress + trial.config.training.report_every
            storage.fetch(trial.key, folder, KEEP, at_most=newest)
        yield training.bring(trials[0].config, storage), folders


def _outcome_of(error: Exception) -> tuple[Outcome, str]:
    """The outcome that the error means for a trial, and the message."""
    if isinstance(error, UserError):
        return Outcome.INFEASIBLE if isinstance(error, TooLarge) else Outcome.FAILED, str(error)
    if _lacks_memory(error):
        return Outcome.INFEASIBLE, f"memory is too small for it: {error}"
    return Outcome.FAILED, f"{type(error).__name__}: {error}"


def _lacks_memory(error: Exception) -> bool:
    said = ("can't allocate memory", "CUDA error: out of memory", "ALLOC_FAILED")  # CPU; GPU, outside PyTorch's pool
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in said)


def _leave_drained_node() -> None:
    """Raises MachineLeaves if Ray was told to drain this node, as Tune would use this process for the next trial."""
    if ray.get_runtime_context().get_node_id() in draining_nodes():
        raise MachineLeaves(f"{platform.node()} is about to be taken away")
