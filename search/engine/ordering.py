"""Takes reports in an order that does not depend on real time, for `search.deterministic`.

Time is counted in operations. A report is due when its trial was handed out, plus the operations of its training. The
report that is due first is always taken first, even if others wait for it, and only once all free slots are filled. So
proposals and decisions follow from configuration and seed, for any number of slots. The cost is the time that workers
wait (docs/performance.md).
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
    """Raises UserError if not all slots of `search.deterministic` exist, as trials would then wait for ever.

    gpus: for each trial.
    """
    if not experiment.search.deterministic:
        return
    if experiment.cluster is not None:
        raise UserError("search.deterministic: needs all slots at once, so it runs on one machine only; drop cluster")
    if slots * gpus > (there := torch.cuda.device_count()):
        raise UserError(
            f"search.concurrency: search.deterministic needs {slots} trials of {gpus:g} GPU at once, which do not fit "
            f"the {there} that are here; lower it"
        )


class WorkClock:
    """The time in operations, and when the next report of a trial is due."""

    def __init__(self, study: Study, lines: Iterable[JournalLine], work_of: Callable[[StudyTrial], float]):
        """lines: those of the study's journal so far.

        A killed driver may have written a line that the study lacks. It does not count, as its report is taken again.
        """
        self._work_of = work_of
        self._taken: dict[int, float] = {}
        self.now = 0.0
        for line in lines:
            trial = study.trials.get(line.trial)
            if trial and line.report.progress(trial.unit) in trial.scores:
                self.take(line.trial, line.clock or 0.0)

    def due(self, trial: StudyTrial) -> float:
        """When the trial's next report is due."""
        return max(trial.attributes.clock or 0.0, self._taken.get(trial.number, 0.0)) + self._work_of(trial)

    def take(self, number: int, time: float) -> None:
        """Note that the report of a trial was taken that was due at this time."""
        self._taken[number] = time
        self.now = max(self.now, time)


class Queue:
    """Keeps reports until they are due."""

    def __init__(self, work: Work, slots: int):
        self.work, self.slots = work, slots
        self._held: dict[int, Callable[[], None]] = {}
        self._ending: set[int] = set()  # trials whose workers were told to stop, but have not released them yet
        self._asked = False  # whether no trial was left to start after the last report

    def next(self) -> Assignment | str | None:
        """Like `Work.next`; None while it is too early to ask."""
        if self._ending:
            return None
        task = self.work.next(self.slots)
        self._asked = not isinstance(task, Assignment)
        return task

    def released(self, number: int) -> None:
        """Note that the worker has released the trial."""
        self._ending.discard(number)
        self._held.pop(number, None)
        self._asked = False

    def hold(self, number: int, take: Callable[[], None]) -> None:
        """Keep an answer of the trial's worker; `take` hands it to the work."""
        self._held[number] = take

    def take(self) -> int | None:
        """Take the report that is due next, if its worker has sent it. Returns the number of its trial, or None."""
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
