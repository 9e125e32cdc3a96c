"""Optuna's samplers, used so that a proposal depends on seed and study only."""

import io
import math
import pickle
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.record.quiet_optuna import quiet_optuna
from search.record.study import Study
from search.record.trial import StudyTrial
from search.samplers.base import Proposal, Task, distinct, uniform_draws
from search.samplers.coding import Coding
from search.space.domain import Domain
from search.space.space import Params
from trainables.base.outcomes import Outcome
from trainables.base.sealing import Damaged

DRAWS = 20
NEIGHBOURS = 200  # that are looked at for it
GP_TRIALS = 150  # the cost of GPSampler is cubic: a proposal takes 4.5 s at 1,000 trials

MakeSampler = Callable[[int], BaseSampler]  # takes a seed


# The names in a pickled optimizer of the package cmaes; NumPy's names changed with version 2.
IN_OPTIMIZER = {
    *(("cmaes._cma", "CMA"), ("cmaes._cmawm", "CMAwM"), ("numpy", "ndarray"), ("numpy", "dtype")),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
}


class SafeCmaEs(CmaEsSampler):
    """CMA-ES that unpickles nothing but an optimizer.

    Optuna keeps the optimizer as a pickle in the study. A pickle can run any code, and a study may come from somebody
    else.
    """

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        for trial in reversed(completed_trials):
            parts = {key: part for key, part in trial.system_attrs.items() if key.startswith(self._attr_key_optimizer)}
            if parts:
                return _OptimizerUnpickler(io.BytesIO(bytes.fromhex(self._concat_optimizer_attrs(parts)))).load()
        return None


class _OptimizerUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in IN_OPTIMIZER:
            raise Damaged(f"study.db: the state of CMA-ES contains {module}.{name}, which CMA-ES never writes")
        return super().find_class(module, name)


