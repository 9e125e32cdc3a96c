"""Reports taken in an order that no clock on a wall decides: for `search.deterministic`.

Each report is due at a time that is counted in operations: when its trial was handed out, and so much later as its
training is large. Of the trials that are training the one that is due first is waited for, however long the others have
been ready, and no report is taken before free slots have been filled. So proposals and decisions follow from
configuration and seed alone, at any number of slots; what it costs is the waiting (docs/performance.md).
"""

from collections.abc import Callable, Iterable

import torch

from search.engine.work import Work
from search.record.journal import JournalLine
from search.record.study import Study
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from trainables.assignment import Assignment
from trainables.base.errors import UserError


def check_slots(experiment: Experiment, slots: int, gpus: float) -> None:
    """Raises UserError where trials of `search.deterministic` would wait for one that has no place.

    gpus: of a trial.
    """
    if not experiment.search.deterministic:
        return
    if experiment.cluster is not None:
        raise UserError("search.deterministic: needs all its slots at once, so it runs on one machine: drop cluster")
    if slots * gpus > (there := torch.cuda.device_count()):
        raise UserError(
            f"search.concurrency: {slots} trials of {gpus:g} GPU at once, as search.deterministic needs, do not fit "
            f"the {there} that are here; lower it"
        )


class WorkClock:
    """The time in operations: of the latest report that was taken, and at which the next of a trial is due."""

    def __init__(self, lines: Iterable[JournalLine], work_of: Callable[[StudyTrial], float]):
        """lines: of the journal so far."""
        self._work_of = work_of
        self._taken: dict[int, float] = {}
        self.now = 0.0
        for line in lines:
            self.take(line.trial, line.clock or 0.0)

    def due(self, trial: StudyTrial) -> float:
        """When the trial's next report is."""
        return max(trial.attributes.clock or 0.0, self._taken.get(trial.number, 0.0)) + self._work_of(trial)

    def take(self, number: int, time: float) -> None:
        """A report of that time was taken."""
        self._taken[number] = time
        self.now = max(self.now, time)


class Queue:
    """What workers have reported, until it is due."""

    def __init__(self, work: Work, slots: int):
        self.work, self.slots = work, slots
        self._held: dict[int, Callable[[], None]] = {}
        self._ending: set[int] = set()  # told to stop, and not let go yet
        self._asked = False  # whether there was nothing to start after the last report

    def next(self) -> Assignment | str | None:
        """As `Work.next`; None while it is too soon to ask."""
        if self._ending:
            return None
        task = self.work.next(self.slots)
        self._asked = not isinstance(task, Assignment)
        return task

    def released(self, number: int) -> None:
        """The worker has let go of the trial."""
        self._ending.discard(number)
        self._held.pop(number, None)
        self._asked = False

    def hold(self, number: int, take: Callable[[], None]) -> None:
        """Something was reported of the trial; `take` tells the work of it."""
        self._held[number] = take

    def take(self) -> int | None:
        """Take the report that is due, if it is there and its time has come; the number of its trial."""
        study: Study = self.work.study
        clock = self.work.rules.clock
        assert clock
        full = len(self.work.live) >= self.slots
        if self._ending or not (self._asked or full) or not study.active:
            return None
        first = min(study.active.values(), key=lambda trial: (clock.due(trial), trial.number))
        if first.number not in self._held:
            return None
        clock.take(first.number, clock.due(first))
        self._held.pop(first.number)()
        self._asked = False
        if not self.work.goes_on(first.number):
            self._ending.add(first.number)
        return first.number
