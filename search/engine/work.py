"""What to train next, and what a report means. Knows nothing of Ray, so it can be tested and killed anywhere."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from search.engine.decisions import add_heir, carry_out, let_pass
from search.engine.proposals import Plan
from search.record.attributes import Attributes
from search.record.journal import Journal, JournalLine, make_line
from search.record.study import Study, StudyTrial
from search.schedulers.base import Breeder, Scheduler
from search.settings.experiment import Experiment
from trainables.acceleration.stackable import can_train_as_one
from trainables.assignment import Assignment
from trainables.base.config import TrialConfig
from trainables.base.outcomes import Outcome
from trainables.base.report import EpochReport
from trainables.sharing.checkpoint_places import Checkpoints


class Listener(Protocol):
    """Is told what happens; must not fail and not wait."""

    def trial_started(self, trial: StudyTrial) -> None: ...
    def trial_reported(self, trial: StudyTrial, line: JournalLine) -> None: ...
    def trial_parked(self, trial: StudyTrial) -> None: ...
    def trial_ended(self, trial: StudyTrial) -> None: ...


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

    def due(self, trial: StudyTrial) -> float: ...
    def take(self, number: int, time: float) -> None: ...


WAIT, FINISHED = "wait", "finished"
log = logging.getLogger("babeltune.work")


class Work:
    """The trials of one study, from proposal to outcome.

    The order of writing makes a kill at any moment harmless: the worker writes its checkpoint and reports;
    the journal and the study get the report, then the decision, and only then is the worker answered. So at
    most one report lacks its decision when a driver dies, and the next driver takes that decision again.

    A trial that its scheduler parks is let go by its worker and stays RUNNING in the study, with its
    checkpoint. If it is promoted it goes on under its number; otherwise it is told stopped when all else is done.
    """

    def __init__(
        self,
        experiment: Experiment,
        study: Study,
        journal: Journal,
        checkpoints: Checkpoints,
        plan: Plan,
        scheduler: Scheduler,
        listeners: Sequence[Listener] = (),
        endings: Sequence[Ending] = (),
        keep_safe: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ):
        """`keep_safe` is called with a new trial in the study, before anybody trains it. clock: of
        `search.deterministic`."""
        self.clock = clock
        self.study, self.journal, self.checkpoints = study, journal, checkpoints
        self.plan, self.scheduler = plan, scheduler
        self.listeners, self.endings, self.keep_safe = list(listeners), endings, keep_safe
        self.metric, self.max_retries = experiment.search.metric, experiment.search.max_retries
        self.epochs, self.unit = experiment.training.epochs, experiment.training.unit
        self.report_steps = experiment.training.report_steps  # the study's scores and the rungs count steps, then
        self.live: dict[int, int] = {}  # numbers in the hands of workers, each with the first of its team
        self._started = time.monotonic()
        self._wall_before = study.wall_seconds
        if self.metric == "valid_bleu":
            study.recall(journal.lines)
        self._recover()

    def _recover(self) -> None:
        latest = self.journal.lines[-1].trial if self.journal.lines else None
        for trial in self.study.trials.values():
            if not trial.running:
                continue
            if trial.attributes.outcome is not None:
                self._finish(trial, trial.outcome)
            elif trial.scores and not trial.passed(trial.progress) and (self.clock is None or trial.number == latest):
                self._decide(trial)
            if self._parked(trial):
                self.study.rest(trial)

    # -- what to do next

    @property
    def done(self) -> bool:
        """Nothing is running, and nothing is left to propose."""
        if self.study.running:
            return False
        return self._reason_to_end(starting=True) is not None or self.plan.propose(self.study) is None

    def next(self, slots: int, together: int = 1) -> Assignment | str:
        """An assignment, WAIT while all slots are taken or what runs may still call for more, or FINISHED.

        With `together` above 1 it takes along up to so many trials that can train as one; the plan must propose the
        same until a proposal is taken.
        """
        if len(set(self.live.values())) >= slots:
            return WAIT
        trial = self._interrupted() or self._promoted() or self._inheriting() or self._proposed()
        if trial is None and self.live:
            return WAIT
        trial = trial or self._furthest()
        if trial is None:
            self._end_parked()
            return FINISHED
        team = [self._handed_out(trial, trial.number)]
        while len(team) < together and (mate := self._mate([each.config for each in team])) is not None:
            team.append(self._handed_out(mate, trial.number))
        return replace(team[0], mates=tuple(team[1:]))

    def _handed_out(self, trial: StudyTrial, first: int) -> Assignment:
        self.live[trial.number] = first
        log.info("trial %d goes to a worker, from epoch %g", trial.number, trial.epochs)
        for listener in self.listeners:
            listener.trial_started(trial)
        config = self.plan.config(trial.params)
        return Assignment(trial.number, config, self.checkpoints.folder / str(trial.number), trial.progress)

    def _mate(self, team: list[TrialConfig]) -> StudyTrial | None:
        """One more that can train as one with those: interrupted, or new."""
        for number in sorted(self.study.owing.keys() - self.live.keys()):
            trial = self.study.trials[number]
            if can_train_as_one([*team, self.plan.config(trial.params)]):
                return trial
        proposal = self.plan.propose(self.study)
        if proposal is None or not can_train_as_one([*team, self.plan.config(proposal.params)]):
            return None
        return self._proposed()

    def _interrupted(self) -> StudyTrial | None:
        """A trial that owes epochs, as its worker or an earlier driver died."""
        numbers = (number for number in self.study.owing if number not in self.live)
        return self.study.trials.get(min(numbers, default=-1))

    def _promoted(self) -> StudyTrial | None:
        if self._reason_to_end():
            return None
        trial = self.scheduler.promote(self.study, set(self.live))
        if trial is not None:
            log.info("trial %d is promoted at epoch %g", trial.number, trial.epochs)
            let_pass(self.study, trial, self._now)
        return trial

    @property
    def _now(self) -> float | None:
        """The time in `search.deterministic`."""
        return self.clock.now if self.clock else None

    def _inheriting(self) -> StudyTrial | None:
        """An heir. The copy comes before the trial: if it is in the study, there is a checkpoint it goes on from."""
        heir = self.scheduler.heir(self.study) if isinstance(self.scheduler, Breeder) else None
        if heir is None or self._reason_to_end():
            return None
        self.checkpoints.copy(heir.parent.number, len(self.study.trials), heir.parent.progress)
        was_running = heir.replaces.running
        trial = add_heir(self.study, heir, self.plan.distributions, self._now)
        if was_running:
            self._tell_end(heir.replaces)
        self.keep_safe()
        return trial

    def _proposed(self) -> StudyTrial | None:
        if self._reason_to_end(starting=True):
            return None
        proposal = self.plan.propose(self.study)
        if proposal is None:
            return None
        # It starts from nothing, even if a driver was killed between copying a checkpoint and making its heir.
        self.checkpoints.remove(len(self.study.trials))
        attributes = Attributes(after=len(self.journal.lines), clock=self._now)
        trial = self.study.add(proposal.params, self.plan.distributions, proposal.memory, attributes=attributes)
        log.info(
            "trial %d is proposed after %d reports: %s; the sampler noted %s",
            trial.number,
            attributes.after,
            trial.params,
            proposal.memory or "nothing",
        )
        self.keep_safe()
        return trial

    def _furthest(self) -> StudyTrial | None:
        """Where everybody waits and nobody was trained to the end: the best of those who came furthest."""
        if any(trial.outcome == Outcome.COMPLETED for trial in self.study.trials.values()) or self._reason_to_end():
            return None
        trial = max(self._idle(), key=lambda t: (t.progress, self.study.merit(t, t.progress), -t.number), default=None)
        if trial is not None:
            let_pass(self.study, trial, self._now)
        return trial

    def _end_parked(self) -> None:
        reason = self._reason_to_end() or ""
        for trial in self._idle():
            self._finish(trial, Outcome.STOPPED, reason)

    def _idle(self) -> list[StudyTrial]:
        """Running in the study, in nobody's hands."""
        return [trial for number, trial in sorted(self.study.running.items()) if number not in self.live]

    def _reason_to_end(self, starting: bool = False) -> str | None:
        """starting: a trial that was never trained, not one that goes on."""
        asked = (ending for ending in self.endings if starting or ending.ends_running)
        reason = next(filter(None, (ending.reason(self.study, self.journal) for ending in asked)), None)
        if reason or starting:
            self.study.set_ended(reason)
        return reason

    # -- what came of it

    def knows(self, number: int, report: EpochReport) -> bool:
        """Whether the study has the trial's report, from before a crash."""
        return report.progress(self.unit) <= self.study.trials[number].progress

    def reported(self, number: int, report: EpochReport) -> bool:
        """Take a report; whether the trial may go on now.

        A report known from before a crash changes nothing. A score that is not finite ends the trial as
        diverged and is not kept.
        """
        trial = self.study.trials[number]
        progress, score = report.progress(self.unit), report.score(self.metric)
        if progress > trial.progress and not math.isfinite(score):
            self.ended(number, Outcome.DIVERGED, f"{self.metric} became {score} in epoch {report.epoch:g}")
        elif progress > trial.progress:
            follows = progress <= trial.progress + (self.report_steps or 1)
            assert follows, f"trial {number}: {progress} follows {trial.progress}"
            # One that a driver wrote and died counts, should it be trained again to other numbers in the last place.
            line = self.journal.append(make_line(number, report, self._now))
            report, score = line.report, line.report.score(self.metric)
            if self.report_steps and not trial.scores:
                known = replace(trial.attributes, epoch_steps=round(progress / report.epoch))
                self.study.set_attributes(trial, known)
            loss = report.valid_nll_per_char if self.metric == "valid_bleu" else None
            self.study.report(trial, progress, score, loss)
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
        """Whether a worker that has the trial should keep it."""
        trial = self.study.trials[number]
        return trial.running and not self._parked(trial)

    def ended(self, number: int, outcome: Outcome, message: str) -> None:
        """The trial ended by itself: diverged, infeasible or failed."""
        trial = self.study.trials[number]
        if trial.running:
            self._finish(trial, outcome, message)

    def released(self, number: int, crashed: bool) -> None:
        """The worker has let go of the trial: it ended, was parked, or crashed and is started again, a few times."""
        if number not in self.live:
            return
        del self.live[number]
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
            self._finish(trial, Outcome.FAILED, f"its process died {crashes} times (out of memory?)")

    def lost(self, number: int) -> None:
        """The machine under the worker is gone, which is no fault of the trial: it goes on elsewhere, however often."""
        self.live.pop(number, None)
        trial = self.study.trials[number]
        log.warning("trial %d: its machine is gone; it goes on elsewhere", number)
        known = trial.attributes
        self.study.set_attributes(trial, replace(known, machines_lost=known.machines_lost + 1))

    def _decide(self, trial: StudyTrial) -> None:
        if trial.epochs >= self.epochs:
            self._finish(trial, Outcome.COMPLETED)
            return
        rungs, reason = self.scheduler.rungs, ""
        decision = self.scheduler.decide(self.study, trial)
        if decision == "go" and trial.progress in rungs and (reason := self._reason_to_end() or ""):
            decision = "stop"
        carry_out(decision, self.study, trial, rungs, reason, self._now)
        if not trial.running:
            self._tell_end(trial)

    def _parked(self, trial: StudyTrial) -> bool:
        return trial.parked(self.scheduler.rungs)

    def _finish(self, trial: StudyTrial, outcome: Outcome, message: str = "") -> None:
        self.study.finish(trial, outcome, message)
        self._tell_end(trial)

    def _tell_end(self, trial: StudyTrial) -> None:
        message = trial.attributes.message
        log.info("trial %d %s%s", trial.number, trial.outcome, f": {message}" if message else "")
        for listener in self.listeners:
            listener.trial_ended(trial)

    def _count_time(self) -> None:
        self.study.set_wall_seconds(self._wall_before + time.monotonic() - self._started)
