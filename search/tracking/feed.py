"""The driver's side of tracking: writes RUN/tracking.jsonl, with a line for everything that W&B will show."""

import json
from collections.abc import Callable
from typing import Any, Literal

from search.finals.board import Leaderboard
from search.finals.stages import TestMetric
from search.record.journal import JournalLine, read_lines
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.tracking.tracked import FEED, INTERRUPTED, PARKED, RUNNING, ReportContent
from trainables.base.config import TrialConfig, flatten
from trainables.base.installed import program
from trainables.base.log import warn

Configure = Callable[[StudyTrial], TrialConfig]


class Feed:
    """The file that says what W&B will show. Each driver starts a new one from the run, and then appends to it.

    All of it can be made again from study and journals. A write that fails ends the feed, but not the search.

    Attributes:
        broken: Whether a write has failed, so that later events are missing.
    """

    def __init__(self, experiment: Experiment, study: int):
        """study: the number of earlier studies of this run."""
        self.experiment, self.file = experiment, experiment.run_dir / FEED
        self.broken = False
        try:
            self.file.unlink(missing_ok=True)  # an earlier driver's follower may still read the old file
        except OSError as error:
            self._give_up(error)
        self.write(
            {
                "name": experiment.name,
                "metric": experiment.search.metric,
                "goal": experiment.search.direction,
                "unit": experiment.training.unit,
                "study": study,
                "parameters": experiment.space.to_sweep(),
            }
        )

    def searched(self) -> None:
        """Note that the finalists are chosen."""
        self.write({"searched": True})

    def report(self, content: ReportContent) -> None:
        """Note that the search is done, with the content of the report."""
        self.write({"report": vars(content)})

    def write(self, *lines: dict[str, Any]) -> None:
        """Append lines; does nothing after a failed write."""
        if self.broken:
            return
        try:
            with self.file.open("a") as file:
                file.write("".join(f"{json.dumps(line)}\n" for line in lines))
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.broken = True
        warn(
            f"{self.file}: can't be written ({error.strerror}); the search continues without it, but W&B lacks what "
            f"follows: send it by `{program('publish')} {self.experiment.run_dir}`"
        )


class FeedListener:
    """Writes the trials of one study into the feed: first the existing ones, then events."""

    def __init__(
        self,
        feed: Feed,
        study: Study,
        job_type: Literal["trial", "final"],
        before: int,
        configure: Configure,
    ):
        """before: the number of studies of this job type that this one has replaced, which have their own runs."""
        self.feed, self.job_type, self.configure = feed, job_type, configure
        self.prefix = f"{before}-{job_type}" if before else job_type
        self.known: set[int] = set()
        for trial in study.trials.values():
            self._begin(trial, PARKED if trial.parked(feed.experiment.rungs) else INTERRUPTED)
        for line in read_lines(feed.experiment.run_dir / f"{job_type}s.jsonl"):
            self.trial_reported(study.trials[line.trial], line)
        for trial in study.trials.values():
            if not trial.running:
                self.trial_ended(trial)

    def trial_started(self, trial: StudyTrial) -> None:
        if trial.number in self.known:
            self._state(trial, RUNNING)
        else:
            self._begin(trial, RUNNING)

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        step = line.report.progress(self.feed.experiment.training.unit)
        values = {name: value for name, value in line.figures().items() if value is not None}
        self.feed.write({"run": self._key(trial), "step": step, "report": values})

    def trial_parked(self, trial: StudyTrial) -> None:
        self._state(trial, PARKED)

    def trial_ended(self, trial: StudyTrial) -> None:
        self._state(trial, trial.outcome)

    def _begin(self, trial: StudyTrial, state: str) -> None:
        self.known.add(trial.number)
        config, experiment = self.configure(trial), self.feed.experiment
        values = flatten(config.model_dump(mode="json"))
        searched = {path: values[path] for path in experiment.space.domains if path not in config.unused}
        name = f"{self.prefix}-{trial.number}"
        if self.job_type == "final":
            searched["finalist"] = trial.params["finalist"]
            name = f"{self.prefix}-{trial.params['finalist']}-seed{config.seed}"
        self.feed.write(
            {
                "run": self._key(trial),
                "name": f"{experiment.name}-{name}",
                "job_type": self.job_type,
                "config": {**config.model_dump(mode="json"), **searched},
                "state": state,
            }
        )

    def _state(self, trial: StudyTrial, state: str) -> None:
        message = trial.attributes.message
        self.feed.write({"run": self._key(trial), "state": state, "message": message})

    def _key(self, trial: StudyTrial) -> str:
        return f"{self.prefix}-{trial.number}"


def describe_report(experiment: Experiment, board: Leaderboard, answer: list[str], by: TestMetric) -> ReportContent:
    """The content of the report in W&B."""
    return ReportContent(
        answer=answer,
        ranking=[entry.stored(board.metric) for entry in board.ranking],
        metric=board.metric,
        heading=by.short,
        beside=dict(by.beside),
        curves=list(experiment.definition.curves.figures) if experiment.definition.curves else [],
        signatures=board.signatures,
        paths=list(experiment.space.domains),
        html=str(experiment.run_dir / "report.html"),
    )
