"""Asynchronous successive halving by stopping."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.arrivals import Arrivals
from search.schedulers.base import Comparable, Decision, all_alike, finite
from search.schedulers.kind import AtRungs, Factor, Task, quarter, rungs_field
from search.schedulers.trust import is_doubted


@dataclass(frozen=True)
class Halving:
    """A trial that reaches a rung continues or ends at once (Li et al. 2020, as implemented in Ray Tune).

    It continues if it is among the best ceil(n / reduction_factor) of the n trials that have reached the rung so far,
    itself included. So the first trial always continues, and equal trials are treated equally. All trials pass a rung
    that predicts final scores badly, see `is_doubted`.
    """

    rungs: tuple[int, ...]
    reduction_factor: int = 2
    comparable: Comparable = all_alike

    @cached_property
    def _arrivals(self) -> Arrivals:
        return Arrivals(lambda trial: self.rungs, self.comparable)

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        if not finite(trial):
            return "stop"
        if trial.progress not in self.rungs:
            return "go"
        field = self._arrivals.field(study, trial)
        if field.ahead(study.merit(trial, trial.progress)) < -(-len(field) // self.reduction_factor):
            return "go"
        return "go" if is_doubted(study, field, trial.progress) else "stop"

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        return None


class HalvingSettings(AtRungs):
    """Stops the worse trials as they reach a rung."""

    kind: Literal["asha"] = "asha"
    rungs: tuple[int, ...] | None = rungs_field("a quarter of training.epochs, but at least 2")
    reduction_factor: Factor = 3

    def default_rungs(self, epochs: int) -> tuple[int]:
        return (quarter(epochs),)

    def make(self, task: Task) -> Halving:
        return Halving(self.all_rungs(task.training.epochs), self.reduction_factor, task.comparable)
