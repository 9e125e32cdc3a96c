"""What a scheduler is, and what all that rank trials share."""

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from search.record.study import Study
from search.record.trial import StudyTrial
from search.space.space import Params

Decision = Literal["go", "park", "stop"]
Comparable = Callable[[StudyTrial], Hashable]  # trials are ranked only among those of the same value


@runtime_checkable
class Scheduler(Protocol):
    """Decides at rungs, from what the study holds alone: the same study, the same decision.

    Every kind keeps to this:

    - Between rungs the decision is "go".
    - A score that is not finite never passes, at a rung or elsewhere: "stop".
    - A trial that diverged counts as arrived, and as worst, at the rung it was on its way to. A failed one, or one that
      memory is too small for, does not, as it says nothing of what its score would be (but see Population, which is to
      stay whole).
    - The best of its group at a rung is never stopped there.

    A trial is parked when it is running, its progress is a rung, and it has not passed that.
    """

    @property
    def rungs(self) -> tuple[int, ...]:
        """The progress (`StudyTrial.progress`) at which a trial may be parked or stopped, rising."""
        ...

    def decide(self, study: Study, trial: StudyTrial) -> Decision:
        """What becomes of a trial that has just reported, and not for the last time."""
        ...

    def promote(self, study: Study, live: set[int]) -> StudyTrial | None:
        """A parked trial that may go on now; `live` are the numbers that are being trained."""
        ...


@dataclass(frozen=True)
class Heir:
    """A trial to be made: it goes on from a copy of the parent's checkpoint, in place of another."""

    params: Params
    parent: StudyTrial  # parked
    replaces: StudyTrial


@runtime_checkable
class Breeder(Protocol):
    """A scheduler that makes trials out of those there are, too."""

    @property
    def trials(self) -> int:
        """How many there will be, those that it makes included, if none diverges."""
        ...

    def heir(self, study: Study) -> Heir | None:
        """The next one to make; none of the parked is promoted while there is one."""
        ...


def all_alike(trial: StudyTrial) -> Hashable:
    """All trials are comparable."""
    return None


def finite(trial: StudyTrial) -> bool:
    """Whether the trial's last score is a number."""
    return math.isfinite(trial.scores[trial.progress])
