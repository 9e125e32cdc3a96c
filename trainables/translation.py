"""The trainable that Ray Tune runs: one assignment of the search, epoch by epoch."""

import gc
import os
import platform
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from trainables.acceleration.captured import choose_step
from trainables.acceleration.data_parallel import train_data_parallel
from trainables.acceleration.side_by_side import Report, train_side_by_side
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
from trainables.base.errors import Diverged, MachineLeaves, StorageFails, TooLarge, UserError
from trainables.base.files import unwritable
from trainables.base.installed import find_other_versions, own_versions
from trainables.base.locks import join_driver
from trainables.base.outcomes import Outcome
from trainables.base.ray_internals import draining_nodes
from trainables.data.preparing import prepare
from trainables.training.loop import train


def train_translation(given: dict[str, Any]) -> None:
    """Train, reporting each epoch to Tune once its checkpoint is on disk.

    given: an assignment and the worker's setup, as `to_tune` makes them. An exception means that the process is broken,
    never that the configuration is bad; MachineLeaves, that the trial should go on elsewhere.
    """
    setup = read_setup(given)
    if others := find_other_versions(setup.versions, own_versions()):  # of a node that joined during the search
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
    _stay_where_it_lasts()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if torch.cuda.is_available() and 0 < setup.gpus < 1:  # the rest is others'
        torch.cuda.set_per_process_memory_fraction(setup.gpus)
    assignment = read_assignment(given)
    trials = assignment.team
    configs, running = [trial.config for trial in trials], set(range(len(trials)))
    try:
        with (
            _places(trials, setup) as (cache, folders),
            closing(_reports(configs, cache, folders, int(setup.gpus), setup.keep)) as reports,
        ):
            for place, report in reports:
                number = trials[place].number
                if isinstance(report, Diverged):
                    running.discard(place)
                    _answer(Ended(number, Outcome.DIVERGED, str(report)))
                    continue
                if setup.storage:
                    setup.storage.send(folders[place], trials[place].key, setup.keep)
                _answer(Reported(number, replace(report, devices=(setup.gpus or 1.0) * report.devices)))
                _stay_where_it_lasts()
    except StorageFails as error:
        _answer(Halted(str(error)))
    except OSError as error:
        _answer(Halted(str(unwritable(assignment.checkpoints, error))))
    except (UserError, ValueError, RuntimeError) as error:
        if isinstance(error, torch.AcceleratorError) and not _lacks_memory(error):
            raise  # the GPU, or what this process has of it, is broken
        outcome, message = _verdict(error)
        for place in running:
            _answer(Ended(trials[place].number, outcome, message))
    finally:
        if torch.cuda.is_available():  # the next trial runs in this process
            gc.collect()
            torch.cuda.empty_cache()


def _answer(answer: Answer) -> None:
    tune.report(to_result(answer))


@contextmanager
def _places(trials: Sequence[Assignment], setup: WorkerSetup) -> Iterator[tuple[Path, list[Path]]]:
    """The cache, and each trial's checkpoints, as this node has them."""
    storage = setup.storage
    if storage is None:
        yield setup.cache, [trial.checkpoints for trial in trials]
        return
    with ExitStack() as stack:
        folders = [stack.enter_context(storage.scratch(trial.key)) for trial in trials]
        for trial, folder in zip(trials, folders, strict=True):
            # A driver's last seconds may be lost, and checkpoints be ahead of what the next one knows. It takes an
            # older one, or the start, and comes to the same numbers, as these follow from configuration and seed.
            newest = trial.progress + (trial.config.training.report_steps or 1)
            storage.fetch(trial.key, folder, KEEP, at_most=newest)
        yield storage.bring(trials[0].config), folders


def _reports(configs: list[TrialConfig], cache: Path, folders: list[Path], size: int, keep: int) -> Generator[Report]:
    """The reports of the trials, each with its place among them. size: whole GPUs."""
    if len(configs) > 1:
        yield from train_side_by_side(configs, cache, folders, keep)
        return
    config, folder = configs[0], folders[0]
    if size > 1:
        alone = train_data_parallel(config, cache, folder, size, keep)
    else:
        prepared = prepare(config.data, config.tokenizer, cache)
        alone = train(config, prepared, folder, keep=keep, make_step=choose_step)
    with closing(alone) as reports:
        try:
            for report, _ in reports:
                yield 0, report
        except Diverged as error:
            yield 0, error.with_traceback(None)  # whose frames hold the model


def _verdict(error: Exception) -> tuple[Outcome, str]:
    """The outcome that the error means for a trial, and the message."""
    if isinstance(error, UserError):
        return Outcome.INFEASIBLE if isinstance(error, TooLarge) else Outcome.FAILED, str(error)
    if _lacks_memory(error):
        return Outcome.INFEASIBLE, f"memory is too small for it: {error}"
    return Outcome.FAILED, f"{type(error).__name__}: {error}"


def _lacks_memory(error: Exception) -> bool:
    said = ("can't allocate memory", "CUDA error: out of memory", "ALLOC_FAILED")  # on a CPU; outside PyTorch's memory
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in said)


def _stay_where_it_lasts() -> None:
    """Raises MachineLeaves where Ray was told to drain this node: this process would go on to be used there."""
    if ray.get_runtime_context().get_node_id() in draining_nodes():
        raise MachineLeaves(f"{platform.node()} is about to be taken away")
