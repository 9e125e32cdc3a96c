"""Decides what to train next, and what to do after a report. Without Ray, so tests can interrupt it anywhere."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from search.engine.decisions import carry_out
from search.engine.next_trial import NextTrial
from search.engine.ready import IdleSlots, ReadyPlan
from search.engine.rules import Records, Rules
from search.record.journal import JournalLine, make_line
from search.record.trial import StudyTrial
from search.settings.experiment import Experiment
from search.settings.wording import count
from trainables.assignment import Assignment
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport


class Listener(Protocol):
    """Is notified of events. Its methods must neither fail nor wait."""

    def trial_started(self, trial: StudyTrial) -> None:
        """A trial was handed to a worker, for the first time or again."""
        ...

    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None:
        """A report was taken, and is written."""
        ...

    def trial_parked(self, trial: StudyTrial) -> None:
        """A trial waits at a rung."""
        ...

    def trial_ended(self, trial: StudyTrial) -> None:
        """A trial has ended; it has its outcome."""
        ...


WAIT, FINISHED = "wait", "finished"
log = logging.getLogger("babeltune.work")
ROUNDING = 1e-6  # of epochs that are a part of one


class Work:
    """The trials of one study, from proposal to outcome.

    The order of writes makes a kill at any moment harmless. The worker writes its checkpoint, then reports. The report
    is written to the journal, then to the study; then the decision is written; then the worker gets its answer. So when
    a driver dies, at most one report lacks its decision, and the next driver makes that decision.

    The worker of a parked trial releases it. The trial stays RUNNING in the study and keeps its checkpoint. If it is
    promoted, it continues under its number. Otherwise it is stopped when nothing else is left to do.
    """

    def __init__(self, experiment: Experiment, records: Records, rules: Rules, listeners: Sequence[Listener] = ()):
        self.records, self.rules, self.listeners = records, rules, list(listeners)
        self.study, self.journal, self.checkpoints = records.study, records.journal, records.checkpoints
        self.metric, self.max_retries = experiment.search.metric, experiment.search.max_retries
        self.epochs, self.unit = experiment.training.epochs, experiment.training.unit
        self.report_every = experiment.training.report_every
        self.live: dict[int, int] = {}  # trial that a worker has -> first trial of its group
        self.next_trial = NextTrial(records, rules, self.live, self._tell_end)
        self._started = time.monotonic()
        self._wall_before = self.study.wall_seconds
        self.idle = IdleSlots(self.study.idle_seconds)
        self.instead = experiment.search.compared_by.instead
        self.study.recall(self.journal.lines, experiment.search.compared_by)
        self._recover()

    def _recover(self) -> None:
        """Finish what a killed driver may have left half done: ends of trials, and the decision on the last report."""
        latest = self.journal.lines[-1].trial if self.journal.lines else None
        running = list(self.study.running.values())
        for trial in running:  # first, as decisions depend on which trials wait
            if trial.attributes.outcome is not None:
                self._finish(trial, trial.outcome)
            elif self._parked(trial):
                self.study.rest(trial)
        for trial in running:
            lacks_decision = trial.running and bool(trial.scores) and not trial.passed(trial.progress)
            if lacks_decision and (self.rules.clock is None or trial.number == latest):
                self._decide(trial)

    # -- what to do next

    @property
    def done(self) -> bool:
        """Whether no trial is running, and none is left to propose."""
        if self.study.running:
            return False
        ends = self.rules.reason_to_end(self.records, starting=True) is not None
        return ends or self.rules.plan.propose(self.study) is None

    def next(self, slots: int, group_size: int = 1) -> Assignment | str:
        """An assignment; WAIT while all slots are taken, or running trials may lead to more; or FINISHED.

        An assignment has up to `group_size` trials that can be trained as one computation. For more than one, the plan
        must propose the same trial again until it is added.
        """
        if len(set(self.live.values())) >= slots:
            return WAIT
        trial = self.next_trial.find()
        if trial is None and self.live:
            return WAIT
        trial = trial or self.next_trial.furthest()
        if trial is None:
            self._end_parked()
            return FINISHED
        self.idle.taken()
        group = [self._hand_out(trial, trial.number)]
        while len(group) < group_size and (another := self.next_trial.another([each.config for each in group])):
            group.append(self._hand_out(another, trial.number))
        return replace(group[0], others=tuple(group[1:]))

    def prepare(self, slots: int) -> None:
        """Make a proposal ahead if all slots are taken; see `ReadyPlan`."""
        plan, taken = self.rules.plan, len(set(self.live.values()))
        if not isinstance(plan, ReadyPlan) or taken < slots or not plan.lacks(self.study):
            return
        if self.rules.reason_to_end(self.records) is None:
            plan.prepare(self.study)

    def _hand_out(self, trial: StudyTrial, first: int) -> Assignment:
        self.live[trial.number] = first
        log.info("trial %d goes to a worker, from epoch %g", trial.number, trial.epochs)
        for listener in self.listeners:
            listener.trial_started(trial)
        config = self.rules.plan.config(trial.params)
        return Assignment(trial.number, config, self.checkpoints.folder / str(trial.number), trial.progress)

    def _end_parked(self) -> None:
        reason = self.rules.reason_to_end(self.records) or ""
        for trial in self.next_trial.idle():
            self._finish(trial, Outcome.STOPPED, reason)

    # -- what workers answer

    def knows(self, number: int, report: EpochReport) -> bool:
        """Whether the study already has this report, from before a crash."""
        return report.progress(self.unit) <= self.study.trials[number].progress

    def reported(self, number: int, report: EpochReport) -> bool:
        """Take a report. Returns whether the trial may continue now.

        A report from before a crash changes nothing. A score that is not finite is not kept, and ends the trial as
        diverged.
        """
        trial = self.study.trials[number]
        progress, score = report.progress(self.unit), report.score(self.metric)
        if progress > trial.progress and not math.isfinite(score):
            self.ended(number, Outcome.DIVERGED, f"{self.metric} became {score} in epoch {report.epoch:g}")
        elif progress > trial.progress:
            follows = progress <= trial.progress + self.report_every
            assert follows, f"trial {number}: {progress} follows {trial.progress}"
            # The journal may have it from a driver that then died; another training can differ in the last digits.
            line = self.journal.append(make_line(number, report, self.rules.now))
            report, score = line.report, line.report.score(self.metric)
            if self.unit != "epoch" and not trial.scores:
                length: dict[str, Any] = {f"epoch_{self.unit}s": round(progress / report.epoch)}
                self.study.set_attributes(trial, replace(trial.attributes, **length))
            loss = report.score(self.instead) if self.instead is not None else None
            self.study.report(trial, progress, score, loss)
            trial.note(report)
            self._count_time()
            log.info("trial %d reports epoch %g: %s %g", number, report.epoch, self.metric, score)
            for listener in self.listeners:
                listener.trial_reported(trial, line)
            self._decide(trial)
            if self._parked(trial):
                log.info("trial %d waits at epoch %g", number, trial.epochs)
                self.study.rest(trial)
                for listener in self.listeners:
                    listener.trial_parked(trial)
        return self.goes_on(number)

    def goes_on(self, number: int) -> bool:
        """Whether the worker of a trial should continue to train it."""
        trial = self.study.trials[number]
        return trial.running and not self._parked(trial)

    def ended(self, number: int, outcome: Outcome, message: str) -> None:
        """Take the worker's answer that training has ended: diverged, infeasible or failed."""
        trial = self.study.trials[number]
        if trial.running:
            self._finish(trial, outcome, message)

    def released(self, number: int, crashed: bool) -> None:
        """The worker has released the trial: it ended, was parked, or crashed. A crashed one may start again."""
        if number not in self.live:
            return
        first = self.live.pop(number)
        if first not in self.live.values():
            self.idle.freed()
        trial = self.study.trials[number]
        if not trial.running or self._parked(trial):
            return
        if not crashed:
            self._finish(trial, Outcome.FAILED, "training returned before its last epoch")
            return
        crashes = trial.attributes.crashes + 1
        self.study.set_attributes(trial, replace(trial.attributes, crashes=crashes))
        log.warning("trial %d: its process died, %d times by now", number, crashes)
        if crashes > self.max_retries:
            self._finish(trial, Outcome.FAILED, f"its process died {count(crashes, 'time', 'times')} (out of memory?)")

    def lost(self, number: int) -> None:
        """The worker's machine is lost. The trial continues elsewhere, no matter how often this happens."""
        self.live.pop(number, None)
        trial = self.study.trials[number]
        log.warning("trial %d: its machine is lost; it continues elsewhere", number)
        known = trial.attributes
        self.study.set_attributes(trial, replace(known, machines_lost=known.machines_lost + 1))

    def _decide(self, trial: StudyTrial) -> None:
        if trial.epochs >= self.epochs - ROUNDING:
            self._finish(trial, Outcome.COMPLETED)
            return
        rungs, decision = self.rules.scheduler.rungs, self.rules.scheduler.decide(self.study, trial)
        if decision == "go" and trial.progress in rungs and (reason := self.rules.reason_to_end(self.records)):
            self._finish(trial, Outcome.STOPPED, reason)
            return
        carry_out(decision, self.study, trial, rungs, self.rules.now)
        if not trial.running:
            self._tell_end(trial)

    def _parked(self, trial: StudyTrial) -> bool:
        return trial.parked(self.rules.scheduler.rungs)

    def _finish(self, trial: StudyTrial, outcome: Outcome, message: str = "") -> None:
        self.study.finish(trial, outcome, message)
        self._tell_end(trial)

    def _tell_end(self, trial: StudyTrial) -> None:
        message = trial.attributes.message
        log.info("trial %d %s%s", trial.number, trial.outcome, f": {message}" if message else "")
        for listener in self.listeners:
            listener.trial_ended(trial)

    def _count_time(self) -> None:
        self.study.set_wall_seconds(self._wall_before + time.monotonic() - self._started, self.idle.seconds)
