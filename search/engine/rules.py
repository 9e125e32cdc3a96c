"""What decides about the trials of a study, and what is written of them: the two halves that `Work` is given."""

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
    """Says when a search should end before its last trial."""

    @property
    def ends_running(self) -> bool:
        """Whether the trials that run end at their next rung, too; otherwise nothing is proposed any more."""
        ...

    def reason(self, study: Study, journal: Journal) -> str | None:
        """Why no trial should start, or pass a rung, any more, for people; None while they may.

        A function of study and journal, so that a resumed search decides as an undisturbed one.
        """
        ...


class Clock(Protocol):
    """The time of a search in which nothing depends on the time; see `ordering.py`."""

    now: float

    def due(self, trial: StudyTrial) -> float:
        """When the next report of a trial is due."""
        ...

    def take(self, number: int, time: float) -> None:
        """Note that a report was taken."""
        ...


@dataclass
class Records:
    """What is written of the trials of a study."""

    study: Study
    journal: Journal
    checkpoints: Checkpoints
    keep_safe: Callable[[], None] = lambda: None  # called with a new trial in the study, before anybody trains it


@dataclass
class Rules:
    """What decides about the trials of a study."""

    plan: Plan
    scheduler: Scheduler
    endings: Sequence[Ending] = ()
    clock: Clock | None = None  # of `search.deterministic`
    train_as_one: Callable[[Sequence[Any]], bool] = alone

    @property
    def now(self) -> float | None:
        """The time in `search.deterministic`."""
        return self.clock.now if self.clock else None

    def reason_to_end(self, records: Records, starting: bool = False) -> str | None:
        """Why no trial should go on, or, if `starting`, be proposed; None while it may. The study keeps the reason."""
        asked = (ending for ending in self.endings if starting or ending.ends_running)
        reason = next(filter(None, (ending.reason(records.study, records.journal) for ending in asked)), None)
        if reason or starting:
            records.study.set_ended(reason)
        return reason
