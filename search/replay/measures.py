"""Measures how good a policy is on a table, as means over many simulated searches."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, stdev
from typing import TypeVar

import numpy as np

from search.record.study import Study
from search.record.trial import StudyTrial
from search.replay.simulation import CurveSimulation, Found, Until, evaluate
from search.replay.tables import Table
from search.samplers import SAMPLERS, Prior, Proposal, Sampler, SamplerSettings
from search.samplers.base import Foresight
from search.samplers.prior import Findings
from search.schedulers import SCHEDULERS, Scheduler, SchedulerSettings
from search.schedulers import Task as SchedulerTask
from search.schedulers.kind import KEY
from search.space.domain import Scalar
from trainables.base.config import TrainingConfig
from trainables.base.errors import UserError

EVALUATIONS = (5, 10, 20, 40)
MANY, LATER = 16, (80, 128)  # with so many workers, also after these evaluations
LONGEST = 100  # evaluations, by default; a search that is not near the best after its last one counts as one more
TIMED = EVALUATIONS[-1]  # proposals of each search, as later ones take longer and not all searches have them
NEAR = 0.5  # a system within so much BLEU of the best counts as the best
BUDGET_RUNS, CURVE_WORKERS = 20, 4

T = TypeVar("T")


@dataclass(frozen=True)
class Policy:
    """A sampler, a scheduler for learning curves, and results of earlier searches."""

    sampler: SamplerSettings = SAMPLERS.default
    scheduler: SchedulerSettings = SCHEDULERS.default
    prior: tuple[Findings, ...] = ()  # of earlier searches

    def make_sampler(self, table: Table, seed: int) -> Sampler:
        """The sampler for a search of a table."""
        prior = Prior(table.space, list(self.prior)) if self.prior else None
        return self.sampler.make(table.task(seed), prior)

    def make_scheduler(self, table: Table, sampler: Sampler | None = None) -> Scheduler:
        """The scheduler for a search whose trials are as long as the table's median run; it ranks comparable systems.

        sampler: of the same search; its model may say which systems can end as the best. Raises UserError for a
        scheduler that can't work on tables.
        """

        def comparable(trial: StudyTrial) -> Scalar:
            return table.system(trial.params).comparable

        if self.scheduler.breeds:
            raise UserError(f"--scheduler: {self.scheduler.kind} makes new trials, which no table has; name another")
        chance = sampler.chance_of_best if isinstance(sampler, Foresight) else None
        training = TrainingConfig(epochs=table.length)
        task = SchedulerTask(training, table.space, None, 0, comparable=comparable, chance=chance)
        try:
            self.scheduler.check(task)
        except ValueError as error:
            raise UserError(str(error).replace(KEY, "--scheduler")) from None
        return self.scheduler.make(task)


@dataclass
class Timed:
    """A sampler whose proposals take note of their CPU seconds."""

    sampler: Sampler
    seconds: list[float] = field(default_factory=list)

    def propose(self, study: Study) -> Proposal | None:
        """See Sampler."""
        before = time.process_time()
        proposal = self.sampler.propose(study)
        self.seconds.append(time.process_time() - before)
        return proposal


@dataclass(frozen=True)
class WholeRuns:
    """A simulated search of whole runs."""

    scores: list[float]  # of the systems, in the order in which they ended
    seconds: list[float]  # CPU seconds of each proposal


def measure_systems(table: Table, policy: Policy, seeds: int, workers: int, longest: int = LONGEST) -> dict[str, float]:
    """Regret after whole runs, in BLEU and divided by (best - median), and the runs until near the best.

    longest: the most evaluations of a search; it goes on to the last measure of regret in any case. Raises UserError if
    the best is no better than the median.
    """
    if table.best <= table.median:
        raise UserError(
            f"{table.name}: half of its {len(table.systems)} systems score {table.best:.2f} as the best does, so there "
            "is nothing to find; name a table whose systems differ"
        )
    searches = _over_seeds(partial(_evaluate, table, policy, workers, longest), seeds)
    runs = [search.scores for search in searches]
    measures: dict[str, float] = {}
    for count in _marks(workers):
        regrets = [table.best - max(run[:count]) for run in runs]
        regret, gap = fmean(regrets), table.best - table.median
        measures |= {f"regret_{count}": regret, f"nr_{count}": regret / gap, f"nr_{count}_se": _error(regrets) / gap}
    until = [next((i + 1 for i, s in enumerate(run) if s >= table.best - NEAR), len(run) + 1) for run in runs]
    measures["ftc_mean"] = fmean(until)
    measures["ftc_p50"], measures["ftc_p90"] = (float(np.percentile(until, share)) for share in (50, 90))
    measures["proposal_seconds"] = fmean(fmean(search.seconds[:TIMED]) for search in searches)
    return measures


def measure_curves(table: Table, policy: Policy, seeds: int, workers: int = CURVE_WORKERS) -> dict[str, float]:
    """Regret when workers have spent 20 median runs, and how often the best started system was stopped."""
    outcomes = _over_seeds(partial(_simulate, table, policy, workers), seeds)
    worst = min(system.score for system in table.systems.values())
    regrets = [table.best - max(outcome.finished, default=worst) for outcome in outcomes]
    return {
        "regret_20R": fmean(regrets),
        "regret_20R_se": _error(regrets),
        "kill_rate": fmean(outcome.killed for outcome in outcomes),
        "finished_runs": fmean(len(outcome.finished) for outcome in outcomes),
    }


def _evaluate(table: Table, policy: Policy, workers: int, longest: int, seed: int) -> WholeRuns:
    sampler = Timed(policy.make_sampler(table, seed))
    least = _marks(workers)[-1]
    scores = evaluate(table, sampler, workers, Until(least, max(longest, least), table.best - NEAR))
    return WholeRuns(scores, sampler.seconds)


def _marks(workers: int) -> tuple[int, ...]:
    """The numbers of evaluations after which regret is measured."""
    return EVALUATIONS if workers < MANY else EVALUATIONS + LATER


def _error(values: list[float]) -> float:
    """The standard error of the mean."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _simulate(table: Table, policy: Policy, workers: int, seed: int) -> Found:
    sampler = policy.make_sampler(table, seed)
    return CurveSimulation(
        table, sampler, policy.make_scheduler(table, sampler), workers, BUDGET_RUNS * table.length
    ).run()


def _over_seeds(search: Callable[[int], T], seeds: int) -> list[T]:
    with ProcessPoolExecutor() as processes:
        return list(processes.map(search, range(seeds), chunksize=max(1, seeds // 32)))
