"""The trainable that Ray Tune runs: one assignment of the search, epoch by epoch."""

import os
import platform
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from trainables.config import TrialConfig
from trainables.data_parallel import train_together
from trainables.errors import Diverged, MachineLeaves, TooLarge, UserError
from trainables.files import unwritable
from trainables.locks import join_driver
from trainables.side_by_side import Report, train_side_by_side
from trainables.training import train


def train_translation(assignment: dict[str, Any]) -> None:
    """Train, reporting each epoch to Tune once its checkpoint is on disk.

    assignment: "number" (of the trial), "config" (a TrialConfig as a dictionary), "checkpoints", "cache", "driver_lock"
    (paths), "gpus" (the share of one that may be used), "keep" (how many checkpoints stay), "mates" (more trials, each
    with number, config and checkpoints, to be trained as one with this).

    A report has its trial's "number". The last one of a trial that ends by itself carries "outcome" and "message":
    diverged, infeasible (memory is too small for it) or failed, or halted where the machine is at fault, such as a full
    disk, so that it would fail all trials alike. An exception means that the process is broken, never that the
    configuration is bad; MachineLeaves, that the trial should go on elsewhere.
    """
    try:
        join_driver(Path(assignment["driver_lock"]))
    except FileNotFoundError as error:
        reason = f"{error.filename}: node {platform.node()} lacks it; mount there what holds output_dir, then resume"
        tune.report({"outcome": "halted", "message": reason})
        return
    _stay_where_it_lasts()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if torch.cuda.is_available() and 0 < assignment["gpus"] < 1:  # the rest is others'
        torch.cuda.set_per_process_memory_fraction(assignment["gpus"])
    trials = [assignment, *assignment["mates"]]
    running = set(range(len(trials)))
    try:
        with closing(_reports(trials, assignment)) as reports:
            for place, report in reports:
                if isinstance(report, Diverged):
                    running.discard(place)
                    tune.report(_outcome(trials[place], "diverged", report))
                    continue
                report = replace(report, devices=(assignment["gpus"] or 1.0) * report.devices)
                tune.report({"number": trials[place]["number"], **asdict(report)})
                _stay_where_it_lasts()
    except OSError as error:
        tune.report(_outcome(assignment, "halted", unwritable(Path(assignment["checkpoints"]), error)))
    except (UserError, ValueError, RuntimeError) as error:
        for place in running:
            tune.report(_outcome(trials[place], *_verdict(error)))
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next trial runs in this process


def _reports(trials: list[dict[str, Any]], assignment: dict[str, Any]) -> Generator[Report]:
    """With the place among the trials."""
    configs = [TrialConfig.model_validate(trial["config"]) for trial in trials]
    folders = [Path(trial["checkpoints"]) for trial in trials]
    cache, size, keep = Path(assignment["cache"]), int(assignment["gpus"]), assignment["keep"]
    if len(trials) > 1:
        yield from train_side_by_side(configs, cache, folders, keep)
        return
    alone = (
        train_together(configs[0], cache, folders[0], size, keep)
        if size > 1
        else train(configs[0], cache, folders[0], keep=keep)
    )
    with closing(alone) as reports:
        try:
            for report, _ in reports:
                yield 0, report
        except Diverged as error:
            yield 0, error


def _outcome(trial: dict[str, Any], outcome: str, message: object) -> dict[str, Any]:
    return {"number": trial["number"], "outcome": outcome, "message": str(message)}


def _verdict(error: Exception) -> tuple[str, str]:
    """What the error says of a trial, and how."""
    if isinstance(error, UserError):
        return "infeasible" if isinstance(error, TooLarge) else "failed", str(error)
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):  # on GPU, on CPU
        return "infeasible", f"memory is too small for it: {error}"
    return "failed", f"{type(error).__name__}: {error}"


def _stay_where_it_lasts() -> None:
    """Raises MachineLeaves where Ray was told to drain this node: this process would go on to be used there."""
    if ray.get_runtime_context().get_node_id() in ray._private.state.state.get_draining_nodes():
        raise MachineLeaves(f"{platform.node()} is about to be taken away")
