"""Which trials a study is to have: the bridge from an experiment to its sampler and scheduler."""

from typing import Protocol

from optuna.distributions import BaseDistribution
from threadpoolctl import threadpool_limits

from search.record.study import Study
from search.samplers import Prior, Proposal, Task
from search.schedulers import Scheduler
from search.settings.experiment import Experiment
from search.space.space import Params
from trainables.base.config import TrialConfig


class Plan(Protocol):
    """Which trials there are to train."""

    distributions: dict[str, BaseDistribution]

    def propose(self, study: Study) -> Proposal | None:
        """The next trial; None when nothing is left to propose."""
        ...

    def config(self, params: Params) -> TrialConfig:
        """What to train for these parameters."""
        ...


def make_scheduler(experiment: Experiment) -> Scheduler:
    """The scheduler of the search. Raises UserError for one of the user's that fails."""
    return experiment.search.scheduler.make(experiment.scheduler_task)


class SearchPlan:
    """What the experiment's sampler proposes, up to `search.trials`."""

    def __init__(self, experiment: Experiment, prior: Prior | None = None):
        self.base, self.trials = experiment.trial, experiment.search.trials
        self.distributions = experiment.space.to_optuna()
        task = Task(experiment.space, experiment.accept, experiment.search.seed)
        self.sampler = experiment.search.sampler.make(task, prior)

    def propose(self, study: Study) -> Proposal | None:
        """The next configuration; None where there are enough, or nothing is left."""
        if self.trials is not None and len(study.trials) >= self.trials:
            return None
        with threadpool_limits(1):  # more take no less time, and the cores are the trials'
            return self.sampler.propose(study)

    def config(self, params: Params) -> TrialConfig:
        """The base with these values."""
        return self.base.with_values(params)
