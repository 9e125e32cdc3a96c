"""The median stopping rule."""

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal

from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.arrivals import Arrivals
from search.schedulers.base import Comparable, Decision, all_alike, finite
from search.schedulers.kind import AtRungs, Task, quarter, rungs_field
from search.schedulers.trust import is_doubted

ENOUGH_OTHERS = 3  # the median of fewer trials says little


@dataclass(frozen=True)
class MedianStopping:
    """Ends a trial whose best score so far is below the median of the others' running averages.

    The averages are taken up to the same progress (Golovin et al. 2017, Google Vizier). The others are all trials that
    have reached this rung; until there are three of them, every trial continues. A trial equal to the median continues,
    and so does the best one at the rung, even if all scores decline. All trials pass a rung that predicts final scores
    badly, see `is_doubted`.
    """

    rungs: tuple[int, ...]
    comparable: Comparable = all_alike

    @cached_property
    def _by_score(self) -> Arrivals:
        return Arrivals(lambda trial: self.rungs, self.comparable)

    @cached_property
    def _by_average(self) -> Arrivals:
        return Arrivals(lambda trial: self.rungs, self.comparable, _running_average)

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        rung = trial.progress
        if rung not in self.rungs or len(self._by_score.field(study, trial)) <= ENOUGH_OTHERS:
            return "go"
        field = self._by_score.field(study, trial)
        leads = field.ahead(study.merit(trial, rung)) == 0
        best = max(study.merit(trial, progress) for progress in trial.scores)
        mine = -_running_average(study, trial, rung), trial.number
        if leads or best >= self._by_average.field(study, trial).median(without=mine):
            return "go"
        return "go" if is_doubted(study, field, rung) else "stop"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        return None


class MedianSettings(AtRungs):
    """Stops trials below the median of the others."""

    kind: Literal["median"] = "median"
    rungs: tuple[int, ...] | None = rungs_field("each epoch from a quarter of training.epochs on, but at least 2")

    def default_rungs(self, epochs: int) -> range:
        return range(quarter(epochs), epochs)

    def make(self, task: Task) -> MedianStopping:
        return MedianStopping(self.all_rungs(task.training.epochs), task.comparable)


def _running_average(study: Study, trial: StudyTrial, rung: int) -> float:
    """The mean merit up to the rung."""
    return fmean(study.merit(trial, progress) for progress in trial.scores if progress <= rung)
