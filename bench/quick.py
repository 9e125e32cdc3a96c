"""A search whose trials cost nothing: the real study, work, Ray Tune, locks and checkpoints with simulated training."""

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ray import tune

from search.engine.proposals import SearchPlan, make_scheduler
from search.engine.rules import Records, Rules
from search.engine.work import Work
from search.record.journal import Journal, JournalLine
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers import SCHEDULERS
from search.settings.experiment import Experiment
from trainables.assignment import Reported, read_assignment, read_setup, to_result
from trainables.base.checkpoint_files import newest_checkpoint
from trainables.base.locks import join_driver
from trainables.base.report import EpochReport, read_report
from trainables.base.translation_config import TranslationConfig, as_translation
from trainables.sharing.checkpoint_places import Checkpoints
from trainables.training.checkpoint import load_state, save_checkpoint
from trainables.training.device import CPU

EPOCH_SECONDS = 0.1
WORKERS = "workers"  # the file of a run in which its workers write their process ids


def quick_experiment(run_dir: Path, scheduler: str, trials: int, epochs: int = 8) -> Experiment:
    return Experiment.model_validate(
        {
            "name": run_dir.name,
            "output_dir": str(run_dir.parent),
            "training": {"epochs": epochs},
            "space": {
                "model.dropout": {"min": 0.0, "max": 0.5},
                "training.learning_rate": {"min": 1e-4, "max": 1e-1, "distribution": "log_uniform_values"},
                "training.schedule": {"values": ["cosine", "inverse_sqrt", "constant"]},
            },
            "search": {
                "scheduler": scheduler,
                "sampler": "random" if SCHEDULERS[scheduler].breeds else {"kind": "tpe", "startup_trials": 4},
                "trials": trials,
                "max_retries": 20,
            },
        }
    )


def open_work(experiment: Experiment) -> Work:
    """The work of a run directory, new or resumed."""
    run_dir = experiment.run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    return Work(
        experiment,
        Records(
            Study(run_dir / "study.db", "search", experiment.search.direction),
            Journal(run_dir / "trials.jsonl"),
            Checkpoints(run_dir / "trials"),
        ),
        Rules(SearchPlan(experiment), make_scheduler(experiment)),
    )


def quick_epochs(config: TranslationConfig, checkpoints: Path | None, seconds: float) -> Iterator[EpochReport]:
    """The reports of a simulated `trainables.training.loop.train`, also from the newest checkpoint on.

    The score depends on all past epochs, so an epoch that is trained twice or left out changes it.
    """
    memory, first = torch.zeros((), dtype=torch.float64), 1
    if checkpoints and (found := newest_checkpoint(checkpoints)):
        path, values = found
        memory = load_state(path, CPU)["memory"]
        report = read_report(values)
        first = report.step + 1
        yield report
    for epoch in range(first, int(config.training.epochs) + 1):
        time.sleep(seconds)
        memory = (memory * 1.0001 + 0.137 * epoch + config.model.dropout) % 7
        distance = abs(config.model.dropout - 0.2) + abs(math.log10(config.training.learning_rate) + 2.5)
        distance += 0.3 * (config.training.schedule != "cosine")
        bleu = 40 * (1 - 0.7**epoch) - 5 * distance + float(memory) / 7
        losses = {"train_loss": 1 / epoch, "valid_loss": 2 / epoch, "valid_nll_per_char": 0.5 / epoch}
        figures = {**losses, "valid_bleu": bleu, "tokens": 100}
        report = EpochReport(epoch, epoch, figures, train_seconds=seconds, eval_seconds=0.0)
        if checkpoints:
            save_checkpoint(checkpoints, "epoch", epoch, {"memory": memory}, report.stored())
        yield report


def train_quickly(given: dict[str, Any]) -> None:
    """Replaces `trainables.worker.train_trials`."""
    join_driver(read_setup(given).driver_lock)
    assignment = read_assignment(given, TranslationConfig)
    with (assignment.checkpoints.parents[1] / WORKERS).open("a") as file:
        file.write(f"{os.getpid()}\n")
    for report in quick_epochs(as_translation(assignment.config), assignment.checkpoints, EPOCH_SECONDS):
        tune.report(to_result(Reported(assignment.number, report)))


class Clock:
    """A listener that records when trials end, in seconds since the epoch."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def trial_started(self, trial: StudyTrial) -> None: ...
    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None: ...
    def trial_parked(self, trial: StudyTrial) -> None: ...
    def trial_ended(self, trial: StudyTrial) -> None:
        self.ends.append(time.time())
