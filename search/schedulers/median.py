"""The median stopping rule."""

import math
from dataclasses import dataclass
from statistics import fmean, median

from search.schedulers.base import Comparable, Decision, all_alike, arrivals, finite, merit
from search.study import Study, StudyTrial

ENOUGH_OTHERS = 3  # with fewer a median says little


@dataclass(frozen=True)
class MedianStopping:
    """A trial ends if its best score so far is below the median of the others' running averages (Golovin et al.
    2017, Google Vizier), taken up to the same epoch.

    The others are all that have come to this epoch; until there are three of them everybody goes on, so the first
    arrivals always do. Equal to the median goes on, and so does who leads at the epoch, though all decline.
    """

    rungs: tuple[int, ...]
    comparable: Comparable = all_alike

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        rung = trial.epoch
        field = arrivals(study, trial, self.rungs, self.comparable) if rung in self.rungs else []
        others = [other for other in field if other.number != trial.number]
        if len(others) < ENOUGH_OTHERS:
            return "go"
        best = max(merit(study, trial, epoch) for epoch in trial.scores)
        leads = all(merit(study, other, rung) <= merit(study, trial, rung) for other in others)
        return "go" if leads or best >= median(_running_average(study, other, rung) for other in others) else "stop"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        return None


def _running_average(study: Study, trial: StudyTrial, rung: int) -> float:
    """Of the merits up to the rung; -inf for one that diverged on the way."""
    if rung not in trial.scores:
        return -math.inf
    return fmean(merit(study, trial, epoch) for epoch in trial.scores if epoch <= rung)