class OptunaSampler:
    """A new Optuna sampler for each proposal, in a temporary study with the trials of the real one.

    Optuna sees places and ranks, so an ordered list of values is a range to it. A running trial that has reported is
    shown as pruned at its last report, as TPE counts RUNNING trials among the bad ones. The attributes that a sampler
    wrote on its trial are kept in the trial's memory. So are draws that are no valid trial; they are shown as
    infeasible.
    """

    def __init__(self, task: Task, make: MakeSampler, fill: bool = True, draws: int = DRAWS, most: int | None = None):
        """make: makes Optuna's sampler, for each proposal.

        fill: give unused hyperparameters their middle value, for samplers that need all. draws: after so many without
        a new valid trial, the trial nearest to the first draw is proposed. most: the most trials that it learns from.
        """
        self._task, self._make, self._fill, self._draws, self._most = task, make, fill, draws, most
        self._coding = Coding(task.space)
        self._distributions = {path: _coded(domain) for path, domain in task.space.domains.items()}

    @quiet_optuna()
    def propose(self, study: Study) -> Proposal | None:
        known = study.known
        seeds = np.random.SeedSequence([self._task.seed, len(study.trials)])
        storage = InMemoryStorage()
        directions: list[Any] = ["maximize" if study.maximize else "minimize", *("minimize" for _ in self._task.costs)]
        throwaway = optuna.create_study(storage=storage, directions=directions)
        throwaway.add_trials(self._history(study))
        first: Params = {}
        refused: list[dict[str, Any]] = []
        for seed in seeds.generate_state(self._draws):
            throwaway.sampler = self._make(int(seed))
            trial = throwaway.ask(self._distributions)
            draw = self._decoded(trial.params)
            first = first or draw
            params = self._task.accept(draw)
            if params is not None and self._task.space.key(params) not in known:
                study_id = storage.get_study_id_from_name(throwaway.study_name)
                asked = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
                attrs = storage.get_trial_system_attrs(asked)
                return Proposal(params, {"optuna": attrs, "refused": refused})
            if params is None:
                refused.append(trial.params)
                trial.set_constraint("valid", 1.0)
                throwaway.tell(trial, state=TrialState.PRUNED)
        params = self._nearest(first, known, np.random.default_rng(seeds))
        return None if params is None else Proposal(params, {"refused": refused})

    def _nearest(self, wish: Params, known: set[str], rng: np.random.Generator) -> Params | None:
        draws = distinct(self._task, uniform_draws(self._task, rng), rng)
        fresh = list(islice((p for p in draws if self._task.space.key(p) not in known), NEIGHBOURS))
        if not fresh:
            return None
        columns = self._coding.columns(self._coding.places([wish, *fresh]))
        return fresh[int(((columns[1:] - columns[0]) ** 2).sum(1).argmin())]

    def _history(self, study: Study) -> list[FrozenTrial]:
        trials = list(study.trials.values())
        if self._most is not None and len(trials) > self._most:
            best = sorted(trials, key=lambda t: -study.final(t))
            chosen = {t.number for t in (*best[: self._most // 2], *trials[-(self._most // 2) :])}
            trials = [trial for trial in trials if trial.number in chosen]
        refused = [params for trial in trials for params in trial.attributes.memory.get("refused", [])]
        return [self._frozen(study, trial) for trial in trials] + [
            create_trial(
                state=TrialState.PRUNED, params=params, distributions=self._distributions, constraints={"valid": 1.0}
            )
            for params in refused
        ]

    def _frozen(self, study: Study, trial: StudyTrial) -> FrozenTrial:
        params = {
            path: _code(domain, trial.params[path]) if path in trial.params else _middle(domain)
            for path, domain in self._task.space.domains.items()
            if self._fill or path in trial.params
        }
        state = TrialState.PRUNED if trial.running and trial.scores else trial.state
        sign = 1.0 if study.maximize else -1.0
        merits = {progress: sign * study.merit(trial, progress) for progress in trial.scores}
        costs: list[Any] = [cost.of(trial) for cost in self._task.costs]
        if None in costs and state == TrialState.COMPLETE:
            state = TrialState.PRUNED  # Optuna needs all values of a complete trial
        return create_trial(
            state=state,
            params=params,
            distributions={path: self._distributions[path] for path in params},
            intermediate_values={} if state == TrialState.RUNNING or costs else merits,
            values=[sign * study.final(trial), *costs] if state == TrialState.COMPLETE else None,
            constraints={"valid": 1.0} if trial.outcome == Outcome.INFEASIBLE else None,
            system_attrs=dict(trial.attributes.memory.get("optuna", {})),  # Optuna writes into it
        )

    def _decoded(self, coded: dict[str, Any]) -> Params:
        return {
            path: domain.near(coded[path] / max(1.0, _last_step(domain)))
            for path, domain in self._task.space.domains.items()
        }


def _last_step(domain: Domain) -> float:
    """The code of the last value of a finite domain; 0 for a continuous one, where the code is the place."""
    count = domain.count()
    return count - 1 if count < math.inf else 0.0


def _coded(domain: Domain) -> BaseDistribution:
    if domain.count() == math.inf:
        return FloatDistribution(0.0, 1.0)
    if domain.is_ordered:
        return IntDistribution(0, int(_last_step(domain)))
    return CategoricalDistribution(tuple(range(int(domain.count()))))


def _code(domain: Domain, value: Any) -> float | int:
    place = domain.unit(value)
    return place if domain.count() == math.inf else round(place * _last_step(domain))


def _middle(domain: Domain) -> float | int:
    return 0.5 if domain.count() == math.inf else int(_last_step(domain) // 2)


def tpe(task: Task, startup_trials: int) -> OptunaSampler:
    """The tree-structured Parzen estimator; its model leaves out unused hyperparameters."""

    def make(seed: int) -> BaseSampler:
        return TPESampler(seed=seed, n_startup_trials=startup_trials, multivariate=True, group=True)

    return OptunaSampler(task, make, fill=False)


def gaussian_process(task: Task, startup_trials: int) -> OptunaSampler:
    """The Gaussian process, fitted to the best and the latest trials if there are many."""
    return OptunaSampler(
        task, lambda seed: GPSampler(seed=seed, n_startup_trials=startup_trials), draws=1, most=GP_TRIALS
    )


def cmaes(task: Task) -> OptunaSampler:
    """CMA-ES with margins."""
    return OptunaSampler(task, lambda seed: SafeCmaEs(seed=seed, with_margin=True, warn_independent_sampling=False))


def nsga2(task: Task) -> OptunaSampler:
    """The genetic algorithm with a small population."""
    return OptunaSampler(task, lambda seed: NSGAIISampler(seed=seed, population_size=10))
