"""Work that is played in virtual time: the real scheduler and budget decide, and nobody trains."""

import heapq
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count

from search.engine.work import Work
from search.planning.made_up import VirtualStudy
from search.record.trial import StudyTrial
from trainables.assignment import Assignment
from trainables.base.report import EpochReport

OVERDUE = 0.1  # of its seconds that a report takes at least from now on, however long it is awaited
log = logging.getLogger("babeltune.work")


def play(
    work: Work,
    slots: int,
    report: Callable[[StudyTrial], EpochReport],
    ahead: Mapping[int, float] | None = None,
    stretch: float = 1.0,
    look: Callable[[], None] = lambda: None,
) -> float:
    """Run the work, of a `VirtualStudy`, until it is finished; the seconds by the clock that it takes.

    Args:
        work: What is left to do.
        slots: Trials at a time.
        report: The next report of a trial.
        ahead: Seconds by the clock that running trials have worked since their last report.
        stretch: Seconds by the clock for a second of a report.
        look: Called after each report.
    """
    study, ahead = work.study, dict(ahead or {})
    assert isinstance(study, VirtualStudy)
    before, now, order = study.wall_seconds, 0.0, count()
    clock: list[tuple[float, int, int]] = []  # when the next report is due, order, trial

    def wait_for(number: int) -> None:
        due = report(study.trials[number])
        seconds = (due.train_seconds + due.eval_seconds) * stretch
        heapq.heappush(clock, (now + max(OVERDUE * seconds, seconds - ahead.pop(number, 0.0)), next(order), number))

    with unlogged():
        while True:
            while isinstance(task := work.next(slots), Assignment):
                wait_for(task.number)
            if not clock:
                return now
            now, _, number = heapq.heappop(clock)
            study.wall_seconds = before + now
            if work.reported(number, report(study.trials[number])):
                wait_for(number)
            else:
                work.released(number, crashed=False)
            look()


def seconds_in_slots(seconds: list[float], slots: int) -> float:
    """By the clock, where each goes to the slot that is free first."""
    free = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


@contextmanager
def unlogged() -> Iterator[None]:
    """What work does in the block is not to stand in the log of a run."""
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)
