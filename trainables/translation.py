"""The trainable that Ray Tune runs: one assignment of the search, epoch by epoch."""

import gc
import os
import platform
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from trainables.acceleration.captured import choose_step
from trainables.acceleration.data_parallel import train_data_parallel
from trainables.acceleration.side_by_side import Report, train_side_by_side
from trainables.base.checkpoint_files import KEEP
from trainables.base.config import TrialConfig
from trainables.base.errors import Diverged, MachineLeaves, StorageFails, TooLarge, UserError
from trainables.base.files import unwritable
from trainables.base.installed import find_other_versions, own_versions
from trainables.base.locks import join_driver
from trainables.base.outcomes import Outcome
from trainables.base.ray_internals import draining_nodes
from trainables.data.preparing import prepare
from trainables.sharing.storage import Storage
from trainables.training.loop import train


def train_translation(assignment: dict[str, Any]) -> None:
    """Train, reporting each epoch to Tune once its checkpoint is on disk.

    assignment: "number" (of the trial), "config" (a TrialConfig as a dictionary), "checkpoints", "cache", "driver_lock"
    (paths), "storage" (a Storage in the place of those paths, or None), "versions" (the driver's, by `own_versions`),
    "reached" (the last epoch, or step, that the driver knows of), "gpus" (the share of one that may be used), "keep"
    (how many checkpoints stay), "mates" (more trials, each with number, config, checkpoints and reached, to be trained
    as one with this).

    A report has its trial's "number". The last one of a trial that ends by itself carries "outcome" and "message":
    diverged, infeasible (memory is too small for it) or failed, or halted where the machine is at fault, such as a full
    disk, so that it would fail all trials alike. An exception means that the process is broken, never that the
    configuration is bad; MachineLeaves, that the trial should go on elsewhere.
    """
    storage: Storage | None = assignment["storage"]
    if others := find_other_versions(assignment["versions"], own_versions()):  # of a node that joined during the search
        tune.report({"outcome": "halted", "message": f"node {platform.node()}: {'; '.join(others)}; then resume"})
        return
    try:
        if storage is None:
            join_driver(Path(assignment["driver_lock"]))
    except FileNotFoundError as error:
        reason = f"{error.filename}: node {platform.node()} lacks it; mount there what holds output_dir, then resume"
        tune.report({"outcome": "halted", "message": reason})
        return
    except UserError as error:
        tune.report({"outcome": "halted", "message": str(error)})
        return
    _stay_where_it_lasts()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if torch.cuda.is_available() and 0 < assignment["gpus"] < 1:  # the rest is others'
        torch.cuda.set_per_process_memory_fraction(assignment["gpus"])
    trials = [assignment, *assignment["mates"]]
    configs = [TrialConfig.model_validate(trial["config"]) for trial in trials]
    running = set(range(len(trials)))
    try:
        with (
            _places(trials, configs, assignment) as (cache, folders),
            closing(_reports(configs, cache, folders, int(assignment["gpus"]), assignment["keep"])) as reports,
        ):
            for place, report in reports:
                if isinstance(report, Diverged):
                    running.discard(place)
                    tune.report(_outcome(trials[place], Outcome.DIVERGED, report))
                    continue
                if storage:
                    storage.send(folders[place], _key(trials[place]), assignment["keep"])
                report = replace(report, devices=(assignment["gpus"] or 1.0) * report.devices)
                tune.report({"number": trials[place]["number"], **asdict(report)})
                _stay_where_it_lasts()
    except StorageFails as error:
        tune.report(_outcome(assignment, "halted", error))
    except OSError as error:
        tune.report(_outcome(assignment, "halted", unwritable(Path(assignment["checkpoints"]), error)))
    except (UserError, ValueError, RuntimeError) as error:
        if isinstance(error, torch.AcceleratorError) and not _lacks_memory(error):
            raise  # the GPU, or what this process has of it, is broken
        for place in running:
            tune.report(_outcome(trials[place], *_verdict(error)))
    finally:
        if torch.cuda.is_available():  # the next trial runs in this process
            gc.collect()
            torch.cuda.empty_cache()


@contextmanager
def _places(
    trials: list[dict[str, Any]], configs: list[TrialConfig], assignment: dict[str, Any]
) -> Iterator[tuple[Path, list[Path]]]:
    """The cache, and each trial's checkpoints, as this node has them."""
    storage: Storage | None = assignment["storage"]
    if storage is None:
        yield Path(assignment["cache"]), [Path(trial["checkpoints"]) for trial in trials]
        return
    with ExitStack() as stack:
        folders = [stack.enter_context(storage.scratch(_key(trial))) for trial in trials]
        for trial, config, folder in zip(trials, configs, folders, strict=True):
            # A driver's last seconds may be lost, and checkpoints be ahead of what the next one knows. It takes an
            # older one, or the start, and comes to the same numbers, as these follow from configuration and seed.
            newest = trial["reached"] + (config.training.report_steps or 1)
            storage.fetch(_key(trial), folder, KEEP, at_most=newest)
        yield storage.bring(configs[0]), folders


def _key(trial: dict[str, Any]) -> str:
    """The key of its checkpoints in the storage, such as trials/3."""
    return "/".join(Path(trial["checkpoints"]).parts[-2:])


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


def _outcome(trial: dict[str, Any], outcome: str, message: object) -> dict[str, Any]:
    return {"number": trial["number"], "outcome": outcome, "message": str(message)}


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
