"""Who proposes the next configuration. A proposal is a function of (seed, trial number, history)."""

import warnings
from typing import Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from search.experiment import Experiment
from search.space import LARGEST_GRID, Params
from search.study import Study
from trainables.config import TrialConfig

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)  # TPE's group=True

DRAWS = 100  # of a sampler, before the rest of a finite space is searched for what is left


class Plan(Protocol):
    """Which trials there are to train."""

    distributions: dict[str, BaseDistribution]

    def propose(self, study: Study) -> Params | None:
        """The next trial's parameters; None when nothing is left to propose."""
        ...

    def config(self, params: Params) -> TrialConfig:
        """What to train for these parameters."""
        ...


def make_plan(experiment: Experiment) -> Plan:
    return GridPlan(experiment) if experiment.search.sampler == "grid" else SamplerPlan(experiment)


class GridPlan:
    """Every valid combination, in the order of the space."""

    def __init__(self, experiment: Experiment):
        self.base = experiment.trial
        self.distributions = experiment.space.to_optuna()
        self.points = [params for params in experiment.space.grid() if experiment.configure(params)]
        self.trials = experiment.search.trials  # null: all

    def propose(self, study: Study) -> Params | None:
        if self.trials is not None and len(study.trials) >= self.trials:
            return None
        known = {_key(trial.params) for trial in study.trials.values()}  # some may be of an earlier space
        return next((params for params in self.points if _key(params) not in known), None)

    def config(self, params: Params) -> TrialConfig:
        return self.base.with_values(params)


class SamplerPlan:
    """An Optuna sampler, asked anew for each trial; invalid and known configurations are never proposed."""

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.space, self.settings, self.base = experiment.space, experiment.search, experiment.trial
        self.distributions = experiment.space.to_optuna()

    def propose(self, study: Study) -> Params | None:
        if self.settings.trials is not None and len(study.trials) >= self.settings.trials:
            return None
        known = {_key(trial.params) for trial in study.trials.values()}
        seeds = np.random.SeedSequence([self.settings.seed, len(study.trials)])
        throwaway = optuna.create_study(direction="maximize" if study.maximize else "minimize")
        throwaway.add_trials(study.history(self.distributions))
        for seed in seeds.generate_state(DRAWS):
            throwaway.sampler = self._sampler(int(seed))
            params = self.space.snap(throwaway.ask(self.distributions).params)
            # A rejected draw stays in the throw-away study as RUNNING; the next draw keeps away from it.
            if _key(params) not in known and self.experiment.configure(params):
                return params
        return self._anything_left(known, np.random.default_rng(seeds))

    def config(self, params: Params) -> TrialConfig:
        return self.base.with_values(params)

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        if self.settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        startup = self.settings.startup_trials
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, group=True)

    def _anything_left(self, known: set[str], rng: np.random.Generator) -> Params | None:
        if self.space.size() > LARGEST_GRID:
            return None
        left = [p for p in self.space.grid() if _key(p) not in known and self.experiment.configure(p)]
        return left[rng.integers(len(left))] if left else None


def _key(params: Params) -> str:
    return repr(sorted(params.items()))
