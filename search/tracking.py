"""Weights & Biases: one run a trial, written by the driver. It never stops or delays a search."""

import os
from collections.abc import Callable
from typing import Any, Literal

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else an offline run looks a host up
os.environ.setdefault("WANDB_SILENT", "true")

import wandb

from search.experiment import Experiment
from search.study import StudyTrial
from trainables.config import TrialConfig, digest


class WandbTracker:
    """A listener that mirrors trials into W&B runs; offline runs lie in RUN/wandb for `wandb sync`."""

    def __init__(
        self,
        experiment: Experiment,
        job_type: str,
        earlier: int,
        configure: Callable[[StudyTrial], TrialConfig],
        warn: Callable[[str], None],
    ):
        """`earlier` counts the studies of this job type that this one has replaced: their runs are others."""
        run = [experiment.output_dir, experiment.name, *([earlier] if earlier else [])]
        self.prefix = f"{digest(run)}-{job_type}"
        self.experiment, self.job_type, self.configure, self.warn = experiment, job_type, configure, warn
        self.mode: Literal["online", "offline", "disabled"] = resolve_mode(experiment)
        self.runs: dict[int, Any] = {}

    def trial_started(self, trial: StudyTrial) -> None:
        self._safely(lambda: self._start(trial))

    def epoch_reported(self, trial: StudyTrial, report: dict[str, Any]) -> None:
        if run := self.runs.get(trial.number):
            self._safely(lambda: run.log(report, step=trial.epoch))

    def trial_parked(self, trial: StudyTrial) -> None:
        if run := self.runs.pop(trial.number, None):
            self._safely(lambda: self._end(run, "stopped"))  # which it is unless it is promoted and goes on

    def trial_ended(self, trial: StudyTrial) -> None:
        if run := self.runs.pop(trial.number, None):
            self._safely(lambda: self._end(run, trial.outcome))

    def close(self) -> None:
        """End what is still open when the driver stops early."""
        for run in self.runs.values():
            self._safely(run.finish)
        self.runs.clear()

    def _start(self, trial: StudyTrial) -> None:
        if trial.number in self.runs:  # a retry after a crash goes on in its run
            return
        experiment = self.experiment
        self.runs[trial.number] = wandb.init(
            project=experiment.tracking.project,
            entity=experiment.tracking.entity,
            group=experiment.name,
            job_type=self.job_type,
            name=f"{experiment.name}-{self.job_type}-{trial.number}",
            id=f"{self.prefix}-{trial.number}",
            config={**self.configure(trial).model_dump(mode="json"), **trial.params},
            dir=str(experiment.run_dir),
            mode=self.mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, save_code=False),
        )

    def _end(self, run: Any, outcome: str) -> None:
        run.summary["outcome"] = outcome
        run.finish(exit_code=1 if outcome == "failed" else 0)

    def _safely(self, call: Callable[[], object]) -> None:
        if self.mode == "disabled":
            return
        try:
            call()
        except Exception as error:  # whatever W&B raises, training goes on
            self.mode = "disabled"
            self.runs.clear()
            self.warn(f"W&B tracking stopped ({error}); the search goes on, and its run directory holds everything")


def resolve_mode(experiment: Experiment) -> Literal["online", "offline", "disabled"]:
    """auto -> online where W&B finds a key, else offline."""
    if experiment.tracking.wandb != "auto":
        return experiment.tracking.wandb
    return "online" if wandb.login(prompt=False, verify=False) else "offline"
