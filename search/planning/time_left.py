"""How much is left of a search: told at any moment, from what has been reported."""

import time
from collections.abc import Callable

from search.planning.playing_on import Left, play_on
from search.planning.seen import Seen, Standing, Trials
from search.record.journal import JournalLine
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from trainables.base.log import logger

COURSES = 3  # that are played for an estimate
SHARE = 0.01  # of the time, that estimates may take
USUAL = 3.0  # seconds of reports that count as seen without delay, before any was
SLOWEST = 3.0  # seconds by the clock for a second of a report


class TimeLeft:
    """Listens to a search and then to its finals, and says what is left of both."""

    def __init__(self, experiment: Experiment, slots: int, clock: Callable[[], float] = time.monotonic):
        """slots: trials at a time. clock: the time in seconds."""
        self.clock, self.started = clock, clock()
        self.seen = Seen(experiment, slots)
        self.trials: Trials | None = None

    def begin(self, trials: Trials) -> None:
        """Listen to these from now on."""
        self.trials = trials
        self._since: dict[int, float] = {}  # when a trial in training started or reported
        self._starting: set[int] = set()  # trials whose worker starts, too
        self._started = self._at_once = 0  # trials that did; and at most at a time
        self._waited = self._reported = 0.0  # seconds for reports, and of these
        self._left: tuple[float, Left] | None = None  # when it was estimated
        self._again = 0.0  # when it may be estimated again
        for line in trials.journal.lines:
            if trial := trials.study.trials.get(line.trial):
                self.seen.see(trials, trial, line.report)

    @property
    def left(self) -> Left | None:
        """What is left now; None before anything was reported."""
        now = self.clock()
        if now >= self._again and self.trials and self.seen.pace.known:
            started = time.perf_counter()
            self._left = self._estimate(now)
            self._again = now + (time.perf_counter() - started) / SHARE
        if self._left is None:
            return None
        told, left = self._left
        return Left(left.epochs, max(0.0, left.seconds - (now - told)))

    def _estimate(self, now: float) -> tuple[float, Left] | None:
        try:
            return now, play_on(self.seen, self._standing(now), COURSES)
        except Exception as error:  # a scheduler may be a user's, and no estimate is worth a search
            logger.info("the time left is not known: %s: %s", type(error).__name__, error)
            return None

    def _standing(self, now: float) -> Standing:
        assert self.trials
        running = {number: now - since for number, since in self._since.items()}
        for number in self._starting & running.keys():
            running[number] -= self.seen.start
        stretch = (self._waited + USUAL) / (self._reported + USUAL)
        at_once = max(1, self._at_once) if self._reported else self.seen.slots
        return Standing(self.trials, running, at_once, min(SLOWEST, stretch))

    def trial_started(self, trial: StudyTrial) -> None:
        """As `Listener` says."""
        self._since[trial.number] = self.clock()
        self._started += 1
        if self._started <= self.seen.slots:
            self._starting.add(trial.number)
        self._at_once = max(self._at_once, len(self._since))

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        """As `Listener` says."""
        assert self.trials
        now, took = self.clock(), line.report.train_seconds + line.report.eval_seconds
        waited = max(took, now - self._since[trial.number])
        if trial.number in self._starting:
            self.seen.starts.append(waited - took)
            self._starting.discard(trial.number)
        else:
            self._waited += waited
            self._reported += took
        self._since[trial.number] = now
        self.seen.see(self.trials, trial, line.report)

    def trial_parked(self, trial: StudyTrial) -> None:
        """As `Listener` says."""
        self._since.pop(trial.number, None)

    def trial_ended(self, trial: StudyTrial) -> None:
        """As `Listener` says."""
        self.trial_parked(trial)
