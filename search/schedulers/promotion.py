"""Successive halving by promotion: trials wait at the rungs until they are sure to belong to the best."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.arrivals import Arrivals, Field
from search.schedulers.base import Comparable, Decision, all_alike, finite
from search.schedulers.kind import AtRungs, Factor, Task, quarter, rungs_field

GOLDEN = (math.sqrt(5) - 1) / 2
LEAST_CORRELATION = 0.3  # of scores at a rung with final ones, for the rung to be believed
ENOUGH_FINISHED = 8  # before it is doubted
SURE = 1.28  # standard deviations: nine times in ten


@dataclass(frozen=True)
class Promotion:
    """Asynchronous successive halving as published (ASHA; Li et al. 2020, algorithm 2).

    The best floor(n / reduction_factor) of the n trials that have come to a rung are promoted, the highest rung
    first, the best first; all others wait there. So the first to arrive waits until reduction_factor have come. Of
    equals the lower number is ahead. A trial that belongs to the best as it arrives goes on at once. All pass a rung
    that has proved to predict the final scores badly, see `misleads`.
    """

    rungs: tuple[int, ...]
    reduction_factor: int = 2
    comparable: Comparable = all_alike

    def bracket(self, trial: StudyTrial) -> int:
        """How many of the lowest rungs the trial passes unranked."""
        return 0

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        if trial.progress not in self._own_rungs(trial):
            return "go"
        return "go" if self._may_pass(study, trial, self._arrivals.field(study, trial)) else "park"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        for rung in reversed(self.rungs):
            found = []
            for field in self._arrivals.fields(study, rung).values():
                trial = field.first_waiting(study, self.rungs, rung, live)
                if trial is not None and self._may_pass(study, trial, field):
                    found.append((field.ahead(study.merit(trial, rung), trial.number), trial.number))
            if found:
                return study.trials[min(found)[1]]
        return None

    def _own_rungs(self, trial: StudyTrial) -> tuple[int, ...]:
        return self.rungs[self.bracket(trial) :]

    def _group(self, trial: StudyTrial) -> Hashable:
        return self.bracket(trial), self.comparable(trial)

    @cached_property
    def _arrivals(self) -> Arrivals:
        return Arrivals(self._own_rungs, self._group)

    def _may_pass(self, study: Study, trial: StudyTrial, field: Field) -> bool:
        """Whether the trial belongs to the best at the rung at which it stands."""
        rung = trial.progress
        ends = [(t.scores[rung], t.value) for t in field.finished(study) if t.value is not None]
        doubted = misleads(tuple(score for score, _ in ends), tuple(value for _, value in ends))
        passing = len(field) if doubted else len(field) // self.reduction_factor
        mine = study.merit(trial, rung)
        return mine > -math.inf and field.ahead(mine, trial.number) < passing


class PromotionSettings(AtRungs):
    """Parks all at the rungs and promotes the best."""

    kind: Literal["asha_promotion"] = "asha_promotion"
    rungs: tuple[int, ...] | None = rungs_field("a quarter of training.epochs, two at least")
    reduction_factor: Factor = 3

    def default_rungs(self, epochs: int) -> tuple[int]:
        return (quarter(epochs),)

    def make(self, task: Task) -> Promotion:
        return Promotion(self.all_rungs(task.epochs), self.reduction_factor, task.comparable)


@lru_cache
def misleads(at_rung: tuple[float, ...], at_end: tuple[float, ...]) -> bool:
    """Whether the scores at a rung say next to nothing of those at the end, by trials that have ended.

    So it is when their rank correlation is below 0.3, nine times in ten (Fisher's z). Those who came to the end are
    alike, as they passed the rungs, which lowers their correlation: hence a bound far below what a good rung has.
    """
    from scipy.stats import spearmanr  # takes a second to import

    if len(at_end) < ENOUGH_FINISHED:
        return False
    varied = len(set(at_rung)) > 1 and len(set(at_end)) > 1
    correlation = float(spearmanr(at_rung, at_end).statistic) if varied else 0.0
    most = np.arctanh(min(correlation, 0.999)) + SURE / math.sqrt(len(at_end) - 3)
    return bool(most < np.arctanh(LEAST_CORRELATION))


@dataclass(frozen=True)
class Hyperband(Promotion):
    """Asynchronous Hyperband (Li et al. 2018; asynchronous as in Li et al. 2020): promotion in several brackets.

    Bracket b starts to rank b rungs later, so that configurations which learn slowly have a chance; the last one
    ranks at none. A bracket with s rungs gets the share that Hyperband gives it, in proportion to
    reduction_factor^s / (s + 1). The bracket follows from the trial's number by a golden-ratio sequence, so that
    the shares hold in every stretch of trials. Trials are ranked inside their bracket alone.
    """

    def bracket(self, trial: StudyTrial) -> int:
        shares = [self.reduction_factor**s / (s + 1) for s in range(len(self.rungs), -1, -1)]
        position = trial.number * GOLDEN % 1 * sum(shares)
        for bracket, share in enumerate(shares):
            position -= share
            if position < 0:
                return bracket
        return len(self.rungs)


class HyperbandSettings(AtRungs):
    """Parks and promotes in several brackets, each of which begins to rank at another rung."""

    kind: Literal["hyperband"] = "hyperband"
    reduction_factor: Factor = 3

    def make(self, task: Task) -> Hyperband:
        return Hyperband(self.all_rungs(task.epochs), self.reduction_factor, task.comparable)
