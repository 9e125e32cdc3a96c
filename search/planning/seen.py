"""What the reports of a search have said of its cost, and where it stands."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from statistics import fmean
from typing import Literal

import numpy as np

from search.engine.proposals import Plan
from search.planning.pace import Pace
from search.record.budget import Budget
from search.record.journal import Journal
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Task
from search.samplers.base import distinct, uniform_draws
from search.settings.experiment import Experiment
from search.space.space import Params
from trainables.base.report import EpochReport
from trainables.base.rounds import Rounds

DRAWS = 64  # of the space, among which trials to come are
WORKERS_SECONDS = 5.0  # that processes of workers take to start, before any was seen to
REPORT_SECONDS = 6.0  # that ranking and report take
TEST_START = 0.4  # of the seconds that a worker takes to start, what processes for tests take
TEST_VALIDATIONS = 3.5  # the test split is decoded in so many times the seconds of a validation
EPOCH_STEPS, EPOCH_TOKENS = 1000, 1_000_000  # before a trial has said what its epochs have


@dataclass(frozen=True)
class Trials:
    """The trials of a search, or of its finals, in the hands of a driver.

    Attributes:
        kind: Of the search, or of the finals.
        study: All of them.
        journal: Their reports.
        plan: Which there are to be.
        budget: What they may spend.
        expected: How many there will be; infinite where the budget alone ends a search.
    """

    kind: Literal["trial", "final"]
    study: Study
    journal: Journal
    plan: Plan
    budget: Budget
    expected: float


@dataclass(frozen=True)
class Standing:
    """Where they stand at a moment.

    Attributes:
        trials: All that is stored of them.
        running: The numbers of those in training, with the seconds since each started or reported.
        at_once: How many trials are trained at a time.
        stretch: Seconds by the clock for a second of a report.
    """

    trials: Trials
    running: Mapping[int, float]
    at_once: int
    stretch: float = 1.0


class Seen:
    """What trials cost: seconds of reports by the work in them."""

    def __init__(self, experiment: Experiment, slots: int):
        """slots: trials at a time."""
        self.experiment, self.slots, self.pace = experiment, slots, Pace()
        self.validations: list[float] = []  # their seconds
        self.starts: list[float] = []  # the seconds that processes of workers took to start
        self.rounds = Rounds(experiment.training, EPOCH_STEPS, EPOCH_TOKENS)
        self._works: dict[tuple[str, int], float] = {}

    def see(self, trials: Trials, trial: StudyTrial, report: EpochReport) -> None:
        """Take note of a report."""
        seconds = report.train_seconds + report.eval_seconds
        self.pace.see((trials.kind, trial.number), self.work(trials, trial), seconds)
        self.validations.append(report.eval_seconds)
        if report.epoch:
            steps, tokens = (max(1, round((each or 0) / report.epoch)) for each in (report.step, report.token))
            self.rounds = Rounds(self.experiment.training, steps, tokens)

    def seconds(self, trials: Trials, trial: StudyTrial) -> float:
        """The seconds of the next report of a trial that has begun."""
        return self.pace.seconds(self.work(trials, trial), (trials.kind, trial.number))

    @property
    def start(self) -> float:
        """Seconds that the workers of the finals take to start."""
        return fmean(self.starts or [WORKERS_SECONDS])

    def ending(self, models: int) -> float:
        """Seconds from the last training to the report, with so many models to test."""
        validation = fmean(self.validations or [0.0])
        tests = math.ceil(models / self.slots) * TEST_VALIDATIONS * validation
        return REPORT_SECONDS + TEST_START * self.start + tests

    @cached_property
    def draws(self) -> list[tuple[Params, float]]:
        """Some configurations of the space, each with the work of a report."""
        experiment, rng = self.experiment, np.random.default_rng(0)
        task = Task(experiment.space, experiment.accept, seed=0)
        drawn = islice(distinct(task, uniform_draws(task, rng), rng), DRAWS)
        work_of = experiment.definition.work_of_report
        return [(params, work_of(experiment.trial.with_values(params))) for params in drawn]

    def work(self, trials: Trials, trial: StudyTrial) -> float:
        """In a report of the trial; proportions matter alone."""
        key = trials.kind, trial.number
        if key not in self._works:
            config = trials.plan.config(trial.params)
            self._works[key] = self.experiment.definition.work_of_report(config)
        return self._works[key]
