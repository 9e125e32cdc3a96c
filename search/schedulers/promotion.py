"""Successive halving by promotion: trials wait at a rung until they are among the best there."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Literal

import numpy as np

from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.arrivals import Arrivals, Field
from search.schedulers.base import Comparable, Decision, Scheduler, all_alike, finite
from search.schedulers.kind import AtRungs, Factor, Task, quarter, rungs_field

GOLDEN = (math.sqrt(5) - 1) / 2
LEAST_CORRELATION = 0.3  # of scores at a rung with final ones; a rung below it is ignored
ENOUGH_FINISHED = 8  # finished trials before a rung may be ignored
SURE = 1.28  # standard deviations, for a one-sided confidence of 0.9


@dataclass(frozen=True)
class Promotion:
    """Asynchronous successive halving as published (ASHA; Li et al. 2020, algorithm 2).

    The best floor(n / reduction_factor) of the n trials that have reached a rung are promoted, from the highest rung
    down, the best first. All others wait there, so the first trial waits until reduction_factor have come. Of equal
    trials the one with the lower number is better. A trial that is among the best when it reports continues at once.
    All trials pass a rung that predicts final scores badly, see `misleads`.
    """

    rungs: tuple[int, ...]
    reduction_factor: int = 2
    comparable: Comparable = all_alike

    def bracket(self, trial: StudyTrial) -> int:
        """The number of lowest rungs at which the trial is not ranked."""
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
        """Whether the trial is among the best at its present rung."""
        rung = trial.progress
        ends = [(t.scores[rung], t.value) for t in field.finished(study) if t.value is not None]
        doubted = misleads(tuple(score for score, _ in ends), tuple(value for _, value in ends))
        passing = len(field) if doubted else len(field) // self.reduction_factor
        mine = study.merit(trial, rung)
        return mine > -math.inf and field.ahead(mine, trial.number) < passing


class PromotionSettings(AtRungs):
    """Parks all trials at the rungs and promotes the best ones."""

    fronts: ClassVar[bool] = True

    kind: Literal["asha_promotion"] = "asha_promotion"
    rungs: tuple[int, ...] | None = rungs_field("a quarter of training.epochs, but at least 2")
    reduction_factor: Factor = 3

    def default_rungs(self, epochs: int) -> tuple[int]:
        return (quarter(epochs),)

    def make(self, task: Task) -> Scheduler:
        rungs = self.all_rungs(task.training.epochs)
        if task.costs:
            from search.schedulers.front import FrontPromotion  # it imports SciPy

            return FrontPromotion(rungs, self.reduction_factor, task.costs, task.comparable)
        return Promotion(rungs, self.reduction_factor, task.comparable)


@lru_cache
def misleads(at_rung: tuple[float, ...], at_end: tuple[float, ...]) -> bool:
    """Whether scores at a rung say next to nothing about final scores, by the trials that were trained to the end.

    That is so if their rank correlation is below 0.3 with a confidence of 0.9 (Fisher's z). The bound is far below the
    correlation of a good rung, because only trials that passed the rungs are seen, which lowers the correlation.
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

    Bracket b ranks at all but the lowest b rungs, so that configurations that learn slowly have a chance; the last one
    ranks at no rung. A bracket with s rungs gets the same share of trials as in Hyperband, in proportion to
    reduction_factor^s / (s + 1). The bracket follows from the trial's number by a golden-ratio sequence, so that any
    consecutive trials have these shares. Trials are ranked only within their bracket.
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
    """Parks and promotes in several brackets; each one starts to rank at another rung."""

    kind: Literal["hyperband"] = "hyperband"
    reduction_factor: Factor = 3

    def make(self, task: Task) -> Hyperband:
        return Hyperband(self.all_rungs(task.training.epochs), self.reduction_factor, task.comparable)
