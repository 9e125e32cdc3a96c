"""Successive halving by promotion: trials wait at a rung until they are among the best there."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from pydantic import Field as Setting

from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.arrivals import Arrivals, Field
from search.schedulers.base import Chance, Comparable, Decision, Scheduler, all_alike, finite
from search.schedulers.kind import AtRungs, Factor, Task, quarter, rungs_field
from search.schedulers.trust import is_doubted

GOLDEN = (math.sqrt(5) - 1) / 2
CHANCE = 0.2  # of ending as the best, with which a trial passes a rung whatever its rank
MOST_ASKED = 300  # of the trials of a group that wait at a rung, the best so many are asked for their chance


@dataclass(frozen=True)
class Promotion:
    """Asynchronous successive halving as published (ASHA; Li et al. 2020, algorithm 2).

    The best floor(n / reduction_factor) of the n trials that have reached a rung are promoted, from the highest rung
    down, the best first. All others wait there, so the first trial waits until reduction_factor have come. Of equal
    trials the one with the lower number is better. A trial that is among the best when it reports continues at once.
    All trials pass a rung that predicts final scores badly, see `is_doubted`.

    A model proposes trials that are alike, so the best third of them is not the best third of the space, and ranks at a
    rung can be wrong. So a trial also passes, whatever its rank, if the sampler's model gives it a probability of
    `least_chance` or more to end as the best. Whenever a worker is free, this is asked again for all trials that wait.
    """

    rungs: tuple[int, ...]
    reduction_factor: int = 2
    comparable: Comparable = all_alike
    chance: Chance | None = None  # of the sampler's model; None: by rank alone
    least_chance: float = CHANCE

    def bracket(self, trial: StudyTrial) -> int:
        """The number of lowest rungs at which the trial is not ranked."""
        return 0

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        if trial.progress not in self._own_rungs(trial):
            return "go"
        field = self._arrivals.field(study, trial)
        ahead = field.ahead(study.merit(trial, trial.progress), trial.number)
        if ahead < self._passing(study, field, trial.progress):
            return "go"
        return "go" if (self._chances(study, [trial]) or [0.0])[0] >= self.least_chance else "park"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        most = 1 if self.chance is None else MOST_ASKED
        for rung in reversed(self.rungs):
            ranked: list[tuple[StudyTrial, int, bool]] = []  # trials that wait, how many are ahead, whether they pass
            for field in self._arrivals.fields(study, rung).values():
                passing = self._passing(study, field, rung)
                for trial in field.first_waiting(study, self.rungs, rung, live, most):
                    if (merit := study.merit(trial, rung)) > -math.inf:
                        ahead = field.ahead(merit, trial.number)
                        ranked.append((trial, ahead, ahead < passing))
            chances = self._chances(study, [trial for trial, _, _ in ranked]) or [0.0] * len(ranked)
            found = [
                (-chance, ahead, trial.number)  # the most likely to win first, then the best by rank
                for (trial, ahead, passes), chance in zip(ranked, chances, strict=True)
                if passes or chance >= self.least_chance
            ]
            if found:
                return study.trials[min(found)[-1]]
        return None

    def _own_rungs(self, trial: StudyTrial) -> tuple[int, ...]:
        return self.rungs[self.bracket(trial) :]

    def _group(self, trial: StudyTrial) -> Hashable:
        return self.bracket(trial), self.comparable(trial)

    @cached_property
    def _arrivals(self) -> Arrivals:
        return Arrivals(self._own_rungs, self._group)

    def _chances(self, study: Study, trials: list[StudyTrial]) -> Sequence[float] | None:
        """The probability of each trial to end as the best; None if the model does not know it, or there is none."""
        return self.chance(study, trials) if self.chance is not None and trials else None

    def _passing(self, study: Study, field: Field, rung: int) -> int:
        """How many of the field's trials may pass the rung by their rank."""
        return len(field) if is_doubted(study, field, rung) else len(field) // self.reduction_factor


class PromotionSettings(AtRungs):
    """Parks all trials at the rungs and promotes the best, and those that may still become the best."""

    fronts: ClassVar[bool] = True

    kind: Literal["asha_promotion"] = "asha_promotion"
    rungs: tuple[int, ...] | None = rungs_field("a quarter of training.epochs, but at least 2")
    reduction_factor: Factor = 3
    chance: Annotated[float, Setting(gt=0, le=1)] | None = Setting(
        CHANCE,
        description="a trial also passes a rung if the model of sampler default gives it this probability to end as "
        "the best; null: by rank alone",
    )

    def default_rungs(self, epochs: int) -> tuple[int]:
        return (quarter(epochs),)

    def make(self, task: Task) -> Scheduler:
        rungs = self.all_rungs(task.training.epochs)
        if task.costs:
            from search.schedulers.front import FrontPromotion  # it imports SciPy

            return FrontPromotion(rungs, self.reduction_factor, task.costs, task.comparable)
        chance = None if self.chance is None else task.chance
        return Promotion(rungs, self.reduction_factor, task.comparable, chance, self.chance or CHANCE)


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
