"""Makes the sampler, scheduler and budget of an experiment, and proposes its trials."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from optuna.distributions import BaseDistribution
from threadpoolctl import threadpool_limits

from search.record.budget import Budget, Spent
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers import Prior, Proposal, Task
from search.samplers.base import Foresight
from search.schedulers import Breeder, Scheduler
from search.schedulers.base import Chance
from search.settings.costs import costs_of, seconds_of, within_limits
from search.settings.experiment import Experiment
from search.space.space import Params
from trainables.base.config import TrialConfig

NOTHING = Spent()


class Plan(Protocol):
    """Proposes the trials of a study."""

    distributions: dict[str, BaseDistribution]

    def propose(self, study: Study) -> Proposal | None:
        """The next trial; None if nothing is left to propose."""
        ...

    def config(self, params: Params) -> TrialConfig:
        """The configuration for these parameters."""
        ...


def make_scheduler(experiment: Experiment, chance: Chance | None = None) -> Scheduler:
    """The scheduler of the search. chance: which trials may end as the best, see `SearchPlan.chance`.

    Raises UserError if a user's own scheduler fails.
    """
    return experiment.search.scheduler.make(
        replace(experiment.scheduler_task, costs=costs_of(experiment), chance=chance)
    )


def expected_trials(experiment: Experiment, scheduler: Scheduler) -> float:
    """How many trials the search will have; infinite where its budget alone ends it."""
    if isinstance(scheduler, Breeder):
        return scheduler.trials
    return min(experiment.search.trials or math.inf, experiment.space.size())


def make_budget(experiment: Experiment, slots: int, gpus: float, before: Spent = NOTHING) -> Budget:
    """The budget. slots: trials at a time. gpus: for each trial. before: what is already spent."""
    return Budget(
        config=experiment.search.budget,
        epochs=experiment.training.epochs,
        rungs=experiment.rungs,
        unit=experiment.training.unit,
        finals=experiment.num_finals,
        finalists=experiment.finals.top,
        slots=slots,
        devices=gpus or 1.0,
        before=before,
    )


def express(config: TrialConfig, experiment: Experiment) -> Params | None:
    """The parameters that give this trial in the experiment's space; None if the space does not contain it."""
    return experiment.around.express(config)


class SearchPlan:
    """Proposes what `search.first` names, then what the sampler proposes, up to `search.trials`.

    By default the base is first, or the nearest trial that the space contains, so that results can be compared with the
    model that the user would have trained without a search. A grid keeps its own order.
    """

    def __init__(self, experiment: Experiment, prior: Prior | None = None):
        self.base, self.trials = experiment.trial, experiment.search.trials
        self.distributions = experiment.space.to_optuna()
        accept, costs = within_limits(experiment), costs_of(experiment)
        task = Task(experiment.space, accept, experiment.search.seed, costs, seconds_of(experiment))
        self.sampler = experiment.search.sampler.make(task, prior)
        self.first = [] if experiment.search.sampler.ends else experiment.first_trials()
        self._key = experiment.space.key

    def propose(self, study: Study) -> Proposal | None:
        """The next configuration; None if there are enough trials, or no new configuration."""
        if self.trials is not None and len(study.trials) + len(study.ahead) >= self.trials:
            return None
        if len(study.trials) < len(self.first):
            left = (params for params in self.first if self._key(params) not in study.known)
            if (params := next(left, None)) is not None:
                return Proposal(params)
        with threadpool_limits(1):  # more threads are no faster, and trials need the cores
            return self.sampler.propose(study)

    @property
    def chance(self) -> Chance | None:
        """Which trials may end as the best, by the sampler's model; None if it has none."""
        sampler = self.sampler
        if not isinstance(sampler, Foresight):
            return None

        def chance(study: Study, trials: Sequence[StudyTrial]) -> Sequence[float] | None:
            with threadpool_limits(1):
                return sampler.chance_of_best(study, trials)

        return chance

    def config(self, params: Params) -> TrialConfig:
        """The base configuration with these values."""
        return self.base.with_values(params)
