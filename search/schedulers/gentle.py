"""Stopping only trials that are unlikely to become the best."""

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Literal

from search.record.forecasting import fit
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.arrivals import Arrivals
from search.schedulers.base import Comparable, Decision, all_alike, finite
from search.schedulers.kind import AtRungs, Task
from search.schedulers.trust import is_doubted

ENOUGH_FINISHED = 4
LEAST_CHANCE = 0.1


@dataclass(frozen=True)
class Gentle:
    """Ends a trial at a rung only if it is bad there and unlikely to become the best.

    Three conditions must hold. At least four trials have finished. The trial's score is below the median of the rung,
    itself included. A ridge regression of final scores on the rung's scores, over the latest finished trials, gives it
    a probability below 0.1 to beat the best of them.

    So the first trials at a rung continue, and so does a trial equal to the median. A rung that predicts final scores
    badly stops no trial: the forecast is wide, and with more finished trials the rung is ignored, see `is_doubted`.
    """

    rungs: tuple[int, ...]
    comparable: Comparable = all_alike

    @cached_property
    def _arrivals(self) -> Arrivals:
        return Arrivals(lambda trial: self.rungs, self.comparable)

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        rung = trial.progress
        if rung not in self.rungs:
            return "go"
        field = self._arrivals.field(study, trial)
        finished = [(study.merit(other, rung), study.merit(other, other.progress)) for other in field.finished(study)]
        finished = [(at_rung, at_end) for at_rung, at_end in finished if min(at_rung, at_end) > -math.inf]
        mine = study.merit(trial, rung)
        if len(finished) < ENOUGH_FINISHED or mine >= field.median():
            return "go"
        mean, std = fit([at_rung for at_rung, _ in finished], [at_end for _, at_end in finished]).predict(mine)
        chance = 1 - NormalDist(mean, std).cdf(field.best_final)
        return "stop" if chance < LEAST_CHANCE and not is_doubted(study, field, rung) else "go"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        return None


class GentleSettings(AtRungs):
    """Stops only trials that are unlikely to win."""

    kind: Literal["gentle"] = "gentle"

    def make(self, task: Task) -> Gentle:
        return Gentle(self.all_rungs(task.training.epochs), task.comparable)
