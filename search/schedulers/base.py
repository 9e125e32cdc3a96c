"""The interface of schedulers, and what those that rank trials share."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from search.record.study import Study
from search.record.trial import StudyTrial
from search.space.space import Params

Decision = Literal["go", "park", "stop"]
Comparable = Callable[[StudyTrial], Hashable]  # trials are ranked only among those with the same value

# The probability of each of these trials to end as the best, by a model of final scores; None if it can't say yet. It
# depends on the study alone.
Chance = Callable[[Study, Sequence[StudyTrial]], Sequence[float] | None]


@runtime_checkable
class Scheduler(Protocol):
    """Decides at rungs, from the study alone: the same study always gives the same decision.

    Every kind keeps these rules:

    - Between rungs the decision is "go".
    - A score that is not finite never passes, at a rung or elsewhere: "stop".
    - A trial that diverged counts as the worst at the next rung. A trial that failed, or that memory is too small for,
      does not count, as its score would be unknown. (It counts in Population, which replaces it.)
    - The best of its group at a rung is never stopped there.

    A trial is parked if it is running, its progress is a rung, and it has not passed that rung.
    """

    @property
    def rungs(self) -> tuple[int, ...]:
        """The values of `StudyTrial.progress` at which a trial may be parked or stopped, in rising order."""
        ...

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        """What to do with a trial that has just reported, but not for the last time."""
        ...

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        """A parked trial that may continue now, if there is one. live: the numbers of trials that workers have."""
        ...


@dataclass(frozen=True)
class Heir:
    """A trial to be added: it starts from a copy of the parent's checkpoint and replaces another trial."""

    params: Params
    parent: StudyTrial  # parked
    replaces: StudyTrial


@runtime_checkable
class Breeder(Protocol):
    """A scheduler that also makes new trials from existing ones."""

    @property
    def trials(self) -> int:
        """The number of trials, with those that it makes, if none diverges."""
        ...

    def heir(self, study: Study) -> Heir | None:
        """The next trial to add, if there is one; until then no parked trial is promoted."""
        ...


def all_alike(trial: StudyTrial) -> Hashable:
    """The same value for all trials: all are comparable."""
    return None


def finite(trial: StudyTrial) -> bool:
    """Whether the trial's last score is finite."""
    return math.isfinite(trial.scores[trial.progress])
