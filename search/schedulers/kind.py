"""A kind of scheduler: its settings, its rungs, the searches that it supports, and how it is made."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from search.goals.costs import Cost
from search.schedulers.base import Chance, Comparable, Scheduler, all_alike
from search.space.space import SearchSpace
from trainables.base.config import TrainingConfig
from trainables.base.errors import UserError
from trainables.base.kinds import Kind, Named

KEY = "search.scheduler"
Factor = Annotated[int, Field(ge=2, description="one in so many trials passes a rung")]


@dataclass(frozen=True)
class Task:
    """What a scheduler needs to know of a search.

    Attributes:
        training: How long a trial is, and the unit of its reports, in which rungs count.
        space: The domains that trials are proposed from.
        trials: `search.trials`; None without a limit.
        seed: The seed of its random numbers.
        costs: The other goals, if there are several.
        comparable: Returns the same value for trials that may be ranked together.
        chance: The sampler's estimate of which trials may end as the best; None if it has none.
    """

    training: TrainingConfig
    space: SearchSpace
    trials: int | None
    seed: int
    costs: tuple[Cost, ...] = ()
    comparable: Comparable = all_alike
    chance: Chance | None = None


def rungs_field(default: str) -> Any:
    """The setting `rungs` of a kind. default: describes what `default_rungs` returns."""
    return Field(
        None,
        description=f"epochs (steps or tokens, as reports) at which trials may be stopped; null: {default}",
    )


class SchedulerSettings(Kind):
    """A kind of scheduler: a subclass, in the table in `search.schedulers`."""

    breeds: ClassVar[bool] = False  # it is a Breeder
    fronts: ClassVar[bool] = False  # it can decide by several goals

    def all_rungs(self, epochs: float) -> tuple[int, ...]:
        """The progress at which a trial of so many epochs may be stopped, rising."""
        return ()

    def check(self, task: Task) -> None:
        """Check that it supports the search. Raises ValueError; the message begins with the key at fault."""

    def make(self, task: Task) -> Scheduler:
        """The scheduler with these settings. Raises UserError if a user's own scheduler fails."""
        raise NotImplementedError


class AtRungs(SchedulerSettings):
    """A kind that decides at rungs."""

    rungs: tuple[int, ...] | None = rungs_field("a quarter of training.epochs, but at least 2, and half of them")

    def default_rungs(self, epochs: int) -> Iterable[int]:
        """The rungs if `rungs` is null; those that are not below `epochs` are ignored."""
        return quarter(epochs), half(epochs)

    def all_rungs(self, epochs: float) -> tuple[int, ...]:
        """The given rungs, or the default ones below the last epoch."""
        if self.rungs is not None:
            return self.rungs
        return tuple(sorted({rung for rung in self.default_rungs(math.ceil(epochs)) if rung < epochs}))

    def check(self, task: Task) -> None:
        """Raises ValueError for rungs that do not rise, are not before the end, or match no report."""
        rungs, training, key = self.rungs, task.training, f"{KEY}.rungs"
        if training.unit == "epoch":
            if rungs is not None and not (_rise(rungs) and max(rungs, default=0) < training.epochs):
                raise ValueError(f"{key}: {list(rungs)} must rise, from 1 to below training.epochs {training.epochs}")
            return
        every, unit = training.report_every, f"{training.report_key} {training.report_every}"
        if rungs is None:
            raise ValueError(
                f"{key}: missing; with {unit} rungs are counted in {training.unit}s, as in [{every}, {4 * every}]"
            )
        for rung in rungs:
            if rung % every or rung < 1:
                nearest = max(1, round(rung / every)) * every
                raise ValueError(f"{key}: {rung} is no multiple of {unit}; the nearest is {nearest}")
        if not _rise(rungs):
            raise ValueError(f"{key}: {list(rungs)} must rise, from {unit} on")


class NamedScheduler(Named, AtRungs, extra="allow"):
    """A user's own scheduler: `module:Name` is called with the rungs and the other settings, each by its name."""

    fronts: ClassVar[bool] = True  # its author's choice

    def make(self, task: Task) -> Scheduler:
        """See SchedulerSettings. Raises UserError if the user's class fails, or is no scheduler."""
        made = self.call(KEY, rungs=self.all_rungs(task.training.epochs))
        if not isinstance(made, Scheduler):
            raise UserError(f"{KEY}: {self.kind} needs rungs, decide and promote; see search/schedulers/base.py")
        return self.guard(KEY, made, "decide", "promote", "heir")


def quarter(epochs: int) -> int:
    """The first rung of most kinds."""
    return max(2, -(-epochs // 4))


def half(epochs: int) -> int:
    """The second rung of some kinds."""
    return -(-epochs // 2)


def _rise(rungs: tuple[int, ...]) -> bool:
    return list(rungs) == sorted(set(rungs)) and min(rungs, default=1) >= 1
