"""Seconds from the end of a trial to the first step of the next one on a slot.

python bench/starting.py [TRIALS]

A real search on one slot: Ray, the default sampler, the real trainable and its usual model on the embedded corpus, with
few steps, as only the time between trials counts. The worker is reused, with corpus and tokenizer.
"""

import sys
import time
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from quick import Clock, open_work

from search.cluster.local_ray import local_ray
from search.cluster.slots import Slots
from search.cluster.tuning import run_work, worker_setup
from search.settings.experiment import Experiment
from trainables.assignment import read_assignment
from trainables.base.locks import DriverLock
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.data.encoding.preparing import prepare
from trainables.training.loop import EagerStep
from trainables.worker import train_trials

STARTS = "starts"  # the file of a run in which workers record when they begin to train


def train_noting_the_start(given: dict[str, Any]) -> None:
    begin = EagerStep.begin

    def begin_noting(step: EagerStep, seed: int) -> None:
        begin(step, seed)
        with (read_assignment(given, TranslationConfig).checkpoints.parents[1] / STARTS).open("a") as file:
            file.write(f"{time.time()}\n")

    EagerStep.begin = begin_noting  # type: ignore[method-assign, assignment]
    try:
        train_trials(given)
    finally:
        EagerStep.begin = begin  # type: ignore[method-assign]


def main(trials: int) -> None:
    clock = Clock()
    with TemporaryDirectory() as folder:
        experiment = Experiment.model_validate(
            {
                "name": "starting",
                "output_dir": folder,
                "data": {"limit": 200},
                "tokenizer": {"vocab_size": 1000},
                "training": {"epochs": 1},
                "space": {"model.dropout": {"min": 0.0, "max": 0.5}, "model.d_model": {"values": [128, 256]}},
                "search": {"trials": trials, "scheduler": "none"},
            }
        )
        trial = as_translation(experiment.trial)
        prepare(trial.data, trial.tokenizer, experiment.cache)
        lock = DriverLock(experiment.run_dir)
        work = open_work(experiment)
        work.listeners.append(clock)
        with local_ray(1):
            slots = Slots(1, 0)
            run_work(work, slots, worker_setup(experiment, slots, lock), train_noting_the_start)
        lock.release()
        starts = [float(line) for line in (experiment.run_dir / STARTS).read_text().splitlines()]
    gaps = [start - end for end, start in zip(clock.ends, starts[1:], strict=False)]
    print(
        f"{trials} trials: the next one trains {median(gaps):.2f} s after one ends (median; longest {max(gaps):.2f} s)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
