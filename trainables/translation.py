"""The trainable that Ray Tune runs: one assignment of the search, epoch by epoch."""

import os
import platform
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
from trainables.training import train


def train_translation(assignment: dict[str, Any]) -> None:
    """Train, reporting each epoch to Tune once its checkpoint is on disk.

    assignment: "config" (a TrialConfig as a dictionary), "checkpoints", "cache", "driver_lock" (paths), "gpus" (the
    share of one that the trial may use), "keep" (how many checkpoints stay). The last report of a run that ends by
    itself carries "outcome" and "message": diverged, infeasible (memory is too small for it) or failed, or halted where
    the machine is at fault, such as a full disk, so that it would fail all trials alike. An exception means that the
    process is broken, never that the configuration is bad; MachineLeaves, that the trial should go on elsewhere.
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
    config = TrialConfig.model_validate(assignment["config"])
    try:
        cache, checkpoints = Path(assignment["cache"]), Path(assignment["checkpoints"])
        size, keep = int(assignment["gpus"]), assignment["keep"]
        together = size > 1
        with closing(
            train_together(config, cache, checkpoints, size, keep)
            if together
            else train(config, cache, checkpoints, keep=keep)
        ) as running:
            for report, _ in running:
                tune.report(asdict(replace(report, devices=assignment["gpus"] or 1.0)))
                _stay_where_it_lasts()
    except Diverged as error:
        tune.report({"outcome": "diverged", "message": str(error)})
    except UserError as error:
        tune.report({"outcome": "infeasible" if isinstance(error, TooLarge) else "failed", "message": str(error)})
    except OSError as error:
        tune.report({"outcome": "halted", "message": str(unwritable(Path(assignment["checkpoints"]), error))})
    except (ValueError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):  # on GPU, on CPU
            tune.report({"outcome": "infeasible", "message": f"memory is too small for it: {error}"})
        else:
            tune.report({"outcome": "failed", "message": f"{type(error).__name__}: {error}"})
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # the next trial runs in this process


def _stay_where_it_lasts() -> None:
    """Raises MachineLeaves where Ray was told to drain this node: this process would go on to be used there."""
    if ray.get_runtime_context().get_node_id() in ray._private.state.state.get_draining_nodes():
        raise MachineLeaves(f"{platform.node()} is about to be taken away")
