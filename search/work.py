"""What to train next, and what a report means. Knows nothing of Ray, so it can be tested and killed anywhere."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from search.journal import Journal
from search.proposals import Plan
from search.scheduling import SuccessiveHalving
from search.study import Study, StudyTrial
from trainables.config import TrialConfig


class Listener(Protocol):
    """Is told what happens; must not fail and not wait."""

    def trial_started(self, trial: StudyTrial) -> None: ...
    def epoch_reported(self, trial: StudyTrial, report: dict[str, Any]) -> None: ...
    def trial_ended(self, trial: StudyTrial) -> None: ...


class Ending(Protocol):
    """Says when a search should end before its last trial."""

    def reason(self, study: Study, journal: Journal) -> str | None:
        """Why no trial should start or pass a rung any more, for people; None while they may.

        A function of study and journal, so that a resumed search decides as an undisturbed one.
        """
        ...


@dataclass(frozen=True)
class Assignment:
    """A trial for a worker; a resumed or retried one continues from its checkpoint."""

    number: int
    config: TrialConfig
    checkpoints: Path


WAIT, FINISHED = "wait", "finished"


class Work:
    """The trials of one study, from proposal to outcome.

    The order of writing makes a kill at any moment harmless: the worker writes its checkpoint and reports;
    the journal and the study get the report, then the decision, and only then is the worker answered. So at
    most one report lacks its decision when a driver dies, and `recover` takes that decision again.
    """

    def __init__(
        self,
        study: Study,
        journal: Journal,
        folder: Path,
        plan: Plan,
        halving: SuccessiveHalving,
        metric: str,
        epochs: int,
        max_retries: int,
        listeners: list[Listener],
        endings: Sequence[Ending] = (),
        report_steps: int | None = None,
    ):
        """`folder` holds the checkpoints, by trial number; `metric` names the field of a report to compare by.
        Reports come by the epoch, or each so many steps: then the study's scores and the rungs count steps."""
        self.endings, self.report_steps = endings, report_steps
        self.study, self.journal, self.folder, self.plan, self.halving = study, journal, folder, plan, halving
        self.metric, self.epochs, self.max_retries, self.listeners = metric, epochs, max_retries, listeners
        self.live: set[int] = set()  # numbers in the hands of workers
        self._started = time.monotonic()
        self._wall_before = study.wall_seconds
        self._recover()

    def _recover(self) -> None:
        for trial in self.study.trials.values():
            if not trial.running:
                continue
            if "outcome" in trial.attrs:
                self.study.finish(trial, trial.outcome)
            elif trial.scores and not trial.passed(trial.epoch):
                self._decide(trial)

    # -- what to do next

    @property
    def done(self) -> bool:
        """Nothing is running, and nothing is left to propose."""
        if any(trial.running for trial in self.study.trials.values()):
            return False
        return self._reason_to_end() is not None or self.plan.propose(self.study) is None

    def next(self, slots: int) -> Assignment | str:
        """An assignment, WAIT while all slots are taken or the rest may still fail, or FINISHED."""
        if len(self.live) >= slots:
            return WAIT
        trial = self._interrupted() or self._proposed()
        if trial is None:
            return WAIT if self.live else FINISHED
        self.live.add(trial.number)
        for listener in self.listeners:
            listener.trial_started(trial)
        return Assignment(trial.number, self.plan.config(trial.params), self.checkpoints(trial))

    def _interrupted(self) -> StudyTrial | None:
        waiting = (t for t in self.study.trials.values() if t.running and t.number not in self.live)
        return next(waiting, None)

    def _proposed(self) -> StudyTrial | None:
        if self._reason_to_end():
            return None
        params = self.plan.propose(self.study)
        return None if params is None else self.study.add(params, self.plan.distributions)

    def _reason_to_end(self) -> str | None:
        reasons = (ending.reason(self.study, self.journal) for ending in self.endings)
        reason = next(filter(None, reasons), None)
        self.study.set_ended(reason)
        return reason

    def checkpoints(self, trial: StudyTrial) -> Path:
        return self.folder / str(trial.number)

    # -- what came of it

    def reported(self, number: int, report: dict[str, Any]) -> bool:
        """Take an epoch's report; whether the trial may go on. A report known from before a crash changes nothing."""
        trial = self.study.trials[number]
        epoch = int(report["step" if self.report_steps else "epoch"])
        if epoch > trial.epoch:
            assert epoch <= trial.epoch + (self.report_steps or 1), f"trial {number}: {epoch} follows {trial.epoch}"
            self.journal.append({"trial": number, **report})
            if self.report_steps and not trial.scores:
                self.study.set_attr(trial, "epoch_steps", round(epoch / report["epoch"]))
            self.study.report(trial, epoch, float(report[self.metric]))
            self._count_time()
            for listener in self.listeners:
                listener.epoch_reported(trial, report)
            self._decide(trial)
        return trial.running

    def ended(self, number: int, outcome: str, message: str) -> None:
        """The trial ended by itself: diverged or failed."""
        trial = self.study.trials[number]
        if trial.running:
            self._finish(trial, outcome, message)

    def released(self, number: int, crashed: bool) -> None:
        """The worker has let go of the trial. After a crash it is started again, a few times."""
        self.live.discard(number)
        trial = self.study.trials[number]
        if not trial.running:
            return
        if not crashed:
            self._finish(trial, "failed", "training returned before its last epoch")
            return
        crashes = int(trial.attrs.get("crashes", 0)) + 1
        self.study.set_attr(trial, "crashes", crashes)
        if crashes > self.max_retries:
            self._finish(trial, "failed", f"its process died {crashes} times (out of memory?)")

    def _decide(self, trial: StudyTrial) -> None:
        if trial.epochs >= self.epochs:
            self._finish(trial, "completed")
        elif not self.halving.goes_on(self.study, trial):
            self._finish(trial, "stopped")
        elif trial.epoch in self.halving.rungs:
            if reason := self._reason_to_end():
                self._finish(trial, "stopped", reason)
            else:
                # Written, so that later arrivals at this rung can't turn it round after a crash.
                self.study.set_attr(trial, f"epoch-{trial.epoch}", "passed")

    def _finish(self, trial: StudyTrial, outcome: str, message: str = "") -> None:
        self.study.finish(trial, outcome, message)
        for listener in self.listeners:
            listener.trial_ended(trial)

    def _count_time(self) -> None:
        self.study.set_wall_seconds(self._wall_before + time.monotonic() - self._started)
