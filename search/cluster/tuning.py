"""Runs the work with Ray Tune, which owns processes and slots; `Work` decides what to train and when to stop."""

import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ |= {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # we handle Ctrl-C
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's own records grow with the trials, and nothing reads them
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

from ray import tune

from search.cluster.slots import Slots
from search.cluster.tune_plugins import Guard, OrderedScheduler, Steps, WorkScheduler, WorkSearcher
from search.engine.ordering import Queue
from search.engine.work import Work
from search.settings.experiment import Experiment
from search.settings.problem import place_of
from trainables.assignment import WorkerSetup
from trainables.base.checkpoint_files import KEEP
from trainables.base.installed import own_versions
from trainables.base.locks import DriverLock
from trainables.sharing.storage import Storage
from trainables.worker import train_trials

Trainable = Callable[[dict[str, Any]], None]  # takes what `to_tune` makes


def worker_setup(
    experiment: Experiment, slots: Slots, lock: DriverLock, storage: Storage | None = None, keep: int = KEEP
) -> WorkerSetup:
    """What all workers of this driver get.

    storage: where checkpoints go, if not to a folder. keep: how many of a trial stay.
    """
    return WorkerSetup(
        cache=experiment.cache,
        driver_lock=lock.workers,
        gpus=slots.gpus,
        keep=keep,
        storage=storage,
        versions=own_versions(),
        problem=place_of(experiment.problem),
        home=Path.cwd(),
    )


def run_work(
    work: Work, slots: Slots, setup: WorkerSetup, trainable: Trainable = train_trials, group_size: int = 1
) -> None:
    """Train until the work is finished.

    Up to `group_size` trials of one shape train as one computation. Raises what the work raises, such as UserError for
    a full disk.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the work reports processes that die
    guard = Guard()

    def prepare() -> None:
        guard(partial(work.prepare, slots.count), None)

    queue = Queue(work, slots.count) if work.rules.clock else None
    scheduler = OrderedScheduler(work, guard, queue) if queue else WorkScheduler(work, guard)
    step = scheduler.take_due if isinstance(scheduler, OrderedScheduler) else prepare
    ask = queue.next if queue else partial(work.next, slots.count, group_size)
    # Tune's own records, which are never read. The file of the lock has the number of this driver as its name.
    scratch = work.checkpoints.folder / f".tune-{setup.driver_lock.name}"
    tuner = tune.Tuner(
        tune.with_resources(
            trainable,
            tune.PlacementGroupFactory([{"CPU": 1.0, "GPU": slots.gpus} if slots.gpus else {"CPU": 1.0}]),
        ),
        tune_config=tune.TuneConfig(
            search_alg=WorkSearcher(work, guard, setup, ask, queue),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            metric=None,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            callbacks=[Steps(step)],
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )
    try:
        tuner.fit()
    except Exception:
        if guard.error is None:
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if guard.error is not None:
        raise guard.error
