"""Promotion of the trials that may still come to the front of a search with several goals."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from search.goals.costs import Cost
from search.goals.front import ranks
from search.record.forecasting import fit
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.arrivals import Arrivals, Field
from search.schedulers.base import Comparable, Decision, all_alike, finite
from search.schedulers.trust import is_doubted

ENOUGH_FINISHED = 6  # finished trials that a forecast needs
SURE = 1.28  # standard deviations, for a one-sided confidence of 0.9
LEAST_ERROR = 0.1  # of a forecast, in standard deviations of the final scores


@dataclass(frozen=True)
class FrontPromotion:
    """A trial continues after a rung if it may still come to the front; the others wait there.

    Once six trials have finished, a regression of final scores on the rung's scores gives a forecast for each trial. It
    waits if, with a confidence of 0.9, it will be worse than the median of the final scores, or than the best of those
    that cost no more. Until then the best floor(n / reduction_factor) of n trials are promoted, by their non-dominated
    rank at the rung. The best trial at a rung always continues. All trials pass a rung that predicts final scores
    badly, see `is_doubted`.
    """

    rungs: tuple[int, ...]
    reduction_factor: int
    costs: tuple[Cost, ...]
    comparable: Comparable = all_alike

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        if trial.progress not in self.rungs:
            return "go"
        return "go" if trial in self._passing(study, trial.progress, self._group(trial), [trial]) else "park"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        for rung in reversed(self.rungs):
            found: list[StudyTrial] = []
            for group, field in self._arrivals.fields(study, rung).items():
                found += self._passing(study, rung, group, field.all_waiting(study, self.rungs, rung, live))
            if found:
                return max(found, key=lambda trial: (study.merit(trial, rung), -trial.number))
        return None

    @cached_property
    def _arrivals(self) -> Arrivals:
        return Arrivals(lambda trial: self.rungs, self.comparable)

    def _group(self, trial: StudyTrial) -> Hashable:
        return self.comparable(trial)

    def _passing(self, study: Study, rung: int, group: Hashable, trials: list[StudyTrial]) -> list[StudyTrial]:
        """Those of these trials at the rung that may continue."""
        field = self._arrivals.fields(study, rung)[group]
        finished = [trial for trial in field.finished(study) if study.final(trial) > -math.inf]
        trials = [trial for trial in trials if study.merit(trial, rung) > -math.inf]
        if len(finished) < ENOUGH_FINISHED:
            first = self._first_by_rank(study, rung, field)
            return [trial for trial in trials if trial.number in first]
        if is_doubted(study, field, rung):
            return trials
        hopeful = self._hopeful(study, rung, finished)
        return [trial for trial in trials if field.ahead(study.merit(trial, rung), trial.number) == 0 or hopeful(trial)]

    def _first_by_rank(self, study: Study, rung: int, field: Field) -> set[int]:
        """The numbers of the best floor(n / reduction_factor) trials, by non-dominated rank, then by score."""
        passing, known = len(field) // self.reduction_factor, field.arrived(study)
        if not passing or not known:
            return set()
        scores = np.array([study.merit(trial, rung) for trial in known])
        costs = np.array([self._places(trial) for trial in known])
        order = np.lexsort((np.arange(len(known)), -scores, ranks(scores, costs)))
        return {known[row].number for row in order[:passing]}

    def _hopeful(self, study: Study, rung: int, finished: list[StudyTrial]) -> Callable[[StudyTrial], bool]:
        """Whether a trial may come to the front of the finished ones."""
        finals = np.array([study.final(trial) for trial in finished])
        forecast = fit([study.merit(trial, rung) for trial in finished], finals.tolist())
        places = np.array([self._places(trial) for trial in finished])
        least_error, middle = LEAST_ERROR * float(finals.std()), float(np.median(finals))

        def hopeful(trial: StudyTrial) -> bool:
            mean, error = forecast.predict(study.merit(trial, rung))
            no_dearer = (places <= self._places(trial)).all(1)
            needed = max(middle, float(finals[no_dearer].max(initial=-math.inf)))
            return mean + SURE * max(error, least_error) >= needed

        return hopeful

    def _places(self, trial: StudyTrial) -> list[float]:
        """The trial on the axes of the costs; an unknown cost counts as the least."""
        values = ((cost, cost.of(trial)) for cost in self.costs)
        return [-math.inf if value is None else cost.place(value) for cost, value in values]
