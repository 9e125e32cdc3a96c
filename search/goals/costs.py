"""Goals beside the score that compares trials: what a model costs. Less is better."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from search.record.trial import StudyTrial
from search.space.space import Params


def never_seen(trial: StudyTrial) -> float | None:
    """No value, for a cost that is known without training."""
    return None


@dataclass(frozen=True)
class Cost:
    """A cost of a trial's model or training.

    Attributes:
        name: Its name in the configuration, such as "parameters".
        known: Its value for the hyperparameters of a valid trial, before any training; None if reports tell it.
        seen: Its value for a trial that has reported; None while it is unknown.
        ratios: Values are positive, and models compare their ratios; otherwise they compare differences.
    """

    name: str
    known: Callable[[Params], float] | None = None
    seen: Callable[[StudyTrial], float | None] = never_seen
    ratios: bool = True

    def of(self, trial: StudyTrial) -> float | None:
        """The cost of a trial; None while it is unknown."""
        return self.known(trial.params) if self.known else self.seen(trial)

    def place(self, value: float) -> float:
        """The value on the axis on which models compare costs."""
        return math.log(value) if self.ratios else value
