"""What `Work` is given: the rules that decide about trials, and the records that are written of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from search.engine.proposals import Plan
from search.record.journal import Journal
from search.record.study import Study
from search.record.trial import StudyTrial
from search.schedulers.base import Scheduler
from search.settings.problem import alone
from trainables.sharing.checkpoint_places import Checkpoints


class Ending(Protocol):
    """Says when a search should end early."""

    @property
    def ends_running(self) -> bool:
        """Whether running trials end at their next rung; otherwise only no new trial is proposed."""
        ...

    def reason(self, study: Study, journal: Journal) -> str | None:
        """Why the search should end, as text for users; None if it should continue.

        It depends only on study and journal, so that a resumed search decides as an uninterrupted one.
        """
        ...


class Clock(Protocol):
    """The time of `search.deterministic`, see `ordering.py`."""

    now: float

    def due(self, trial: StudyTrial) -> float:
        """When the next report of a trial is due."""
        ...

    def take(self, number: int, time: float) -> None:
        """Note that a report was taken."""
        ...


@dataclass
class Records:
    """Where the trials of a study are recorded."""

    study: Study
    journal: Journal
    checkpoints: Checkpoints
    keep_safe: Callable[[], None] = lambda: None  # called after a trial was added, before it is trained


@dataclass
class Rules:
    """The rules that decide about the trials of a study."""

    plan: Plan
    scheduler: Scheduler
    endings: Sequence[Ending] = ()
    clock: Clock | None = None  # of `search.deterministic`
    train_as_one: Callable[[Sequence[Any]], bool] = alone

    @property
    def now(self) -> float | None:
        """The time in `search.deterministic`; None in other searches."""
        return self.clock.now if self.clock else None

    def reason_to_end(self, records: Records, starting: bool = False) -> str | None:
        """Why no trial should continue, or, if `starting`, be proposed; None if it may. The study keeps the reason."""
        asked = (ending for ending in self.endings if starting or ending.ends_running)
        reason = next(filter(None, (ending.reason(records.study, records.journal) for ending in asked)), None)
        if reason or starting:
            records.study.set_ended(reason)
        return reason
