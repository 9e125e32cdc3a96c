"""Which trial a free worker gets: one that goes on, or a new one, which is written before anybody trains it."""

import logging
from collections.abc import Callable, Sequence

from search.engine.decisions import add_heir, let_pass
from search.engine.rules import Records, Rules
from search.record.attributes import Attributes
from search.record.trial import StudyTrial
from search.schedulers.base import Breeder
from trainables.base.config import TrialConfig
from trainables.base.outcomes import Outcome

log = logging.getLogger("babeltune.work")


class NextTrial:
    """Finds the trial that is to be trained next. `live` has the numbers that are in the hands of workers."""

    def __init__(self, records: Records, rules: Rules, live: dict[int, int], tell_end: Callable[[StudyTrial], None]):
        """tell_end: tells listeners of a trial that has ended, in whose place an heir is."""
        self.records, self.rules, self.live, self.tell_end = records, rules, live, tell_end
        self.study = records.study

    def find(self) -> StudyTrial | None:
        """In this order: one that was interrupted, one that is promoted, an heir, a new one. None if there is none."""
        return self._interrupted() or self._promoted() or self._heir() or self._proposed()

    def furthest(self) -> StudyTrial | None:
        """Where everybody waits and nobody was trained to the end: the best of those who came furthest."""
        completed = any(trial.outcome == Outcome.COMPLETED for trial in self.study.trials.values())
        if completed or self.rules.reason_to_end(self.records):
            return None
        trial = max(self.idle(), key=lambda t: (t.progress, self.study.merit(t, t.progress), -t.number), default=None)
        if trial is not None:
            let_pass(self.study, trial, self.rules.now)
        return trial

    def another(self, group: Sequence[TrialConfig]) -> StudyTrial | None:
        """One more that can train as one with those: interrupted, or new."""
        plan = self.rules.plan
        for number in sorted(self.study.active.keys() - self.live.keys()):
            trial = self.study.trials[number]
            if self.rules.train_as_one([*group, plan.config(trial.params)]):
                return trial
        proposal = plan.propose(self.study)
        if proposal is None or not self.rules.train_as_one([*group, plan.config(proposal.params)]):
            return None
        return self._proposed()

    def idle(self) -> list[StudyTrial]:
        """Running in the study, in nobody's hands."""
        return [trial for number, trial in sorted(self.study.running.items()) if number not in self.live]

    def _interrupted(self) -> StudyTrial | None:
        """A trial that owes epochs, as its worker or an earlier driver died."""
        numbers = (number for number in self.study.active if number not in self.live)
        return self.study.trials.get(min(numbers, default=-1))

    def _promoted(self) -> StudyTrial | None:
        if self.rules.reason_to_end(self.records):
            return None
        trial = self.rules.scheduler.promote(self.study, set(self.live))
        if trial is not None:
            log.info("trial %d is promoted at epoch %g", trial.number, trial.epochs)
            let_pass(self.study, trial, self.rules.now)
        return trial

    def _heir(self) -> StudyTrial | None:
        """The copy comes before the trial: if it is in the study, there is a checkpoint it goes on from."""
        scheduler = self.rules.scheduler
        heir = scheduler.heir(self.study) if isinstance(scheduler, Breeder) else None
        if heir is None or self.rules.reason_to_end(self.records):
            return None
        self.records.checkpoints.copy(heir.parent.number, len(self.study.trials), heir.parent.progress)
        was_running = heir.replaces.running
        trial = add_heir(self.study, heir, self.rules.plan.distributions, self.rules.now)
        if was_running:
            self.tell_end(heir.replaces)
        self.records.keep_safe()
        return trial

    def _proposed(self) -> StudyTrial | None:
        if self.rules.reason_to_end(self.records, starting=True):
            return None
        proposal = self.rules.plan.propose(self.study)
        if proposal is None:
            return None
        # It starts from nothing, even if a driver was killed between copying a checkpoint and making its heir.
        self.records.checkpoints.remove(len(self.study.trials))
        known = Attributes(after=len(self.records.journal.lines), clock=self.rules.now)
        trial = self.study.add(proposal.params, self.rules.plan.distributions, proposal.memory, attributes=known)
        log.info(
            "trial %d is proposed after %d reports: %s; the sampler noted %s",
            trial.number,
            known.after,
            trial.params,
            proposal.memory or "nothing",
        )
        self.records.keep_safe()
        return trial
